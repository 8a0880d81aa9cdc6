"""What a schedule will do next, in words and instants: of saved and unsaved ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from agents.errors import Invalid
from agents.http import instant, iso
from agents.models import Agent
from scheduling import books, window_bars
from scheduling.feasibility import BECOMES
from scheduling.kinds import KINDS
from scheduling.models import Occurrence, Schedule
from scheduling.schedule_input import parse_schedule
from scheduling.schedule_surroundings import surround
from scheduling.schedules import anchor_of, check_it_can
from scheduling.timetables import checked_timetable, human, rule_of, timetable_of
from scheduling.triggers.base import key_of
from scheduling.triggers.solar_words import remarks_on_sun
from scheduling.triggers.spans import plural, span
from scheduling.triggers.timetable import Timetable
from scheduling.triggers.words import day_and_time, remarks_on_clocks, remarks_on_days

COUNT = 5  # firings shown when nobody says how many
MOST = 500
MOST_WINDOW_NOTES = 10
CLOCKS_AHEAD = timedelta(days=370)  # changes of the clocks are told a year ahead


@dataclass(frozen=True, slots=True)
class Preview:
    human: str
    firings: list[datetime]
    notes: list[str]


def preview(schedule: Schedule, *, after: datetime, count: int) -> Preview:
    """The next `count` starts after `after`, as they will be: moved ones where they
    were put, jitter included."""
    timetable = timetable_of(schedule)
    firings = upcoming(schedule, timetable, after, count)
    return Preview(
        human(schedule),
        firings,
        notes_on(schedule, timetable, firings, after, count),
    )


def preview_unsaved(
    raw: Mapping[str, Any], *, after: datetime, count: int, now: datetime
) -> Preview:
    """The same for a shape that is not stored; it need not name an agent.

    Raises Invalid naming every fault.
    """
    shape = {"agent": "preview", **raw}
    checked = parse_schedule(shape, default_zone=settings.TIME_ZONE)
    schedule = Schedule(
        uid="",
        agent=Agent(agent_id=checked.agent_id),
        anchor_at=anchor_of(checked.columns, now),
        cursor_at=after,
        **checked.columns,
    )
    check_it_can(schedule)
    surround(schedule)
    timetable = checked_timetable(schedule)
    firings = timetable.between(after, FAR, at_most=_most(schedule, count))
    notes = notes_on(schedule, timetable, firings, after, count)
    return Preview(human(schedule), firings, notes)


FAR = datetime.fromisoformat("2999-12-31T00:00:00+00:00")


def parse_request(raw: object, now: datetime) -> tuple[dict[str, Any], datetime, int]:
    """The shape, the instant to look from and how many firings a body asks for."""
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with a schedule")
    shape = dict(raw)
    after, count = shape.pop("after", None), shape.pop("count", None)
    if count is not None and (not isinstance(count, int) or isinstance(count, bool)):
        count = 0  # out of range: refused with the same words
    moment = now if after is None else instant(after, field="after")
    return shape, moment, count_of(count)


def count_of(value: int | None) -> int:
    """How many firings to show. Raises Invalid out of 1 to MOST."""
    if value is None:
        return COUNT
    if not 1 <= value <= MOST:
        said = f"expected a whole number from 1 to {MOST}"
        raise Invalid(f"count: {said}", {"count": [said]})
    return value


def upcoming(
    schedule: Schedule, timetable: Timetable, after: datetime, count: int
) -> list[datetime]:
    if schedule.ended_at is not None or not schedule.enabled:
        return []
    if schedule.paused_at is not None:
        if schedule.paused_until is None:
            return []
        after = max(after, schedule.paused_until)
    most = _most(schedule, count)
    planned = books.planned_rows(schedule).filter(due_at__gt=after)
    soonest = planned.order_by("due_at")
    moved = list(soonest.values_list("due_at", flat=True)[:most])
    first = after - timedelta(seconds=timetable.jitter_s)
    if after >= schedule.created_at:  # else: what the rule would have done
        first = max(first, schedule.cursor_at)
    nominals = timetable.between(first, FAR, at_most=most + len(moved) + 1)
    taken = taken_keys(schedule, nominals)
    dues = [timetable.due(n) for n in nominals if key_of(n) not in taken]
    return sorted([*moved, *(d for d in dues if d > after)])[:most]


def _most(schedule: Schedule, count: int) -> int:
    if schedule.max_runs is None:
        return count
    return min(count, max(0, schedule.max_runs - schedule.fired_count))


def taken_keys(schedule: Schedule, nominals: list[datetime]) -> set[str]:
    """Of these instants, those that have a row: moved, or run early."""
    if not nominals:
        return set()
    keys = (key_of(nominals[0]), key_of(nominals[-1]))
    rows = Occurrence.objects.filter(schedule=schedule, key__range=keys)
    return set(rows.values_list("key", flat=True))


def notes_on(
    schedule: Schedule,
    timetable: Timetable,
    firings: list[datetime],
    after: datetime,
    count: int,
) -> list[str]:
    """What people should know that the instants do not say."""
    rule = rule_of(timetable)
    return [
        *KINDS[schedule.kind].notes(schedule, after),
        *_state_notes(schedule, timetable),
        *_limit_notes(schedule, timetable, firings, count),
        *remarks_on_days(timetable.trigger, after, _seen_to(firings, after)),
        *_window_notes(schedule, timetable, firings),
        *(said for _, said in remarks_on_sun(rule, after, after + CLOCKS_AHEAD)),
        *remarks_on_clocks(rule, timetable.zone, after, after + CLOCKS_AHEAD),
    ]


def _seen_to(firings: list[datetime], after: datetime) -> datetime:
    """Days that calendars take away are told as far as the instants shown go."""
    return max(firings[-1], after) if firings else after + CLOCKS_AHEAD


def _state_notes(schedule: Schedule, timetable: Timetable) -> list[str]:
    notes = []
    if schedule.ended_at is not None:
        ended = day_and_time(schedule.ended_at, timetable.zone)
        notes.append(f"The schedule ended on {ended}.")
    elif not schedule.enabled:
        notes.append("The schedule is disabled.")
    if schedule.paused_at is not None:
        until = schedule.paused_until
        end = f"until {day_and_time(until, timetable.zone)}" if until else "for now"
        note = f": {schedule.paused_note}" if schedule.paused_note else ""
        notes.append(f"Paused by {schedule.paused_by} {end}{note}.")
    return notes


def _limit_notes(
    schedule: Schedule, timetable: Timetable, firings: list[datetime], count: int
) -> list[str]:
    notes = []
    if schedule.jitter_s:
        length = span(timedelta(seconds=schedule.jitter_s))
        shown = "" if schedule.uid else "; it is not in the times shown"
        notes.append(f"Each start is delayed by up to {length}{shown}.")
    if schedule.start_at is not None:
        notes.append(f"It starts {day_and_time(schedule.start_at, timetable.zone)}.")
    if schedule.end_at is not None:
        notes.append(f"It ends before {day_and_time(schedule.end_at, timetable.zone)}.")
    if schedule.max_runs is not None:
        left = max(0, schedule.max_runs - schedule.fired_count)
        notes.append(f"{plural(left, 'run')} left of {schedule.max_runs}.")
    if not KINDS[schedule.kind].timed:
        notes.append("It is fired by what happens, not at set times.")
    elif len(firings) < count and schedule.ended_at is None:
        notes.append("There are no further runs.")
    return notes


def _window_notes(
    schedule: Schedule, timetable: Timetable, firings: list[datetime]
) -> list[str]:
    """Which of the instants shown fall into a window of time."""
    windows = window_bars.kept() if schedule.agent.pk else ()
    priority = schedule.priority
    if priority is None:
        priority = schedule.agent.priority
    notes = []
    for at in firings if windows else ():
        fell = window_bars.fall(
            windows, at, agent_pk=schedule.agent.pk, priority=priority
        )
        if fell is not None:
            when = day_and_time(at, timetable.zone)
            notes.append(f"{when} falls into {fell.name}; {BECOMES[fell.policy]}.")
    return notes[:MOST_WINDOW_NOTES]


def shape(found: Preview) -> dict[str, Any]:
    return {
        "human": found.human,
        "firings": [iso(at) for at in found.firings],
        "notes": found.notes,
    }
