"""One schedule's turn in a pass of firing: which of its instants run, wait or do not.

Holds what was decided until firing_writes writes it; reads no database itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from scheduling.models import Occurrence, Schedule
from scheduling.overlap import Replace, Skip, Start, WaitForEnd, judge
from scheduling.timetables import timetable_of
from scheduling.triggers.base import key_of
from scheduling.triggers.missed import ON_TIME, Due, Missed, Passed, all_due, take_due
from scheduling.triggers.timetable import Timetable
from scheduling.window_bars import Live, fall

if TYPE_CHECKING:
    from scheduling.firing_facts import Facts

DISABLED = "the agent is disabled"
WAITS = "waits for the run before it to end"
REPLACED = "a later one took its place"


@dataclass(slots=True)
class Turn:
    schedule: Schedule
    now: datetime
    timetable: Timetable
    due: Due
    next_nominal: datetime | None  # the first instant that is not due yet
    seen: tuple[datetime, datetime | None, int]  # cursor, next due, version: to compare
    outcome: str = "missed"  # of due.passed
    starts: list[Occurrence] = field(default_factory=list)
    others: list[Occurrence] = field(default_factory=list)  # skipped, missed, waiting
    replaced: list[tuple[list[int], bool, Occurrence]] = field(default_factory=list)
    windows: tuple[Live, ...] = ()
    shifted: list[Occurrence] = field(default_factory=list)  # to the end of a window
    next_due_at: datetime | None = None
    must_look_further: bool = False  # next_nominal is taken by a row

    @classmethod
    def begin(cls, schedule: Schedule, now: datetime) -> Turn:
        """Evaluate the rule. Raises whatever a rule that cannot be read raises."""
        seen = (schedule.cursor_at, schedule.next_due_at, schedule.version)
        timetable = timetable_of(schedule)
        turn = cls(
            schedule, now, timetable, Due((), None, schedule.cursor_at), None, seen
        )
        if schedule.paused_at is None:
            turn._take_due()
        return turn

    def _take_due(self) -> None:
        schedule = self.schedule
        cursor_at, now = schedule.cursor_at, self.now
        if schedule.agent.enabled and schedule.agent.retired_at is None:
            self.due = take_due(
                self.timetable,
                cursor_at=cursor_at,
                now=now,
                missed=cast(Missed, schedule.missed),
                catchup_window_s=schedule.catchup_window_s,
            )
        else:
            passed = all_due(
                self.timetable, cursor_at=cursor_at, now=now, reason=DISABLED
            )
            self.outcome = "skipped"
            self.due = Due((), passed, passed.to_at if passed else cursor_at)
        self.next_nominal = self.timetable.next_after(self.due.cursor_at)

    @property
    def keys(self) -> Iterator[str]:
        """Of the instants that may get a row, and of the next one."""
        for nominal in self.due.run:
            yield key_of(nominal)
        if self.due.passed and self.due.passed.count == 1:
            yield key_of(self.due.passed.from_at)
        if self.next_nominal is not None:
            yield key_of(self.next_nominal)

    @property
    def may_overlap(self) -> bool:
        kind = self.schedule.agent.kind
        return kind == "persistent" or self.schedule.overlap != "allow_all"

    @property
    def passed(self) -> Passed | None:
        return self.due.passed

    def decide(self, facts: Facts) -> None:
        """Settle every due instant and find the next one."""
        self.windows = facts.windows
        rows = facts.rows.get(self.schedule.pk, {})
        live = list(facts.live.get(self.schedule.pk, []))
        waiting = [r for r in rows.values() if r.state == "planned" and r.decided_at]
        passed = self.due.passed
        if passed and passed.count == 1 and key_of(passed.from_at) in rows:
            self.due = Due(self.due.run, None, self.due.cursor_at)
        for row in sorted(self._due_rows(rows), key=lambda r: r.due_at):
            self._settle(row, live, waiting)
        self._look_ahead(rows)

    def _due_rows(self, rows: dict[str, Occurrence]) -> Iterator[Occurrence]:
        if self.schedule.paused_at is not None:
            return
        for nominal in self.due.run:
            if key_of(nominal) not in rows:
                yield Occurrence(
                    schedule=self.schedule,
                    key=key_of(nominal),
                    nominal_at=nominal,
                    due_at=self.timetable.due(nominal),
                )
        for row in rows.values():
            if row.state == "planned" and not row.decided_at and row.due_at <= self.now:
                yield row

    def _settle(
        self, row: Occurrence, live: list[int], waiting: list[Occurrence]
    ) -> None:
        if said := self._refusal(row):
            self._note(row, *said)
            return
        if self.windows and self._kept_out(row):
            return
        policy = self.schedule.overlap
        if self.schedule.agent.kind == "persistent" and policy == "allow_all":
            policy = "skip"  # there is never a second one of a persistent agent
        match judge(policy, live=len(live), waiting=len(waiting)):
            case Start():
                self._note(row, "run", "" if row.nominal_at else row.reason)
                self.starts.append(row)
                live.append(0)  # it has no primary key yet
            case Skip(reason=reason):
                self._note(row, "skipped", reason)
            case WaitForEnd():
                self._note(row, "planned", WAITS)
                waiting.append(row)
            case Replace(kill=kill):
                self._replace(row, live, waiting, kill)

    def _refusal(self, row: Occurrence) -> tuple[str, str] | None:
        """Why a due instant does not run at all, as (outcome, reason)."""
        schedule = self.schedule
        if not schedule.agent.enabled or schedule.agent.retired_at is not None:
            return "skipped", DISABLED
        if schedule.max_runs is not None and schedule.fired_count >= schedule.max_runs:
            return "skipped", f"all {schedule.max_runs} runs were used"
        late_s = (self.now - row.due_at).total_seconds()
        grace_s = ON_TIME.total_seconds()
        if schedule.missed != "skip":
            grace_s = max(grace_s, schedule.catchup_window_s)
        if row.moved and late_s > grace_s:
            return "missed", "the scheduler did not run then"
        return None

    def _kept_out(self, row: Occurrence) -> bool:
        """Whether a window of time settled it: skipped, or moved to its end. What only
        waits there is queued, and held back by the plan."""
        schedule = self.schedule
        priority = schedule.priority
        who: dict[str, Any] = {
            "agent_pk": schedule.agent_id,
            "priority": schedule.agent.priority if priority is None else priority,
        }
        fell = fall(self.windows, row.due_at, **who)
        if fell is None and self.now - row.due_at > ON_TIME:
            fell = fall(self.windows, self.now, **who)  # it is made up for
        if fell is None or fell.policy == "queue":
            return False
        if fell.policy == "skip" or fell.until is None:
            self._note(row, "skipped", f"falls into {fell.name}")
            return True
        row.due_at, row.moved = fell.until, True
        row.state, row.reason = "planned", f"moved to the end of {fell.name}"
        self.shifted.append(row)
        return True

    def _note(self, row: Occurrence, state: str, reason: str) -> None:
        row.state, row.reason, row.decided_at = state, reason, self.now
        if state in ("run", "planned"):
            self.schedule.fired_count += 1
        if state != "run":
            self.others.append(row)

    def _replace(
        self, row: Occurrence, live: list[int], waiting: list[Occurrence], kill: bool
    ) -> None:
        """The newest wins: who waits is skipped, what runs is ended."""
        for former in [*waiting, *self.starts]:
            former.state, former.reason = "skipped", REPLACED
            self.schedule.fired_count -= 1
            if former not in self.others:
                self.others.append(former)
        self.starts.clear()
        waiting.clear()
        self._note(row, "planned", WAITS)
        waiting.append(row)
        running = [pk for pk in live if pk]
        live[:] = running
        if running:
            self.replaced.append((running, kill, row))
        else:
            self.others.remove(row)
            row.state, row.reason = "run", ""
            self.starts.append(row)
            live.append(0)

    def _look_ahead(self, rows: dict[str, Occurrence]) -> None:
        """When to look again: the next instant, a moved one, or the end of a pause."""
        self.schedule.cursor_at = self.due.cursor_at
        later = [
            row.due_at
            for row in rows.values()
            if row.state == "planned" and not row.decided_at and row.due_at > self.now
        ]
        if self.next_nominal is not None:
            self.must_look_further = key_of(self.next_nominal) in rows
            later.append(self.timetable.due(self.next_nominal))
        later += [row.due_at for row in self.shifted]
        self.next_due_at = min(later, default=None)
