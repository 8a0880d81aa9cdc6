"""The parts of an RRULE (RFC 5545, 3.3.10), read strictly.

Refused with a sentence that names the part: what the RFC does not allow, and what can
never fire. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FREQS = ("SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
WITHIN_THE_DAY = FREQS[:3]
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
LONGEST_INTERVAL = 1_000_000_000
MOST_COUNT = 1_000_000_000
MONTH_DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
NUMBER = re.compile(r"[+-]?\d{1,10}", re.ASCII)
STAMP = re.compile(r"\d{8}(T\d{6}Z?)?", re.ASCII)
PER_DAY_PARTS = ("BYHOUR", "BYMINUTE", "BYSECOND")
DAY_PARTS = ("BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY")

Nth = tuple[int, int]  # (0 or which one, weekday from Monday)


@dataclass(frozen=True, slots=True)
class Parts:
    freq: str
    interval: int = 1
    count: int | None = None
    until: str = ""  # as it stands; the recurrence knows the zone
    wkst: int = 0
    months: tuple[int, ...] = ()
    weeks: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    days: tuple[Nth, ...] = ()
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()

    @property
    def within_the_day(self) -> bool:
        return self.freq in WITHIN_THE_DAY


def parse_parts(text: str) -> Parts:
    """Raises ValueError naming the part at fault."""
    given: dict[str, str] = {}
    for piece in text.strip().strip(";").split(";"):
        name, equals, value = piece.partition("=")
        name = name.strip().upper()
        if not equals:
            raise ValueError(
                f'"{piece[:40]}" is not a part of a rule such as FREQ=DAILY'
            )
        if name not in READ:
            raise ValueError(f"{name[:40]} is not a part of an RRULE that we know")
        if name in given:
            raise ValueError(f"{name} stands there twice")
        given[name] = value.strip().upper()
    if "FREQ" not in given:
        raise ValueError("FREQ is missing; expected e.g. FREQ=WEEKLY")
    parts = Parts(**dict(_read(name, value) for name, value in given.items()))
    _refuse_what_the_rfc_does(given, parts)
    _refuse_what_never_comes(parts)
    return parts


def _read(name: str, value: str) -> tuple[str, Any]:
    field, reader = READ[name]
    try:
        return field, reader(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _freq(value: str) -> str:
    if value not in FREQS:
        raise ValueError(f"expected one of {', '.join(FREQS)}")
    return value


def _whole(most: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not NUMBER.fullmatch(value) or not 1 <= int(value) <= most:
            raise ValueError(f"expected a whole number from 1 to {most}")
        return int(value)

    return read


def _numbers(low: int, high: int, *, signed: bool) -> Callable[[str], tuple[int, ...]]:
    allowed = f"{low} to {high}" + (f" or -{high} to -{low}" if signed else "")

    def read(value: str) -> tuple[int, ...]:
        found = set()
        for text in value.split(","):
            number = int(text) if NUMBER.fullmatch(text) else None
            size = abs(number) if signed and number is not None else number
            if number is None or size is None or not low <= size <= high:
                raise ValueError(f'"{text[:20]}" is not a number from {allowed}')
            found.add(number)
        return tuple(sorted(found))

    return read


def _days(value: str) -> tuple[Nth, ...]:
    found = set()
    for text in value.split(","):
        match = DAY.fullmatch(text)
        if match is None:
            said = f'"{text[:20]}" is not a day; expected {", ".join(DAYS)}'
            raise ValueError(f'{said}, in a month or year also "1MO" or "-1FR"')
        number = int(match[1] or 0)
        if match[1] and not 1 <= abs(number) <= 53:
            raise ValueError(f'"{text}": a year has no such day')
        found.add((number, DAYS.index(match[2])))
    return tuple(sorted(found, key=lambda day: (day[1], day[0])))


def _weekday(value: str) -> int:
    if value not in DAYS:
        raise ValueError(f"expected one of {', '.join(DAYS)}")
    return DAYS.index(value)


def _until(value: str) -> str:
    if not STAMP.fullmatch(value):
        raise ValueError('expected e.g. "20261231T170000Z" or "20261231"')
    return value


READ: dict[str, tuple[str, Callable[[str], Any]]] = {
    "FREQ": ("freq", _freq),
    "INTERVAL": ("interval", _whole(LONGEST_INTERVAL)),
    "COUNT": ("count", _whole(MOST_COUNT)),
    "UNTIL": ("until", _until),
    "WKST": ("wkst", _weekday),
    "BYMONTH": ("months", _numbers(1, 12, signed=False)),
    "BYWEEKNO": ("weeks", _numbers(1, 53, signed=True)),
    "BYYEARDAY": ("year_days", _numbers(1, 366, signed=True)),
    "BYMONTHDAY": ("month_days", _numbers(1, 31, signed=True)),
    "BYDAY": ("days", _days),
    "BYHOUR": ("hours", _numbers(0, 23, signed=False)),
    "BYMINUTE": ("minutes", _numbers(0, 59, signed=False)),
    "BYSECOND": ("seconds", _numbers(0, 59, signed=False)),
    "BYSETPOS": ("positions", _numbers(1, 366, signed=True)),
}


def _refuse_what_the_rfc_does(given: dict[str, str], parts: Parts) -> None:
    """What RFC 5545 forbids, or leaves without a meaning."""
    freq, numbered = parts.freq, any(nth for nth, _ in parts.days)
    if "COUNT" in given and "UNTIL" in given:
        raise ValueError("COUNT and UNTIL stand together; give one of them")
    if "BYWEEKNO" in given and freq != "YEARLY":
        raise ValueError("BYWEEKNO needs FREQ=YEARLY")
    if "BYYEARDAY" in given and freq in ("DAILY", "WEEKLY", "MONTHLY"):
        raise ValueError(f"BYYEARDAY does not go with FREQ={freq}")
    if "BYMONTHDAY" in given and freq == "WEEKLY":
        raise ValueError("BYMONTHDAY does not go with FREQ=WEEKLY")
    if numbered and freq not in ("MONTHLY", "YEARLY"):
        said = "a number before a day needs FREQ=MONTHLY or YEARLY"
        raise ValueError(f"BYDAY: {said}")
    if numbered and "BYWEEKNO" in given:
        raise ValueError("BYDAY: no number before a day together with BYWEEKNO")
    by_others = (*DAY_PARTS, *PER_DAY_PARTS)
    if "BYSETPOS" in given and not any(name in given for name in by_others):
        raise ValueError("BYSETPOS needs another BY part to choose from")


def _refuse_what_never_comes(parts: Parts) -> None:
    """Days that no year has, such as 30 February."""
    months = parts.months or tuple(range(1, 13))
    if parts.month_days:
        longest = max(MONTH_DAYS[month - 1] for month in months)
        if min(abs(day) for day in parts.month_days) > longest:
            said = "no month of BYMONTH has such a day: it never fires"
            raise ValueError(f"BYMONTHDAY: {said}")
    per_month = parts.freq == "MONTHLY" or (parts.freq == "YEARLY" and parts.months)
    if per_month and parts.days and all(abs(nth) > 5 for nth, _ in parts.days):
        raise ValueError("BYDAY: no month has so many of a weekday: it never fires")
