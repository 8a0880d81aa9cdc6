"""Events of a pasted or uploaded .ics file, as the lines of a recurrence.

An instance that was moved (RECURRENCE-ID) is left out at its old time and added at
its new one; a cancelled one is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
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


def content_of(text: str) -> dict[str, Any]:
    """An .ics file as the content of a calendar: single days, spans, and events that
    recur. A timed event counts on the days its own zone's clocks show."""
    events = [e for e in events_of(text) if not _is_cancelled(e)]
    dates: list[Any] = []
    recurring = []
    overrides = _overrides(events)
    for event in events:
        if "DTSTART" not in event or "RECURRENCE-ID" in event:
            continue
        days = _length(event)
        first = _day(event["DTSTART"].dt)
        if "RRULE" in event:
            lines = _lines(event, overrides.get(str(event.get("UID")), []))
            recurring.append({"rule": "\n".join(lines), "days": days})
            continue
        firsts = [first, *(_day(moment) for moment in _dates(event, "RDATE"))]
        dates += [_span(one, days) for one in firsts]
    return {"dates": dates, "events": recurring}


def _is_cancelled(event: Any) -> bool:
    status = str(event.get("STATUS", "")).upper()
    return status == "CANCELLED" and "RECURRENCE-ID" not in event


def _overrides(events: list[Any]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for event in events:
        if "RECURRENCE-ID" in event:
            found.setdefault(str(event.get("UID")), []).append(event)
    return found


def _day(moment: date) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _length(event: Any) -> int:
    """How many days the event touches."""
    start = event["DTSTART"].dt
    end = start
    if "DTEND" in event:
        end = event["DTEND"].dt
    elif "DURATION" in event:
        end = start + event["DURATION"].dt
    if isinstance(start, datetime) != isinstance(end, datetime):
        end = start
    if end > start:  # what ends at midnight does not touch the day that begins then
        small = timedelta(seconds=1) if isinstance(end, datetime) else timedelta(days=1)
        end -= small
    return max(1, (_day(end) - _day(start)).days + 1)


def _span(first: date, days: int) -> Any:
    if days == 1:
        return first.isoformat()
    return [first.isoformat(), (first + timedelta(days=days - 1)).isoformat()]
