"""The journal: the only writer of Event rows, and how others hear of them.

An event is written inside the transaction of the change it tells of, and announced
only once that transaction has committed: what was rolled back is never shown.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

import orjson
from django.db import connection, transaction
from django.dispatch import Signal

from agents.models import Event

INSERT = (
    f"INSERT INTO {Event._meta.db_table} (at, kind, subject, actor, data) "
    "VALUES (%s, %s, %s, %s, %s)"
)  # the ORM would spend more on an event than the run it tells of costs


class Via(threading.local):
    """By which door the request of this thread came, where its actor does not tell:
    the admin, or something said. The web server sets it; else it is ""."""

    door = ""


via = Via()
recorded = Signal()  # sent after commit, with entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    kind: str  # "run.running", "agent.registered"
    subject: str  # "run:<uid>", "agent:<agent_id>", "schedule:<uid>", "node:<name>"
    actor: str  # "user:anna", "token:ci", "scheduler", "node:a"
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


def record(kind: str, subject: str, *, actor: str, at: datetime, **data: Any) -> None:
    """Append one event inside the caller's transaction."""
    record_many([Entry(kind, subject, actor, at, data)])


def record_many(entries: Sequence[Entry]) -> None:
    """Append a batch of events inside the caller's transaction: one statement.

    Listeners are called after commit, `send_robust`: a broken one stops nobody.
    """
    if not entries:
        return
    if via.door:
        entries = [replace(e, data={**e.data, "via": via.door}) for e in entries]
    instant = connection.ops.adapt_datetimefield_value
    rows = [
        (instant(e.at), e.kind, e.subject, e.actor, orjson.dumps(e.data).decode())
        for e in entries
    ]
    with connection.cursor() as cursor:
        cursor.executemany(INSERT, rows)
    announce(entries)


def announce(entries: Sequence[Entry]) -> None:
    """Let listeners hear after commit of what is not kept: news of the moment."""
    transaction.on_commit(
        partial(recorded.send_robust, Event, entries=tuple(entries)), robust=True
    )
