"""What may be done to a user's calendar. The only writer of Calendar rows.

A change reaches the schedules that use the calendar in the same transaction: what was
due is decided by the days as they were, and what is to come by the new ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction

from agents import journal, redis
from agents.errors import AlreadyExists, Invalid, NotAllowedNow, NotFound
from agents.http import iso
from agents.text import unstorable
from scheduling import books, calendar_days
from scheduling.calendar_content import KEYS, NAMES, Content, of_source, read_content
from scheduling.calendar_days import BUILT_IN, BUSINESS_DAYS, HOLIDAYS, DaySets
from scheduling.calendar_input import NAME
from scheduling.calendar_models import Calendar
from scheduling.kinds import KINDS
from scheduling.models import Schedule

LONGEST_TITLE = 200
MOST_CALENDARS = 200
NEXT_DAYS = 10
DAYS_AHEAD = 2 * 366
LISTED = 20  # schedules named in a refusal
GIVEN = ("name", "title", "source", *KEYS)


def find(name: str) -> Calendar:
    """Raises NotFound."""
    found = Calendar.objects.filter(name=name).first() if NAME.fullmatch(name) else None
    if found is None:
        raise NotFound(f'there is no calendar "{name[:63]}"')
    return found


def check(raw: Mapping[str, Any], *, is_new: bool = True) -> tuple[str, Content]:
    """The title and the content of what was sent. Raises Invalid naming every fault,
    AlreadyExists for a name that is taken."""
    name = raw.get("name") if isinstance(raw, Mapping) else None
    if not isinstance(name, str) or not NAME.fullmatch(name):
        said = "expected small letters, digits, - and _"
        raise Invalid(f"name: {said}", {"name": [said]})
    checked = _checked(raw)
    is_taken = name in BUILT_IN or Calendar.objects.filter(name=name).exists()
    if is_new and is_taken:
        raise AlreadyExists(f'there is a calendar "{name}" already')
    return checked


def create(raw: Mapping[str, Any], *, actor: str, now: datetime) -> Calendar:
    """Raises what `check` raises."""
    title, content = check(raw)
    with transaction.atomic():
        if Calendar.objects.count() >= MOST_CALENDARS:
            raise NotAllowedNow(f"there are {MOST_CALENDARS} calendars already")
        row = Calendar(name=raw["name"], version=0)
        _write(row, title, content, "calendar.created", actor, now)
    return row


def replace(
    name: str, raw: Mapping[str, Any], *, actor: str, now: datetime
) -> Calendar:
    """Other days and another title for the calendar. Raises Invalid, NotFound."""
    row = find(name)
    if isinstance(raw, Mapping) and raw.get("name", name) != name:
        said = "a calendar keeps its name"
        raise Invalid(f"name: {said}", {"name": [said]})
    title, content = _checked(raw)
    with transaction.atomic():
        row = Calendar.objects.select_for_update().get(pk=row.pk)
        _write(row, title, content, "calendar.changed", actor, now)
    return row


def delete(name: str, *, actor: str, now: datetime) -> None:
    """Raises NotFound, and NotAllowedNow naming the schedules that use it."""
    row = find(name)
    with transaction.atomic():
        named = [s for s in _alive() if name in names_in(s)]
        if named:
            told = ", ".join(f"{s.uid} ({s.agent.agent_id})" for s in named[:LISTED])
            more = f" and {len(named) - LISTED} more" if len(named) > LISTED else ""
            raise NotAllowedNow(f"used by {told}{more}")
        touched = list(_touched(name))
        _close(touched, f"the calendar {name} was deleted", actor, now)
        row.delete()
        _tell("calendar.deleted", name, actor, now)
        _follow(touched, name, actor, now)


def _checked(raw: object) -> tuple[str, Content]:
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with a calendar")
    faults = {
        str(key)[:80]: [f"is none of {', '.join(GIVEN)}"]
        for key in list(raw)[:100]
        if key not in GIVEN
    }
    raw = _with_source(raw, faults)
    title = raw.get("title") or ""
    if not isinstance(title, str) or len(title) > LONGEST_TITLE or unstorable(title):
        faults["title"] = [f"expected a text of at most {LONGEST_TITLE} characters"]
    content, wrong = read_content(raw)
    faults |= wrong
    if not faults and not any(content.values()):
        faults["dates"] = [f"give some of {', '.join(KEYS)}, or source"]
    if faults:
        first, said = next(iter(faults.items()))
        raise Invalid(f"{first}: {said[0]}", faults)
    return title, content


def _with_source(
    raw: Mapping[str, Any], faults: dict[str, list[str]]
) -> Mapping[str, Any]:
    """The keys that an .ics file or a YAML text holds, in place of the text."""
    source = raw.get("source")
    if source is None:
        return raw
    if beside := [key for key in KEYS if raw.get(key) is not None]:
        faults["source"] = [f"give it, or {', '.join(beside)}"]
        return raw
    try:
        if not isinstance(source, str):
            raise ValueError("expected the text of an .ics file or YAML")
        return {**of_source(source), **{k: raw[k] for k in ("title",) if k in raw}}
    except ValueError as error:
        faults["source"] = [str(error)[:300]]
        return {}


def _write(
    row: Calendar, title: str, content: Content, kind: str, actor: str, now: datetime
) -> None:
    touched = list(_touched(row.name))
    _close(touched, f"the calendar {row.name} was changed", actor, now)
    row.title, row.content = title, content
    row.version += 1
    row.changed_at, row.changed_by = now, actor
    row.save()
    _tell(kind, row.name, actor, now, version=row.version, **sizes(content))
    _follow(touched, row.name, actor, now)


def sizes(content: Content) -> dict[str, int]:
    return {key: len(content[key]) for key in KEYS}


def _tell(kind: str, name: str, actor: str, now: datetime, **data: Any) -> None:
    journal.record(kind, f"calendar:{name}", actor=actor, at=now, **data)
    transaction.on_commit(partial(redis.wake, "schedule"), robust=True)


# the schedules that use one


def _alive() -> Iterable[Schedule]:
    some = Schedule.objects.filter(ended_at=None).select_related("agent")
    return some.exclude(calendar=None) | some.filter(kind="rule")


def names_in(schedule: Schedule) -> set[str]:
    """The calendars a schedule names: under `calendar`, and in a rule in words."""
    chosen = schedule.calendar or {}
    names = {*chosen.get("on", ()), *chosen.get("except", ())}
    return names | KINDS[schedule.kind].calendars(schedule.rule)


def _touched(name: str) -> Iterator[Schedule]:
    """Those whose days hang on the calendar; a rule in words may in its own ways."""
    means = {name, BUSINESS_DAYS} if name == HOLIDAYS else {name}
    pks = [s.pk for s in _alive() if s.kind == "rule" or means & names_in(s)]
    locked = Schedule.objects.select_for_update(of=("self",)).select_related("agent")
    yield from locked.filter(pk__in=pks).order_by("pk")


def _close(rows: Iterable[Schedule], why: str, actor: str, now: datetime) -> None:
    """Decide what is due by the days as they are."""
    for row in rows:
        reason = f"{why} before it could run"
        books.close(row, outcome="missed", reason=reason, actor=actor, now=now)


def _follow(rows: Iterable[Schedule], name: str, actor: str, now: datetime) -> None:
    """Find the next instants by the new days, and tell of each that changed."""
    stamp = calendar_days.stamp()
    entries = []
    for row in rows:
        before = row.next_due_at
        row.calendars_stamp = stamp
        row.cursor_at = max(row.cursor_at, now)
        row.next_due_at = books.next_due(row)
        row.save(update_fields=["calendars_stamp", "cursor_at", "next_due_at"])
        if row.next_due_at != before:
            data = {"calendar": name, "next_due_at": iso(row.next_due_at)}
            entries.append(
                books.entry("schedule.recalculated", row, actor, now, **data)
            )
    journal.record_many(entries)


def uses() -> Counter[str]:
    """How many schedules name each calendar."""
    return Counter(name for schedule in _alive() for name in names_in(schedule))


def as_sent(content: Content) -> dict[str, Any]:
    """The content with words for weekdays."""
    return {**content, "weekdays": [NAMES[day] for day in content["weekdays"]]}


def next_days(name: str, today: date) -> list[date]:
    """The next days of a calendar, as far as two years ahead."""
    days = DaySets()[name]
    ahead = (today + timedelta(days=n) for n in range(DAYS_AHEAD))
    found = []
    for day in ahead:
        if days.includes(day):
            found.append(day)
            if len(found) == NEXT_DAYS:
                break
    return found
