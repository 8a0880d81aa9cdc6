"""Secrets by name: the only writer of Secret rows, and the only reader of values.

A value goes in and never comes out over HTTP. It is opened where it is given to a
program, where a webhook is signed, and where it is blotted out of what is shown.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from agents import journal, names, secret_box
from agents.errors import Invalid, NotAllowedNow, NotFound, Unavailable
from agents.models import Agent, Secret
from agents.quantities import shown
from agents.secret_box import CannotOpen
from agents.secret_uses import named_in

LEAST_CHARS = 4  # a shorter one could not be blotted out of a log without ruining it
MOST_BYTES = 32_768
KEPT_PAST = 5  # earlier values, for what was printed while they held
USED_EVERY = timedelta(minutes=1)  # last_used_at is written no more often


class Missing(Exception):
    """A secret is not there, or cannot be opened; the text says which."""


@transaction.atomic
def put(name: str, value: object, *, actor: str, now: datetime) -> tuple[Secret, bool]:
    """Make or change a secret; whether it is new. Raises Invalid, Unavailable."""
    name, text = _name(name), _value(value)
    try:
        sealed = secret_box.seal(name, text)
    except CannotOpen as closed:
        raise Unavailable(str(closed)) from None
    held = Secret.objects.select_for_update().filter(name=name).first()
    past = _past(held)
    secret, created = Secret.objects.update_or_create(
        name=name,
        defaults={
            "sealed": sealed,
            "past": past,
            "changed_at": now,
            "changed_by": actor,
        },
        create_defaults={
            "sealed": sealed,
            "changed_at": now,
            "changed_by": actor,
            "created_at": now,
            "created_by": actor,
        },
    )
    kind = "secret.created" if created else "secret.changed"
    journal.record(kind, f"secret:{name}", actor=actor, at=now, name=name)
    return secret, created


def check(name: str, value: object) -> None:
    """Raises Invalid for what `put` would refuse."""
    _name(name)
    _value(value)


def _past(held: Secret | None) -> list[str]:
    return [] if held is None else [held.sealed, *held.past][:KEPT_PAST]


def _name(name: str) -> str:
    try:
        return names.secret(name)
    except ValueError:
        said = "must be 1 to 64 ASCII letters, digits, dots, dashes or underscores"
        raise Invalid(f"name: {said}", {"name": [said]}) from None


def _value(value: object) -> str:
    said = ""
    if not isinstance(value, str):
        said = "must be a string"
    elif len(value) < LEAST_CHARS:
        said = f"must have at least {LEAST_CHARS} characters"
    elif "\0" in value or not _is_utf8(value):
        said = "must be text without NUL"
    elif len(value.encode()) > MOST_BYTES:
        said = f"is longer than {MOST_BYTES} bytes"
    if said:
        raise Invalid(f"value: {said}", {"value": [said]})
    assert isinstance(value, str)
    return value


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= c <= "\udfff" for c in text)


@transaction.atomic
def delete(name: str, *, actor: str, now: datetime) -> None:
    """Raises NotFound, and NotAllowedNow while an agent's definition names it."""
    secret = find(name)
    if users := users_of(name):
        some = ", ".join(users[:5]) + (" and others" if len(users) > 5 else "")
        raise NotAllowedNow(f"{name} is named by {some}")
    secret.delete()
    journal.record("secret.deleted", f"secret:{name}", actor=actor, at=now, name=name)


def find(name: str) -> Secret:
    secret = Secret.objects.filter(name=name[:64]).first()
    if secret is None or secret.name != name:
        raise NotFound(f"there is no secret {shown(name)}")
    return secret


def users_of(name: str) -> list[str]:
    """The agents, not retired, whose current definition names it."""
    live = Agent.objects.filter(retired_at__isnull=True).select_related("current")
    return [agent.agent_id for agent in live if name in named_in(agent.spec)]


def missing_of(spec: Any) -> list[str]:
    """Names in a definition that no secret has."""
    wanted = named_in(spec)
    return sorted(wanted - _known(wanted)) if wanted else []


def _known(wanted: Collection[str]) -> set[str]:
    found = Secret.objects.filter(name__in=list(wanted))
    return set(found.values_list("name", flat=True))


def values(wanted: Collection[str], *, now: datetime | None = None) -> dict[str, str]:
    """The values of these secrets, to be used; `now` notes that they were.

    Raises Missing naming the first that is not there or cannot be opened.
    """
    rows = {row.name: row for row in Secret.objects.filter(name__in=list(wanted))}
    found = {}
    for name in sorted(wanted):
        if name not in rows:
            raise Missing(f"there is no secret named {name}")
        try:
            found[name] = secret_box.unseal(name, rows[name].sealed)
        except CannotOpen as closed:
            raise Missing(str(closed)) from None
    if now is not None:
        note_use(rows.values(), now)
    return found


def note_use(rows: Iterable[Secret], now: datetime) -> None:
    stale = [
        row.pk
        for row in rows
        if row.last_used_at is None or now - row.last_used_at > USED_EVERY
    ]
    if stale:
        Secret.objects.filter(pk__in=stale).update(last_used_at=now)


def ever_held(wanted: Collection[str]) -> list[str]:
    """Every value, present or past, that these secrets have: what must not be shown.
    One that cannot be opened is left out."""
    found = []
    for row in Secret.objects.filter(name__in=list(wanted)):
        for sealed in (row.sealed, *row.past):
            try:
                found.append(secret_box.unseal(row.name, sealed))
            except CannotOpen:
                continue
    return found


@transaction.atomic
def reseal(*, actor: str, now: datetime) -> int:
    """Seal every secret anew with the first key; how many there are. Raises
    CannotOpen before anything is changed."""
    rows = list(Secret.objects.select_for_update().order_by("pk"))
    for row in rows:
        row.sealed, *row.past = (
            secret_box.seal(row.name, secret_box.unseal(row.name, one))
            for one in (row.sealed, *row.past)
        )
    Secret.objects.bulk_update(rows, ["sealed", "past"])
    journal.record(
        "secret.keys_turned", "secrets", actor=actor, at=now, count=len(rows)
    )
    return len(rows)
