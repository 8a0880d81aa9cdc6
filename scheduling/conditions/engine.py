"""Conditions over values in memory: each message is looked at, every edge is seen.

No database and no clock here. What is to be written collects until `take` hands it
over as a whole: firings, the states behind them and the values they came from belong
together in one transaction.
"""

from __future__ import annotations

import heapq
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scheduling.conditions import cel, rules, values
from scheduling.conditions.rules import Condition
from scheduling.conditions.values import Held
from scheduling.sensor_values import LEAST, Value
from scheduling.triggers.condition import (
    Fired,
    State,
    WaitUntil,
    advance,
    cooling_until,
)

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Firing:
    schedule_id: int
    key: str
    at: datetime
    params: Mapping[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A schedule with a condition, as its row has it."""

    schedule_id: int
    version: int
    rule: str
    zone: str
    start_at: datetime | None
    end_at: datetime | None
    enabled: bool
    kept: Mapping[str, Any] | None  # trigger_state

    @property
    def mark(self) -> int:
        """What its state belongs to: another rule begins anew."""
        return zlib.crc32(f"{self.zone} {self.rule}".encode())


class Watch:
    """A condition that is watched: compiled, with its state."""

    def __init__(self, given: Definition, kinds: Mapping[str, cel.Kind]) -> None:
        self.given = given
        self.condition: Condition = rules.parse(given.rule)
        self.zone = ZoneInfo(given.zone)
        self.when = cel.program(self.condition.when, kinds)
        again = self.condition.reset_when
        self.reset = None if again is None else cel.program(again, kinds)
        self.machine = self.condition.machine
        named = {r.variable: r for r in rules.all_references(self.condition)}
        self.references = tuple(named.values())
        self.sensors = rules.names_of(self.condition, "sensors")
        self.ticks = any(
            r.root != "sensors" or r.field == "age" for r in self.references
        )
        self.state, self.waits = restored(given)
        self.timer_at: datetime | None = None  # the one that stands in the heap

    def is_on(self, now: datetime) -> bool:
        given = self.given
        begun = given.start_at is None or given.start_at <= now
        return given.enabled and begun and (given.end_at is None or now < given.end_at)


@dataclass(slots=True)
class Taken:
    """What is to be written together."""

    firings: list[Firing] = field(default_factory=list)
    states: dict[int, dict[str, Any]] = field(default_factory=dict)


class Engine:
    def __init__(self) -> None:
        self.held: dict[str, Held] = {}
        self.watches: dict[int, Watch] = {}
        self.by_sensor: dict[str, list[Watch]] = {}
        self.facts: Mapping[str, Any] = {}
        self.now = EARLIEST
        self.firings: list[Firing] = []
        self.dirty: set[int] = set()
        self._timers: list[tuple[datetime, int, str, Any]] = []
        self._stale_timers: set[str] = set()
        self._count = 0

    # -- what is watched -------------------------------------------------------------

    def watch(
        self,
        given: Iterable[Definition],
        held: Mapping[str, Held],
        kinds: Mapping[str, cel.Kind],
        now: datetime,
    ) -> dict[int, str]:
        """Watch exactly these. What is known of a sensor already stays; why a condition
        cannot be watched is told by schedule."""
        now = self._reach(now)
        for name in self.held.keys() - held.keys():
            del self.held[name]
        for name, one in held.items():
            known = self.held.setdefault(name, one)
            known.stale_after_s = one.stale_after_s
            self._await_stale(name)
        fresh, faults = self._made(given, kinds)
        self.by_sensor = {}
        for watch in self.watches.values():
            for name in watch.sensors:
                self.by_sensor.setdefault(name, []).append(watch)
        for watch in fresh:
            self.look(watch, now)
        return faults

    def _made(
        self, given: Iterable[Definition], kinds: Mapping[str, cel.Kind]
    ) -> tuple[list[Watch], dict[int, str]]:
        before, self.watches = self.watches, {}
        fresh, faults = [], {}
        for one in given:
            old = before.get(one.schedule_id)
            if old is not None and replace(old.given, kept=one.kept) == one:
                self.watches[one.schedule_id] = old
                continue
            try:
                watch = Watch(one, kinds)
            except ValueError as fault:
                faults[one.schedule_id] = f"cannot be asked: {fault}"
                continue
            if old is not None and old.given.mark == one.mark:
                watch.state, watch.waits = old.state, old.waits
            self.watches[one.schedule_id] = watch
            fresh.append(watch)
        return fresh, faults

    @property
    def ticking(self) -> list[Watch]:
        return [watch for watch in self.watches.values() if watch.ticks]

    # -- what happens ----------------------------------------------------------------

    def feed(
        self,
        name: str,
        value: Value,
        at: datetime,
        now: datetime,
        *,
        edges: bool = True,
    ) -> None:
        """A sensor's new value. `edges` False: a change of level by it is no edge."""
        now = self.expire(now)
        held = self.held.get(name)
        if held is None:
            return
        held.previous, held.value, held.at = held.value, value, at
        self._await_stale(name)
        for watch in self.by_sensor.get(name, ()):
            self.look(watch, now, edges=edges)

    def tick(self, facts: Mapping[str, Any], now: datetime) -> None:
        """Time went on, and runs, agents and nodes are as `facts` has them."""
        now = self.expire(now)
        self.facts = facts
        for watch in self.ticking:
            self.look(watch, now)

    def expire(self, now: datetime) -> datetime:
        """All that time alone brings about up to `now`, each at its own instant."""
        while self._timers and self._timers[0][0] <= now:
            at, _, kind, what = heapq.heappop(self._timers)
            moment = self._reach(at)
            if kind == "stale":
                self._went_stale(what, moment)
            elif what.timer_at == at:
                self._came_due(what, moment)
        return self._reach(now)

    def next_timer(self) -> datetime | None:
        return self._timers[0][0] if self._timers else None

    def look(self, watch: Watch, now: datetime, *, edges: bool = True) -> None:
        """Ask the condition once, and note what follows."""
        known = values.variables(
            watch.references, self.held, self.facts, watch.zone, now
        )
        level, reset = cel.Level(None, "is not to be watched now"), None
        if watch.is_on(now):
            level = watch.when.level(known)
            if watch.reset is not None:
                reset = watch.reset.level(known).value is True
        if level.value is not None and is_calm(watch, level.value, reset):
            return
        state, outcome = advance(
            watch.machine,
            watch.state,
            level.value,
            now,
            reset=reset,
            edges=edges,
        )
        waits = "" if level.value is not None else self._waits(watch, known, level, now)
        if state != watch.state or waits != watch.waits:
            self.dirty.add(watch.given.schedule_id)
        watch.state, watch.waits = state, waits
        if isinstance(outcome, Fired):
            self.firings.append(firing(watch, outcome, known, now))
            if watch.condition.mode == "level":
                cooled = timedelta(seconds=watch.condition.cooldown_s)
                self._await_due(watch, now + cooled)
        elif isinstance(outcome, WaitUntil):
            self._await_due(watch, outcome.at)

    def _waits(
        self, watch: Watch, known: Mapping[str, Any], level: cel.Level, now: datetime
    ) -> str:
        lacking = ""
        if watch.is_on(now):
            lacking = values.missing(watch.when.references, known, self.held, now)
        return (lacking or f"unknown: {level.error}")[:300]

    # -- time ------------------------------------------------------------------------

    def _reach(self, now: datetime) -> datetime:
        """Time here never stands still or goes back: edges are named by theirs."""
        self.now = max(now, self.now + LEAST)
        return self.now

    def _await_due(self, watch: Watch, at: datetime) -> None:
        if watch.timer_at is None or at < watch.timer_at:
            watch.timer_at = at
            self._push(at, "due", watch)

    def _await_stale(self, name: str) -> None:
        at = self.held[name].stale_at()
        if at is not None and name not in self._stale_timers:
            self._stale_timers.add(name)
            self._push(at, "stale", name)

    def _went_stale(self, name: str, now: datetime) -> None:
        self._stale_timers.discard(name)
        held = self.held.get(name)
        if held is None:
            return
        if not held.is_stale(now):
            self._await_stale(name)  # a newer value came
            return
        for watch in self.by_sensor.get(name, ()):
            self.look(watch, now)

    def _came_due(self, watch: Watch, now: datetime) -> None:
        watch.timer_at = None
        if (
            self.watches.get(watch.given.schedule_id) is watch
        ):  # else: another took over
            self.look(watch, now)

    def _push(self, at: datetime, kind: str, what: Any) -> None:
        self._count += 1
        heapq.heappush(self._timers, (at, self._count, kind, what))

    # -- what is written -------------------------------------------------------------

    def take(self) -> Taken:
        """What happened since the last time."""
        taken = Taken(self.firings)
        for schedule_id in self.dirty:
            if (watch := self.watches.get(schedule_id)) is not None:
                taken.states[schedule_id] = kept(watch, self.now)
        self.firings, self.dirty = [], set()
        return taken

    def give_back(self, taken: Taken) -> None:
        """It could not be written; it stands first in line again."""
        self.firings = taken.firings + self.firings
        self.dirty |= taken.states.keys() & self.watches.keys()


def is_calm(watch: Watch, level: bool, reset: bool | None) -> bool:
    """Nothing can follow: it is as it was, and neither holds nor comes to be armed."""
    state = watch.state
    if state.level is not level or state.true_since is not None or watch.waits:
        return False
    if level and watch.condition.mode == "level":
        return False
    return state.armed or not (reset if reset is not None else not level)


def firing(
    watch: Watch, fired: Fired, known: Mapping[str, Any], now: datetime
) -> Firing:
    condition = watch.condition
    shown = values.by_name(watch.when.references, known)
    reason = rules.filled(
        condition.when,
        lambda one: f"{one.label} {values.text_of(values.shown(one, known))}",
    )
    if condition.hold_s:
        reason += f" for {rules.length(condition.hold_s)}"
    return Firing(
        watch.given.schedule_id,
        f"{condition.mode}-{fired.edge_at:%Y%m%dT%H%M%S.%fZ}",
        now,
        {"trigger": shown},
        reason,
    )


def kept(watch: Watch, now: datetime) -> dict[str, Any]:
    """The state as the schedule's row keeps it, and as the API shows it."""
    state = watch.state
    cooling = cooling_until(watch.machine, state, now)
    return {
        "rule": watch.given.mark,
        "level": state.level,
        "armed": state.armed,
        "true_since": iso(state.true_since),
        "fired_at": iso(state.fired_at),
        "cooling_until": iso(cooling),
        "waits": watch.waits or None,
    }


def iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def restored(given: Definition) -> tuple[State, str]:
    """The state kept for the same rule; else a fresh one."""
    kept = given.kept
    if not isinstance(kept, Mapping) or kept.get("rule") != given.mark:
        return State(), ""
    state = State(
        kept.get("level"),
        bool(kept.get("armed", True)),
        instant(kept.get("true_since")),
        instant(kept.get("fired_at")),
    )
    return state, kept.get("waits") or ""


def instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
