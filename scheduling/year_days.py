"""A year, day by day: how many runs there were, how many failed, what is planned."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from agents.models import Agent
from scheduling import day_counts, planned
from scheduling.local_days import (
    day_numbered,
    day_of,
    day_sql,
    days_between,
    midnight,
)
from scheduling.planned import Outlook
from scheduling.run_state import FINAL
from scheduling.timeline import matches
from scheduling.timeline_runs import BEGIN, FAILED
from scheduling.timetables import timetable_of
from scheduling.triggers.base import TICK

Counts = dict[str, int]
NAMES = ("succeeded", "failed", "other", "live", "planned")


def year_days(year: int, zone: ZoneInfo, q: str, now: datetime) -> dict[str, Any]:
    """Each day of the year with anything on it, by how its runs ended."""
    start, end = midnight(date(year, 1, 1), zone), midnight(date(year + 1, 1, 1), zone)
    agents = None
    if q:
        agents = [a.pk for a in Agent.objects.all() if matches(a, q)]
    found: dict[date, Counts] = defaultdict(lambda: dict.fromkeys(NAMES, 0))
    day = day_sql(BEGIN, zone, start, end)
    for number, state, count in day_counts.states_by_day(start, end, agents, day):
        found[day_numbered(number)][name_of(state)] += count
    outlooks = planned.outlooks(start, end, now=now, agents=agents)
    for outlook in outlooks:
        add_planned(found, outlook, (start, end), zone, now)
    days = [
        {"day": day.isoformat(), "count": sum(counts.values()), **counts}
        for day, counts in sorted(found.items())
    ]
    return {"year": year, "from": start, "to": end, "days": days, "now": now}


def name_of(state: str) -> str:
    if state == "succeeded":
        return state
    if state in FAILED:
        return "failed"
    return "other" if state in FINAL else "live"


def add_planned(
    found: dict[date, Counts],
    outlook: Outlook,
    span: tuple[datetime, datetime],
    zone: ZoneInfo,
    now: datetime,
) -> None:
    for one in outlook.instants:
        found[day_of(one.due_at, zone)]["planned"] += 1
    begin = planned.first_undecided(outlook.schedule, span[0], now)
    if not outlook.is_band or begin is None:
        return
    timetable, left = timetable_of(outlook.schedule), outlook.count
    for day, low, high in days_between(begin, span[1], zone):
        count = min(timetable.count(max(low - TICK, begin), high - TICK), left)
        if count > 0:
            found[day]["planned"] += count
            left -= count
        if left <= 0:
            return


def year_now(zone: ZoneInfo, now: datetime) -> int:
    return now.astimezone(UTC).astimezone(zone).year
