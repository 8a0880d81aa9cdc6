"""Calendar feeds made, found by their secret and revoked: the only writer of Feed."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import OperationalError, transaction
from django.db.models import QuerySet

from agents import journal, names
from agents.errors import Invalid, NotAllowedNow, NotFound
from agents.http import fields_of, iso
from agents.models import Agent
from agents.text import unstorable
from scheduling.feed_models import Feed
from scheduling.models import Schedule

TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
MOST_FEEDS = 50  # of one person
MOST_SCHEDULES = 100  # named in one feed
LONGEST_NAME = 80
STAMP_EVERY = timedelta(hours=1)
KEYS = ("name", "scope")
FORM = 'expected "all", {"agent": id}, {"tag": tag} or {"schedules": [ids]}'


def create(raw: object, *, actor: str, now: datetime) -> tuple[Feed, str]:
    """The feed and its secret, which is not kept. Raises Invalid, NotAllowedNow."""
    given = fields_of(raw, allowed=KEYS, required=["name"])
    name = name_of(given["name"], LONGEST_NAME)
    scope, listed = _scope(given.get("scope", "all"))
    secret = secrets.token_urlsafe(32)
    with transaction.atomic():
        if Feed.objects.filter(owner=actor).count() >= MOST_FEEDS:
            raise NotAllowedNow(f"you have {MOST_FEEDS} feeds already; revoke some")
        feed = Feed.objects.create(
            name=name,
            owner=actor,
            scope=scope,
            names=listed,
            digest=digest(secret),
            created_at=now,
        )
        _tell("feed.created", feed, actor, now, scope=scope, names=listed)
    return feed, secret


def of_owner(owner: str) -> QuerySet[Feed]:
    return Feed.objects.filter(owner=owner)


@transaction.atomic
def revoke(pk: int, *, owner: str | None, actor: str, now: datetime) -> None:
    """End a feed at once. `owner` None: anybody's. Raises NotFound."""
    rows = Feed.objects.filter(pk=pk)
    feed = (rows if owner is None else rows.filter(owner=owner)).first()
    if feed is None:
        raise NotFound(f"there is no feed {pk}")
    _tell("feed.revoked", feed, actor, now)
    feed.delete()


def find(secret: str, now: datetime) -> Feed | None:
    """The feed of this secret; its use is noted to the hour."""
    if not TOKEN.fullmatch(secret):
        return None
    feed = Feed.objects.filter(digest=digest(secret)).first()
    if feed is None:
        return None
    if feed.last_used_at is None or now - feed.last_used_at >= STAMP_EVERY:
        try:
            Feed.objects.filter(pk=feed.pk).update(last_used_at=now)
        except OperationalError:
            return feed  # a busy database does not stop a reader
    return feed


def _tell(kind: str, feed: Feed, actor: str, now: datetime, **data: Any) -> None:
    told = {"name": feed.name, "owner": feed.owner, **data}
    journal.record(kind, f"feed:{feed.pk}", actor=actor, at=now, **told)


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def name_of(value: object, most: int) -> str:
    """Raises Invalid."""
    name = value.strip() if isinstance(value, str) else ""
    if not 0 < len(name) <= most or unstorable(name) or not name.isprintable():
        raise _wrong("name", f"expected a text of 1 to {most} characters")
    return name


def _wrong(field: str, said: str) -> Invalid:
    return Invalid(f"{field}: {said}", {field: [said]})


def _scope(value: object) -> tuple[str, list[str]]:
    if value == "all":
        return "all", []
    if not isinstance(value, Mapping) or len(value) != 1:
        raise _wrong("scope", FORM)
    ((kind, named),) = value.items()
    if kind == "schedules":
        return kind, _schedules(named)
    if kind not in ("agent", "tag") or not isinstance(named, str):
        raise _wrong("scope", FORM)
    try:
        names.tag(named)
    except ValueError as error:
        raise _wrong("scope", f"{kind}: {error}") from None
    if kind == "agent" and not Agent.objects.filter(agent_id=named).exists():
        raise _wrong("scope", f"there is no agent {named}")
    return kind, [named]


def _schedules(named: object) -> list[str]:
    fits = isinstance(named, list) and 0 < len(named) <= MOST_SCHEDULES
    if not fits or not all(isinstance(n, str) and len(n) <= 32 for n in named):  # type: ignore[attr-defined]
        raise _wrong("scope", f"schedules: expected 1 to {MOST_SCHEDULES} ids")
    wanted = sorted(set(named))  # type: ignore[call-overload]
    if any(unstorable(one) for one in wanted):
        raise _wrong("scope", "schedules: expected ids")
    there = Schedule.objects.filter(uid__in=wanted).values_list("uid", flat=True)
    if unknown := sorted(set(wanted) - set(there)):
        raise _wrong("scope", f"there is no schedule {unknown[0]}")
    return wanted


def shape(feed: Feed) -> dict[str, Any]:
    scope: Any = "all"
    if feed.scope != "all":
        single = feed.scope != "schedules"
        scope = {feed.scope: feed.names[0] if single else feed.names}
    return {
        "id": feed.pk,
        "name": feed.name,
        "scope": scope,
        "created_at": iso(feed.created_at),
        "last_used_at": iso(feed.last_used_at),
    }
