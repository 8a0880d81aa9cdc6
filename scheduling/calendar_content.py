"""What a user's calendar holds: read from JSON, YAML or an .ics file, and bounded.

The form that is kept: `weekdays` (0 is Monday), `yearly` ("12-25"), `dates`
("2026-12-24", or ["2026-12-24", "2027-01-02"] from and to) and `events` that recur, as
the lines of an RRULE with their length in days.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scheduling.triggers.rrule_parts import DAYS
from scheduling.triggers.rrule_text import read_text, rule_of
from scheduling.triggers.user_days import RecurringDays, UserDays

MOST_DAYS = 20_000  # single days, spans counted by their days
MOST_EVENTS = 500  # that recur
LONGEST_EVENT = 366  # days
MOST_YAML_BYTES = 65_536
KEYS = ("weekdays", "yearly", "dates", "events")
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
MONTH_DAY = re.compile(r"\d\d-\d\d", re.ASCII)
NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
LEAP_YEAR = 2000

Content = dict[str, Any]


def read_content(given: Mapping[str, Any]) -> tuple[Content, dict[str, list[str]]]:
    """The content of these keys, and what is wrong with them by key."""
    content: Content = {}
    faults: dict[str, list[str]] = {}
    for key in KEYS:
        if given.get(key) is None:
            content[key] = []
            continue
        try:
            content[key] = _list(given[key], READERS[key])
        except ValueError as error:
            faults[key] = [str(error)]
    if not faults and sum(map(_length, content["dates"])) > MOST_DAYS:
        faults["dates"] = [f"more than {MOST_DAYS} days"]
    if not faults and len(content["events"]) > MOST_EVENTS:
        faults["events"] = [f"more than {MOST_EVENTS} events that recur"]
    return content, faults


def _list(value: object, reader: Callable[[Any], Any]) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("expected a list")
    if len(value) > MOST_DAYS:
        raise ValueError(f"more than {MOST_DAYS} entries")
    found = []
    for number, item in enumerate(value, 1):
        try:
            one = reader(item)
        except ValueError as error:
            raise ValueError(f"item {number}: {error}") from None
        found.append(one)
    return _unique(found)


def _unique(items: list[Any]) -> list[Any]:
    by_text = {repr(item): item for item in items}
    return sorted(by_text.values(), key=lambda item: str(_first(item)))


def _first(item: Any) -> Any:
    return item[0] if isinstance(item, list) else item


def _weekday(value: Any) -> int:
    if isinstance(value, str) and len(value) >= 2:
        low = value.strip().lower()
        for number, name in enumerate(NAMES):
            if low in (name, name[:3], DAYS[number].lower()):
                return number
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 6:
        return value
    raise ValueError("expected a day of the week such as saturday")


def _yearly(value: Any) -> str:
    if isinstance(value, str) and MONTH_DAY.fullmatch(value):
        try:
            date.fromisoformat(f"{LEAP_YEAR}-{value}")
            return value
        except ValueError:
            pass
    raise ValueError('expected a month and day such as "12-25"')


def _date(value: Any) -> Any:
    """A day, or a list of the first and the last."""
    if isinstance(value, Mapping):
        value = [value.get("from"), value.get("to")]
    if not isinstance(value, list):
        return _day(value)
    if len(value) != 2:
        raise ValueError("expected the first and the last day")
    first, last = (_day(one) for one in value)
    if last < first:
        raise ValueError(f"{last} lies before {first}")
    if _length([first, last]) > MOST_DAYS:
        raise ValueError(f"more than {MOST_DAYS} days")
    return [first, last]


def _day(value: Any) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = value.isoformat()  # as YAML reads one
    if isinstance(value, str) and DAY.fullmatch(value):
        try:
            if 1970 <= date.fromisoformat(value).year <= 2999:
                return value
        except ValueError:
            pass
    raise ValueError('expected a day such as "2026-12-24"')


def _event(value: Any) -> Content:
    if not isinstance(value, Mapping) or not {"rule"} <= value.keys():
        raise ValueError('expected {"rule": "DTSTART:…\\nRRULE:…", "days": 1}')
    for key in value:
        if key not in ("rule", "days", "zone"):
            raise ValueError(f"{str(key)[:40]} is not rule, days or zone")
    rule, days = value["rule"], value.get("days", 1)
    if not isinstance(rule, str):
        raise ValueError("rule: expected a text")
    said = read_text(rule)
    if said.start is None:
        raise ValueError("rule: DTSTART is missing")
    if not isinstance(days, int) or isinstance(days, bool):
        raise ValueError("days: expected a whole number")
    if not 1 <= days <= LONGEST_EVENT:
        raise ValueError(f"days: expected from 1 to {LONGEST_EVENT}")
    zone = value.get("zone") or said.zone or "UTC"
    return {"rule": said.text(), "zone": _zone(zone), "days": days}


def _zone(name: Any) -> str:
    try:
        return ZoneInfo(name).key
    except (ValueError, TypeError, OSError, LookupError):
        raise ValueError("zone: is not in the time zone database") from None


READERS: Mapping[str, Callable[[Any], Any]] = {
    "weekdays": _weekday,
    "yearly": _yearly,
    "dates": _date,
    "events": _event,
}


def _length(one: str | list[str]) -> int:
    if isinstance(one, str):
        return 1
    first, last = (date.fromisoformat(text) for text in one)
    return (last - first).days + 1


def of_source(text: str) -> Mapping[str, Any]:
    """The keys of an .ics file or a YAML text. Raises ValueError with a sentence."""
    if (
        "BEGIN:VCALENDAR" in text[:1000].upper()
        or "BEGIN:VEVENT" in text[:1000].upper()
    ):
        from scheduling.vevents import content_of  # icalendar: only where it is read

        return content_of(text)
    return _of_yaml(text)


def _of_yaml(text: str) -> Mapping[str, Any]:
    import yaml  # only where one is read

    if len(text.encode("utf-8", "replace")) > MOST_YAML_BYTES:
        raise ValueError(f"larger than {MOST_YAML_BYTES} bytes, for YAML")
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        said = str(error).splitlines()[0][:120]
        raise ValueError(f"neither .ics nor YAML: {said}") from None
    if isinstance(found, list):
        return {"dates": found}
    if not isinstance(found, dict):
        raise ValueError("expected an .ics file, or YAML with dates, yearly, weekdays")
    for key in found:
        if key not in (*KEYS, "title"):
            raise ValueError(f"{str(key)[:40]}: expected {', '.join(KEYS)} or title")
    return found


def days_of(content: Content) -> UserDays:
    """The set of days; the content is one that read_content gave."""
    yearly = (text.split("-") for text in content["yearly"])
    return UserDays(
        frozenset(content["weekdays"]),
        frozenset((int(month), int(day)) for month, day in yearly),
        tuple(sorted(set(_each(content["dates"])))),
        tuple(_recurring(event) for event in content["events"]),
    )


def _each(dates: list[Any]) -> Iterator[date]:
    for one in dates:
        first = date.fromisoformat(str(_first(one)))
        for number in range(_length(one)):
            yield first + timedelta(days=number)


def _recurring(event: Content) -> RecurringDays:
    said = read_text(event["rule"])
    rule = rule_of(said, ZoneInfo(event["zone"]), None, timedelta())
    return RecurringDays(rule, event["days"])
