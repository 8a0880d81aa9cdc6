"""The secrets of a run: opened at its start, taken away when it is over.

Which runs hold secrets on this machine stands as names in one folder, written before
the program is asked for, so that whoever dies in between leaves nothing behind for
long: each heartbeat looks there.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.db import transaction

from agents import secret_store
from agents.executors.base import Given
from agents.executors.given import take_back
from agents.secret_store import Missing
from agents.secret_uses import uses_of
from scheduling.models import Run
from scheduling.run_folders import folder_of
from scheduling.run_state import FINAL


@dataclass(frozen=True, slots=True)
class Opened:
    """What a run is given of its definition's secrets."""

    given: Given | None = None
    registry_auth: Mapping[str, str] | None = None


NOTHING = Opened()


def wants_any(spec: Mapping[str, Any]) -> bool:
    """Whether the start of this agent is more than its own definition."""
    return bool(
        spec.get("secrets")
        or spec.get("artefacts")
        or (spec["docker"] or {}).get("registry_secret")
    )


def opened(spec: Mapping[str, Any], uid: str, *, now: datetime) -> Opened:
    """Raises Missing where a secret is not there or cannot be opened."""
    uses = uses_of(spec)
    registry = (spec["docker"] or {}).get("registry_secret")
    wanted = {use.name for use in uses} | ({registry} if registry else set())
    values = secret_store.values(wanted, now=now) if wanted else {}
    given = Given(
        env={use.env: values[use.name] for use in uses if use.form == "env"},
        files={use.name: values[use.name] for use in uses if use.form == "file"},
        artefacts=bool(spec.get("artefacts")),
    )
    if uses:
        note_holder(uid)
    return Opened(given, registry_auth(values[registry]) if registry else None)


def registry_auth(value: str) -> Mapping[str, str]:
    """Of "user:password" or {"username": …, "password": …}. Raises Missing."""
    with suppress(orjson.JSONDecodeError):
        said = orjson.loads(value)
        names = ("username", "password")
        if isinstance(said, dict) and all(isinstance(said.get(n), str) for n in names):
            return {name: said[name] for name in names}
    user, colon, password = value.partition(":")
    if not colon or value.startswith("{"):
        raise Missing(
            'the secret for the registry is neither "user:password" nor an object '
            "with username and password"
        )
    return {"username": user, "password": password.rstrip("\n")}


# -- taking them away -----------------------------------------------------------------


def holders() -> Path:
    return Path(settings.VAR) / "secrets-given"


def note_holder(uid: str) -> None:
    place = holders()
    place.mkdir(mode=0o700, exist_ok=True)
    (place / uid).touch(mode=0o600)


def take_back_on_commit(runs: Iterable[Run]) -> None:
    """Once the caller's transaction stands, in which these runs ended."""
    uids = [run.uid for run in runs if run.version.spec.get("secrets")]
    if uids:
        transaction.on_commit(partial(take_back_from, uids), robust=True)


def take_back_from(uids: Collection[str]) -> None:
    """Remove what these runs were given on this machine. Idempotent."""
    for uid in uids:
        mark = holders() / uid
        if mark.exists():
            take_back(str(folder_of(uid)))
            mark.unlink(missing_ok=True)


def sweep(node: str, now: datetime) -> None:
    """Take back from every run that is over, or gone; a beat of the node process."""
    try:
        uids = os.listdir(holders())
    except FileNotFoundError:
        return
    known = Run.objects.filter(uid__in=uids).exclude(state__in=FINAL)
    live = set(known.values_list("uid", flat=True))
    take_back_from([uid for uid in uids if uid not in live])
