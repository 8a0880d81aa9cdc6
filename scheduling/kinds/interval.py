"""`interval`: every so many seconds, "5m", "1h30m" or an ISO 8601 length."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import cast
from zoneinfo import ZoneInfo

from agents.quantities import QuantityError, parse_duration
from scheduling.kinds.base import Context, Kind
from scheduling.triggers.base import Trigger
from scheduling.triggers.interval import LEAST_S, MOST_S, IntervalTrigger
from scheduling.triggers.words import interval_words

FORM = 'expected seconds, "5m", "1h30m" or "PT5M"'
ISO_LENGTH = re.compile(
    r"P(?:(?P<weeks>\d{1,4})W)?(?:(?P<days>\d{1,5})D)?"
    r"(?:T(?:(?P<hours>\d{1,6})H)?(?:(?P<minutes>\d{1,8})M)?"
    r"(?:(?P<seconds>\d{1,9}(?:\.\d{1,3})?)S)?)?",
    re.ASCII,
)


def read(value: object) -> str:
    try:
        seconds = _iso_length(value) or parse_duration(value, least_s=0, most_s=MOST_S)
    except QuantityError:
        raise ValueError(FORM) from None
    if not LEAST_S <= seconds <= MOST_S:
        raise ValueError(f"must be at least {LEAST_S} second and at most ten years")
    return seconds_text(seconds)


def _iso_length(value: object) -> float:
    """Seconds of "PT5M"; 0 for what is not such a text."""
    match = ISO_LENGTH.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return 0
    parts = {unit: float(n) for unit, n in match.groupdict(default="0").items()}
    return timedelta(**parts).total_seconds()


def seconds_text(seconds: float) -> str:
    return str(int(seconds)) if seconds == int(seconds) else repr(float(seconds))


def value(rule: str) -> float:
    return float(rule) if "." in rule else int(rule)


def trigger(rule: str, context: Context) -> IntervalTrigger:
    if context.anchor_at is None:
        raise ValueError("an interval without the instant it counts from")
    return IntervalTrigger(context.anchor_at, timedelta(seconds=float(rule)))


def words(trigger: Trigger, zone: ZoneInfo) -> str:
    return interval_words(cast(IntervalTrigger, trigger), zone)


KIND = Kind(
    *("interval", read, trigger, words, value),
    by_clocks=False,
    anchored=True,
)
