"""The order of the queue in its modes, and that nobody starves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.planner.admission import Admit, plan
from scheduling.planner.snapshot import (
    NodeView,
    Occupied,
    QueueClass,
    Resources,
    Snapshot,
    WaitingRun,
)
from scheduling.task_queue import Ageing, earned, key_of, order

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENV, CORE = "subprocess", Resources(1000, 10**9)
TEN_MINUTES = Ageing(600, 7200)


def run(id: int, priority: int, came_s: float, **also) -> WaitingRun:
    return WaitingRun(id, 0, NOON + timedelta(seconds=came_s), priority, **also)


def ids(mode: str, runs, at_s: float = 0, ageing: Ageing = TEN_MINUTES) -> list[int]:
    now = NOON + timedelta(seconds=at_s)
    return [r.id for r in order(mode, [[r] for r in runs], now=now, ageing=ageing)]


def test_ten_minutes_of_waiting_weigh_as_much_as_one_priority() -> None:
    older, younger = run(1, 1, 0), run(2, 2, 601)
    assert ids("priority", [younger, older], 700) == [1, 2]
    assert ids("priority", [replace(younger, due_at=NOON), older], 700) == [2, 1]


def test_critical_goes_before_what_has_aged_but_not_before_the_overdue() -> None:
    aged, critical = run(1, 0, 0), run(2, 4, 7000)
    assert ids("priority", [aged, critical], 7100) == [2, 1]
    assert ids("priority", [aged, critical], 7200) == [1, 2]


def test_without_ageing_only_the_priority_counts() -> None:
    old, fresh = run(1, 0, 0), run(2, 1, 10**6)
    assert ids("priority", [old, fresh], 10**6, Ageing()) == [2, 1]
    assert ids("priority", [old, fresh], 10**6, Ageing(0, 3600)) == [1, 2]


@pytest.mark.parametrize("mode", ["fifo", "lifo", "priority"])
def test_who_is_put_to_the_front_goes_first_in_every_mode(mode) -> None:
    others = [run(1, 4, -9000), run(2, 4, 0), run(3, 0, 50)]
    assert ids(mode, [*others, run(9, 0, 10, front=True)], 100)[0] == 9


runs_drawn = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 20_000)), min_size=1, max_size=30
)
ageings = st.builds(
    Ageing, st.sampled_from([0, 60, 600]), st.sampled_from([0, 900, 7200])
)


@given(runs_drawn, ageings, st.sampled_from(["fifo", "lifo", "priority"]))
def test_a_class_read_by_its_place_in_line_is_in_the_modes_order(
    drawn, ageing, mode
) -> None:
    """What the merge of the classes relies on."""
    now = NOON + timedelta(seconds=20_000)
    key = key_of(mode, now, ageing)
    sign = -1 if mode == "lifo" else 1
    for priority in range(5):
        line = [run(i, p, s) for i, (p, s) in enumerate(drawn) if p == priority]
        line.sort(key=lambda r: (sign * r.due_at.timestamp(), sign * r.id))
        assert line == sorted(line, key=key)


@given(runs_drawn, st.integers(0, 4), st.integers(0, 10_000))
def test_nothing_younger_goes_before_who_has_waited_the_longest_wait(
    drawn, priority, came_s
) -> None:
    old = run(1000, priority, came_s)
    others = [run(i, p, s) for i, (p, s) in enumerate(drawn)]
    at = came_s + 7200
    there = [o for o in others if o.due_at <= NOON + timedelta(seconds=at)]
    line = ids("priority", [old, *there], at)
    before = line[: line.index(old.id)]
    assert all(others[i].due_at <= old.due_at for i in before)


@given(runs_drawn, st.integers(0, 3), st.integers(0, 10_000))
def test_nothing_but_critical_passes_who_came_that_many_levels_earlier(
    drawn, priority, came_s
) -> None:
    """Of two that are not critical the later one never goes first once it came
    (3 - priority) times the ageing after the earlier."""
    old = run(1000, priority, came_s)
    others = [run(i, min(p, 3), s) for i, (p, s) in enumerate(drawn)]
    line = ids("priority", [old, *others], 20_000, Ageing(600, 0))
    lead = timedelta(seconds=(3 - priority) * 600)
    before = line[: line.index(old.id)]
    assert all(others[i].due_at <= old.due_at + lead for i in before)


# --- a queue in which something more urgent comes forever -----------------------------


@dataclass
class Simulated:
    """Slots that free up and runs that come; each admission is timed."""

    slots: int
    takes_s: int
    ageing: Ageing

    def __post_init__(self) -> None:
        self.waiting: list[WaitingRun] = []
        self.ends: list[int] = []
        self.waited: dict[int, float] = {}

    def snapshot(self, at_s: int) -> Snapshot:
        held = Occupied("n1", Resources(1000 * len(self.ends)), len(self.ends))
        classes = []
        for priority in range(5):
            line = [r for r in self.waiting if r.priority == priority]
            line.sort(key=lambda r: (r.due_at, r.id))
            if line:
                name = f"{4 - priority}"
                first = tuple(line[:3])
                classes.append(QueueClass(name, ENV, CORE, priority, first))
        room = Resources(1000 * self.slots, 10**12)
        return Snapshot(
            nodes={"n1": NodeView("n1", room, frozenset({ENV}))},
            occupied=(held,),
            preemptible=(),
            waiting=tuple(classes),
            slots=self.slots,
            now=NOON + timedelta(seconds=at_s),
            ageing=self.ageing,
        )

    def step(self, at_s: int, arrives: list[WaitingRun]) -> None:
        self.waiting += arrives
        self.ends = [end for end in self.ends if end > at_s]
        admitted = [d.run for d in plan(self.snapshot(at_s)) if isinstance(d, Admit)]
        for run in admitted:
            self.waiting.remove(run)
            self.ends.append(at_s + self.takes_s)
            came_s = (run.due_at - NOON).total_seconds()
            self.waited[run.id] = at_s - came_s


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=6),
    st.integers(1, 3),
    st.integers(1, 4),
    st.sampled_from([Ageing(0, 300), Ageing(60, 300), Ageing(100, 600)]),
)
def test_nobody_starves_however_long_something_more_urgent_comes(
    humble, slots, takes, ageing
) -> None:
    """Critical runs come as fast as there is room, forever. Whoever waited when they
    began starts within the longest wait, and then one start for each one older."""
    takes_s, every_s = takes * 10, 10
    world = Simulated(slots, takes_s, ageing)
    first = [run(i, p, 0) for i, p in enumerate(humble)]
    bound_s = ageing.longest_wait_s + (len(humble) // slots + 1) * takes_s + every_s
    fresh = 1000
    for at_s in range(0, int(bound_s) + every_s, every_s):
        come = [run(fresh + n, 4, at_s) for n in range(slots)]
        fresh += slots
        world.step(at_s, (first if at_s == 0 else []) + come)
    assert all(world.waited.get(r.id, 10**9) <= bound_s for r in first)


def test_what_a_wait_has_earned_is_at_most_high_until_it_is_overdue() -> None:
    assert [earned(0, s, TEN_MINUTES) for s in (0, 600, 1800, 7199, 7200)] == [
        *(0, 1, 3, 3, 4)
    ]
    assert earned(2, 10**6, Ageing()) == 2
