"""Events of a pasted or uploaded .ics file, as the lines of a recurrence.

An instance that was moved (RECURRENCE-ID) is left out at its old time and added at
its new one; a cancelled one is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from icalendar import Calendar

LARGEST_BYTES = 2 * 2**20
MOST_EVENTS = 5_000


def events_of(text: str) -> list[Any]:
    """Raises ValueError for what is not an iCalendar file, or too large."""
    if len(text.encode("utf-8", "replace")) > LARGEST_BYTES:
        raise ValueError(f"larger than {LARGEST_BYTES} bytes")
    whole = text.strip()
    if not whole.upper().startswith("BEGIN:VCALENDAR"):
        whole = f"BEGIN:VCALENDAR\r\n{whole}\r\nEND:VCALENDAR"
    try:
        found = Calendar.from_ical(whole).walk("VEVENT")
    except Exception as error:  # the parser raises whatever its parts raise
        raise ValueError(f"not an iCalendar file: {str(error)[:120]}") from None
    if not found:
        raise ValueError("there is no VEVENT in it")
    if len(found) > MOST_EVENTS:
        raise ValueError(f"more than {MOST_EVENTS} events")
    return list(found)


def lines_of(text: str) -> str:
    """DTSTART, RRULE, RDATE and EXDATE of the one event that recurs."""
    events = events_of(text)
    recurring = [e for e in events if "RRULE" in e and "RECURRENCE-ID" not in e]
    if not recurring:
        raise ValueError("no VEVENT with an RRULE in it")
    if len(recurring) > 1:
        raise ValueError("more than one VEVENT with an RRULE; paste one of them")
    [event] = recurring
    if "DTSTART" not in event:
        raise ValueError("the VEVENT has no DTSTART")
    overrides = [
        other
        for other in events
        if "RECURRENCE-ID" in other and other.get("UID") == event.get("UID")
    ]
    return "\n".join(_lines(event, overrides))


def _lines(event: Any, overrides: list[Any]) -> Iterator[str]:
    start = event["DTSTART"].dt
    yield _property("DTSTART", start)
    rules = event["RRULE"]
    if isinstance(rules, list):
        raise ValueError("the VEVENT has more than one RRULE; one is taken")
    yield "RRULE:" + rules.to_ical().decode()
    for name in ("RDATE", "EXDATE"):
        for moment in _dates(event, name):
            yield _property(name, moment)
    for other in overrides:
        yield _property("EXDATE", other["RECURRENCE-ID"].dt)
        cancelled = str(other.get("STATUS", "")).upper() == "CANCELLED"
        if not cancelled and "DTSTART" in other:
            yield _property("RDATE", other["DTSTART"].dt)


def _dates(event: Any, name: str) -> Iterator[Any]:
    given = event.get(name, [])
    for group in given if isinstance(given, list) else [given]:
        for one in group.dts:
            if isinstance(one.dt, tuple):
                raise ValueError(f"{name}: periods are not taken")
            yield one.dt


def _property(name: str, moment: date) -> str:
    if not isinstance(moment, datetime):
        return f"{name};VALUE=DATE:{moment:%Y%m%d}"
    if moment.tzinfo is None:
        return f"{name}:{moment:%Y%m%dT%H%M%S}"
    zone = getattr(moment.tzinfo, "key", None)
    if zone in ("UTC", "Etc/UTC") or (zone is None and not moment.utcoffset()):
        return f"{name}:{moment:%Y%m%dT%H%M%S}Z"
    if zone is None:  # a zone the file describes itself
        return f"{name}:{moment.astimezone(ZoneInfo('UTC')):%Y%m%dT%H%M%S}Z"
    return f"{name};TZID={zone}:{moment:%Y%m%dT%H%M%S}"
