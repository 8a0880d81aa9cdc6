"""`run_at`: once, at one instant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast
from zoneinfo import ZoneInfo

from agents.errors import Invalid
from agents.http import instant, iso
from scheduling.kinds.base import Context, Kind
from scheduling.triggers.base import Trigger
from scheduling.triggers.run_at import RunAtTrigger
from scheduling.triggers.words import day_and_time


def read(value: object) -> str:
    try:
        return instant(value).astimezone(UTC).isoformat()
    except Invalid as error:
        raise ValueError(next(iter(error.fields["instant"]))) from None


def value(rule: str) -> str | None:
    return iso(datetime.fromisoformat(rule))


def trigger(rule: str, context: Context) -> RunAtTrigger:
    return RunAtTrigger(datetime.fromisoformat(rule))


def words(trigger: Trigger, zone: ZoneInfo) -> str:
    return f"Once, on {day_and_time(cast(RunAtTrigger, trigger).at, zone)}"


KIND = Kind("run_at", read, trigger, words, value, by_clocks=False)
