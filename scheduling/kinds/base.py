"""What a kind of schedule is: how its rule is read, shown, and turned into instants.

A schedule stores its kind and its rule as text. Everything that depends on the kind
stands in one `Kind`; a new one is a file here and a line in `scheduling.kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from scheduling.triggers.base import Trigger
from scheduling.triggers.cron import Dst
from scheduling.triggers.days import DaySet
from scheduling.triggers.solar import Place


@dataclass(frozen=True, slots=True)
class Context:
    """What beside its rule the instants of a schedule hang on."""

    zone: ZoneInfo
    anchor_at: datetime | None = None
    shift_s: int = 0  # the whole series was moved by this
    dst: Dst = ""
    place: Place | None = None
    calendars: Mapping[str, DaySet] = field(default_factory=dict)


def as_it_stands(rule: str) -> object:
    return rule


def not_by_its_text(rule: str, by_s: int) -> str | None:
    """The rule cannot say it; the schedule keeps the shift beside it."""
    return None


def of_any_zone(value: object) -> str | None:
    """The rule names no zone of its own."""
    return None


def of_no_calendar(rule: str) -> frozenset[str]:
    """The rule names no calendar."""
    return frozenset()


def of_no_place(rule: str) -> bool:
    """The rule's instants do not hang on where it is."""
    return False


def nothing_more(rule: str) -> None:
    """The text alone tells whether the rule holds."""


def no_notes(schedule: Any, now: datetime) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Kind:
    """`read`: what was sent under the kind's key, checked, as the text stored;
    ValueError with a sentence for people. `trigger` raises ValueError for a text that
    `read` would not have given."""

    name: str
    read: Callable[[object], str]
    trigger: Callable[[str, Context], Trigger]
    words: Callable[[Trigger, ZoneInfo], str]
    value: Callable[[str], object] = as_it_stands  # what the API shows under its key
    moved: Callable[[str, int], str | None] = not_by_its_text  # seconds later
    zone: Callable[[object], str | None] = of_any_zone  # one that what was sent names
    needs_place: Callable[[str], bool] = of_no_place  # a stored rule does
    calendars: Callable[[str], frozenset[str]] = of_no_calendar  # that it names
    by_clocks: bool = True  # a series moves by what clocks show, not in absolute time
    anchored: bool = False  # it counts from an instant of its own
    check: Callable[[str], None] = (
        nothing_more  # ValueError: what it names is not there
    )
    notes: Callable[[Any, datetime], list[str]] = (
        no_notes  # of a Schedule, as it is now
    )
    timed: bool = True  # False: what happens fires it: scheduling.triggered

    @property
    def beats(self) -> bool:
        """Its instants are its anchor's, again and again: moving the anchor moves the
        series. A rule by clocks only counts its days from there."""
        return self.anchored and not self.by_clocks
