"""What a day, week, month or list shows: runs one by one, busy agents as one bar a day.

A calendar grid with more than some hundred runs can be read by nobody. So an agent
with many runs on a day becomes one band there, which says how many there are and how
many failed, and when the whole is still too much, the busiest follow. `capped` says
that this happened. Days are those of the time zone asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from scheduling import day_counts, planned, timeline_runs, windows
from scheduling.local_days import (
    day_numbered,
    day_of,
    day_sql,
    days_between,
    numbered,
)
from scheduling.models import Schedule
from scheduling.planned import Outlook, Planned
from scheduling.timeline import Asked, Timeline, fitting
from scheduling.timeline_runs import BEGIN
from scheduling.timetables import rule_of, timetable_of
from scheduling.triggers.base import TICK
from scheduling.triggers.words import remarks_on_clocks

Cell = tuple[int, date]  # an agent on a day
MOST_REMARKS = 50


@dataclass(slots=True)
class Content:
    """What an agent has on a day."""

    runs: int = 0
    failed: int = 0
    live: int = 0
    planned: int = 0
    instants: list[tuple[Schedule, Planned]] = field(default_factory=list)
    too_many: bool = False  # so many are planned that they were only counted

    @property
    def count(self) -> int:
        return self.runs + self.planned


class DayGrid:
    """One answer being put together."""

    def __init__(
        self, asked: Asked, zone: ZoneInfo, singly: int, now: datetime
    ) -> None:
        self.line = Timeline(asked, now)
        self.asked, self.zone, self.singly, self.now = asked, zone, singly, now
        self.days = {d: (lo, hi) for d, lo, hi in days_between(*self.span, zone)}
        self.day = day_sql(BEGIN, zone, *self.span)

    @property
    def span(self) -> tuple[datetime, datetime]:
        return self.asked.start, self.asked.end

    def answer(self) -> dict[str, Any]:
        cells = self.cells()
        whole = self.chosen(cells)
        bands = [self.band(cell, it) for cell, it in cells.items() if cell not in whole]
        room = self.asked.max_items - sum(cells[cell].count for cell in whole)
        if len(bands) > max(room, 1):
            bands = list(self.merged(cells, whole))
        return {
            "items": [*self.run_items(whole), *self.planned_items(cells, whole)],
            "bands": bands,
            "capped": bool(bands),
            "clocks": list(self.clocks()),
            "windows": windows.bands(*self.span),
            "now": self.now,
        }

    def cells(self) -> dict[Cell, Content]:
        cells: dict[Cell, Content] = defaultdict(Content)
        for agent, number, runs, failed, live in self.counted():
            day = min(max(day_numbered(number), self.first_day), self.last_day)
            it = cells[agent, day]
            it.runs += runs
            it.failed += failed
            it.live += live
        for outlook in planned.outlooks(
            *self.span, now=self.now, agents=self.line.window.agents
        ):
            self.add_planned(cells, outlook)
        return dict(sorted(cells.items(), key=lambda pair: (pair[0][1], pair[0][0])))

    @property
    def first_day(self) -> date:
        return next(iter(self.days))

    @property
    def last_day(self) -> date:
        return next(reversed(self.days))

    def counted(self) -> list[tuple[int, int, int, int, int]]:
        """(agent, day, runs, failed, live); what began earlier is on the first day."""
        return day_counts.by_day(self.line.window, self.day)

    def add_planned(self, cells: dict[Cell, Content], outlook: Outlook) -> None:
        schedule = outlook.schedule
        for one in outlook.instants:
            it = cells[schedule.agent_id, day_of(one.due_at, self.zone)]
            it.planned += 1
            it.instants.append((schedule, one))
        if not outlook.is_band:
            return
        timetable = timetable_of(schedule)
        begin = planned.first_undecided(schedule, self.asked.start, self.now)
        left = outlook.count  # fewer than the rule says when `max_runs` ends it
        for day, (low, high) in self.days.items():
            after = max(low - TICK, begin or low)
            count = min(timetable.count(after, high - TICK), left)
            if count > 0:
                left -= count
                cells[schedule.agent_id, day].planned += count
                cells[schedule.agent_id, day].too_many = True

    def chosen(self, cells: dict[Cell, Content]) -> set[Any]:
        """Cells whose runs are shown one by one."""
        sizes: list[tuple[int, Any]] = [
            (it.count, cell) for cell, it in cells.items() if not it.too_many
        ]
        busy = sum(it.too_many or it.count > self.singly for it in cells.values())
        most = self.asked.max_items
        room = most - max(len(self.days), min(busy, most // 2))
        return fitting(sizes, room=room, most=self.singly)

    def run_items(self, whole: Collection[Cell]) -> Iterator[dict[str, Any]]:
        agents_on: dict[int, list[int]] = defaultdict(list)
        for agent, day in whole:
            agents_on[numbered(day)].append(agent)
        chosen = day_counts.condition(self.day, agents_on, numbered(self.first_day))
        runs = timeline_runs.read_where(self.line.window, chosen)
        return (self.line.run_item(run) for run in runs)

    def planned_items(
        self, cells: dict[Cell, Content], whole: Collection[Cell]
    ) -> Iterator[dict[str, Any]]:
        for cell in sorted(whole):
            for schedule, one in cells[cell].instants:
                yield from self.line.planned_items(Outlook(schedule, 1, (one,)))

    def band(self, cell: Cell, it: Content) -> dict[str, Any]:
        agent, day = cell
        low, high = self.days[day]
        return {
            "agent": self.line.agents[agent].agent_id,
            "day": day.isoformat(),
            "from": low,
            "to": high,
            "count": it.count,
            "failed": it.failed,
            "live": it.live,
            "planned": it.planned,
        }

    def merged(
        self, cells: dict[Cell, Content], whole: Collection[Cell]
    ) -> Iterator[dict[str, Any]]:
        """One band a day for all that is too much."""
        for day, (low, high) in self.days.items():
            busy = [it for c, it in cells.items() if c[1] == day and c not in whole]
            if not busy:
                continue
            yield {
                "agent": None,
                "agents": len(busy),
                "day": day.isoformat(),
                "from": low,
                "to": high,
                "count": sum(it.count for it in busy),
                "failed": sum(it.failed for it in busy),
                "live": sum(it.live for it in busy),
                "planned": sum(it.planned for it in busy),
            }

    def clocks(self) -> Iterator[dict[str, str]]:
        """What the clocks do to each rule within the window: runs twice, not at all."""
        start, end = self.span
        told = 0
        schedules = Schedule.objects.filter(planned.ALIVE).only(*planned.COLUMNS)
        for schedule in schedules:
            agent = self.line.agents[schedule.agent_id]
            if self.asked.q and agent not in self.line.shown:
                continue
            timetable = timetable_of(schedule)
            rule = rule_of(timetable)
            for said in remarks_on_clocks(rule, timetable.zone, start, end):
                if told == MOST_REMARKS:
                    return
                told += 1
                yield {"schedule": schedule.uid, "agent": agent.agent_id, "said": said}


def day_grid(
    asked: Asked, zone: ZoneInfo, singly: int, now: datetime
) -> dict[str, Any]:
    """Items, and bands of an agent's day; see the module."""
    return DayGrid(asked, zone, singly, now).answer()
