"""Helpers for the tests of moves: move one, take it back, see what is due then."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from scheduling import moves, previews, undo
from scheduling.models import Schedule
from scheduling.move_input import parse_wish
from scheduling.triggers.base import key_of
from tests.db.schedule_fixtures import NOON, PERSON, again


def move(
    schedule: Schedule,
    nominal: datetime,
    start: datetime,
    *,
    now: datetime = NOON,
    may_edit: bool = True,
    **raw: Any,
) -> dict[str, Any]:
    body = {"start": start.isoformat(), **raw}
    return moves.move(
        f"{schedule.uid}@{key_of(nominal)}",
        parse_wish(body),
        actor=PERSON,
        now=now,
        may_edit=may_edit,
    )


def take_back(answer: dict[str, Any], now: datetime = NOON) -> Schedule:
    token = answer["undo_token"]
    return undo.undo(token, actor=PERSON, now=now, may_edit=True)


def hours(schedule: Schedule, count: int = 3, after: datetime = NOON) -> list[str]:
    found = previews.preview(again(schedule), after=after, count=count)
    return [f"{f:%d %H:%M}" for f in found.firings]
