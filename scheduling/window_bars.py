"""What the windows of time bar at an instant: agents, nodes, and until when.

Asked at every firing and every plan, so the windows are kept for a second; while there
are none that costs nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from threading import Lock
from zoneinfo import ZoneInfo

from agents.models import Agent
from scheduling.kinds import KINDS
from scheduling.kinds.base import Context
from scheduling.planner.snapshot import QueueClass, Snapshot, Unmet
from scheduling.triggers.timetable import Timetable
from scheduling.triggers.windows import (
    Once,
    Recurring,
    Rule,
    free_after,
    is_barred,
)
from scheduling.triggers.words import day_and_time
from scheduling.window_models import POLICIES, Window

KEPT_S = 1.0


@dataclass(frozen=True, slots=True)
class Live:
    """A window with what it concerns. `agents` None: every one."""

    row: Window
    rule: Rule
    agents: frozenset[int] | None = None
    nodes: frozenset[str] = frozenset()

    @property
    def code(self) -> str:
        return f"window:{self.row.pk}"

    @property
    def is_allowed(self) -> bool:
        return self.row.kind == "allowed"

    def concerns(self, agent_pk: int, priority: int, node: str = "") -> bool:
        least = self.row.except_priority
        if least is not None and priority >= least:
            return False
        if self.row.scope == "nodes":
            return node in self.nodes
        return self.agents is None or agent_pk in self.agents

    def words(self, at: datetime) -> str:
        """The window and when what it bars at this instant is free of it."""
        zone = ZoneInfo(self.row.timezone)
        if self.is_allowed:
            opens = self.rule.next_start(at)
            when = f"at {day_and_time(opens, zone)}" if opens else "never again"
            return f"the start of window '{self.row.name}' {when}"
        stretch = self.rule.covering(at)
        ends = stretch.end if stretch else at
        when = f"at {day_and_time(ends, zone)}" if ends else "which does not come"
        return f"the end of {self.row.kind} '{self.row.name}' {when}"


@dataclass(frozen=True, slots=True)
class Fall:
    """An instant that falls into windows: what becomes of it, and who says so."""

    policy: str
    name: str  # "blackout 'release'"
    words: str  # "the end of blackout 'release' at …"
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Bar:
    """Agents that may not start now. `agents` None: all but `others`."""

    agents: frozenset[int] | None
    others: frozenset[int]
    below: int | None  # priorities from this one on may
    code: str
    text: str

    def hits(self, agent_pk: int, priority: int) -> bool:
        if agent_pk in self.others or not (self.below is None or priority < self.below):
            return False
        return self.agents is None or agent_pk in self.agents

    def sql(self, run: str) -> str:
        """Of the runs it holds back. Only numbers of ours stand in it."""
        if self.agents is not None:
            said = _among(f"{run}.agent_id", self.agents - self.others)
        else:
            said = f"NOT {_among(f'{run}.agent_id', self.others)}"
        below = "" if self.below is None else f" AND {run}.priority < {self.below}"
        return f"({said}{below})"


def _among(column: str, keys: frozenset[int]) -> str:
    named = ", ".join(str(int(key)) for key in sorted(keys))
    return f"({column} IN ({named}))" if named else "(1 = 0)"


class _Kept:
    def __init__(self) -> None:
        self.lock = Lock()
        self.windows: tuple[Live, ...] = ()
        self.good_until = 0.0


_kept = _Kept()


def kept() -> tuple[Live, ...]:
    """The windows as of at most KEPT_S ago."""
    if time.monotonic() >= _kept.good_until:
        with _kept.lock:
            _kept.windows = tuple(_read())
            _kept.good_until = time.monotonic() + KEPT_S
    return _kept.windows


def forget() -> None:
    _kept.good_until = 0.0


def _read() -> Iterator[Live]:
    rows = list(Window.objects.order_by("pk"))
    by_agents = [row for row in rows if row.scope in ("agents", "tags")]
    columns = ("pk", "agent_id", "tags")
    agents = list(Agent.objects.values_list(*columns)) if by_agents else []
    for row in rows:
        chosen: frozenset[int] | None = None
        if row.scope in ("agents", "tags"):
            chosen = frozenset(
                pk
                for pk, agent_id, tags in agents
                if set(row.names) & ({agent_id} if row.scope == "agents" else {*tags})
            )
        nodes = frozenset(row.names) if row.scope == "nodes" else frozenset()
        yield Live(row, rule_of(row), chosen, nodes)


def rule_of(row: Window) -> Rule:
    if row.from_at is not None and row.to_at is not None:
        return Once(row.from_at, row.to_at)
    return _recurring(row.cron, row.timezone, row.length_s or 0)


@lru_cache(maxsize=1024)
def _recurring(cron: str, timezone: str, length_s: int) -> Recurring:
    zone = ZoneInfo(timezone)
    trigger = KINDS["cron"].trigger(cron, Context(zone))
    return Recurring(Timetable(trigger, zone), timedelta(seconds=length_s))


def fall(
    windows: Sequence[Live],
    at: datetime,
    *,
    agent_pk: int,
    priority: int,
    node: str = "",
) -> Fall | None:
    """What an instant of this agent falls into; the strictest policy holds."""
    mine = [w for w in windows if w.concerns(agent_pk, priority, node)]
    closed = [w for w in mine if not w.is_allowed]
    allowed = [w for w in mine if w.is_allowed]
    rules = [w.rule for w in closed], [w.rule for w in allowed]
    if not mine or not is_barred(*rules, at):
        return None
    held = [w for w in closed if w.rule.covering(at)] or allowed
    first = min(held, key=lambda w: POLICIES.index(w.row.policy))
    name = f"window '{first.row.name}'" if first.is_allowed else str_of(first.row)
    return Fall(first.row.policy, name, first.words(at), free_after(*rules, at))


def str_of(row: Window) -> str:
    return f"{row.kind} '{row.name}'"


def bars(at: datetime) -> list[Bar]:
    """The agents that may not start at this instant, wherever."""
    windows = [w for w in kept() if w.row.scope != "nodes"]
    is_open = [w for w in windows if w.is_allowed and w.rule.covering(at)]
    if any(w.agents is None for w in is_open):
        free, shut_allowed = frozenset[int](), []
    else:
        free = frozenset(pk for w in is_open for pk in w.agents or ())
        shut_allowed = [w for w in windows if w.is_allowed and w not in is_open]
    shut = [w for w in windows if not w.is_allowed and w.rule.covering(at)]
    return [_bar(w, frozenset(), at) for w in shut] + [
        _bar(w, free, at) for w in shut_allowed
    ]


def _bar(window: Live, free: frozenset[int], at: datetime) -> Bar:
    text = f"waits for {window.words(at)}"
    return Bar(window.agents, free, window.row.except_priority, window.code, text)


def bar_on(agent_pk: int, priority: int, at: datetime) -> Bar | None:
    """What holds back a waiting run of this agent, if anything."""
    return next((bar for bar in bars(at) if bar.hits(agent_pk, priority)), None)


def on(
    snapshot: Snapshot, held: Sequence[tuple[QueueClass, Bar]], at: datetime
) -> Snapshot:
    """The snapshot with what windows hold back: classes of runs that may be nowhere
    now, and the nodes that are closed to the others."""
    shut = [w for w in kept() if w.nodes and w.is_allowed != bool(w.rule.covering(at))]
    waiting = list(snapshot.waiting)
    if shut:
        waiting = [_with_nodes(one, snapshot.nodes, shut, at) for one in waiting]
    for one, bar in held:
        unmet = dict.fromkeys(snapshot.nodes, Unmet(bar.code, bar.text))
        waiting.append(replace(one, unmet=unmet))
    return replace(snapshot, waiting=tuple(waiting))


def _with_nodes(
    one: QueueClass, nodes: Iterable[str], shut: Sequence[Live], at: datetime
) -> QueueClass:
    found = dict(one.unmet)
    for node in nodes:
        for window in shut:
            if node not in found and window.concerns(0, one.priority, node):
                text = f"waits for {window.words(at)}"
                found[node] = Unmet(window.code, text)
    return replace(one, unmet=found) if found else one
