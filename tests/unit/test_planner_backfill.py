"""Backfill and gangs: gaps are filled, and nobody large is put off by it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.planner.admission import Admit, Preempt, Wait, overtakes, plan, written
from scheduling.planner.snapshot import (
    End,
    HeldRun,
    Horizon,
    Occupied,
    Resources,
    Snapshot,
    WaitingRun,
)
from scheduling.planner.wishes import Near, Wishes
from tests.unit.test_admission import NOON, admitted, cpu, line, node, snap


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def ending(where: str, need: Resources, after: float | None) -> End:
    return End(where, need, None if after is None else NOON + minutes(after))


def blocked_head(length: float | None, need: Resources, ends=((1, 10),)) -> Snapshot:
    """A node of 2 cores, one of them in use; a run of 2 cores waits, a small one
    behind it would fit. `ends`: cores and minutes until they are free."""
    holding = [HeldRun(90 + n, "n1", 4, cpu(c)) for n, (c, _) in enumerate(ends)]
    waiting = [line("big", cpu(2), runs=(1,)), line("small", need, runs=(2,))]
    lengths = {} if length is None else {2: minutes(length)}
    found = snap(waiting, holding, preemption=False)
    horizon = Horizon(NOON, tuple(ending("n1", cpu(c), m) for c, m in ends), lengths)
    return replace(found, horizon=horizon)


def test_who_is_over_by_then_passes() -> None:
    assert admitted(plan(blocked_head(10, cpu(1)))) == [2]


def test_who_would_put_the_head_off_waits_and_is_told_until_when() -> None:
    big, small = plan(blocked_head(11, cpu(1)))
    assert (big.why.code, small.why.code) == ("busy:CPU", "reserved")
    assert "expected at 2026-11-23 12:10:00 UTC" in small.why.text


def test_who_says_nothing_of_its_length_may_not_put_the_head_off() -> None:
    assert admitted(plan(blocked_head(None, cpu(1)))) == []


def test_room_beside_the_head_is_anybodys() -> None:
    two = [node("n1"), node("n2")]
    crowded = replace(blocked_head(None, cpu(1)), nodes={n.name: n for n in two})
    other = HeldRun(80, "n2", 4, cpu(0.5))
    occupied = (*crowded.occupied, Occupied("n2", other.need, 1))
    snapshot = replace(crowded, occupied=occupied)
    (small,) = [d for d in plan(snapshot) if isinstance(d, Admit)]
    assert (small.run.id, small.node) == (2, "n2")


def test_room_beside_the_head_is_given_once() -> None:
    waiting = [line("big", cpu(3), runs=(1,)), line("small", cpu(1), runs=(2, 3))]
    holding = [HeldRun(90, "n1", 4, cpu(2))]
    horizon = Horizon(NOON, (ending("n1", cpu(2), 10),), {})
    four = [node("n1", cpu(4, 8))]
    found = snap(waiting, holding, nodes=four, preemption=False)
    assert admitted(plan(replace(found, horizon=horizon))) == [2]


def test_what_never_ends_reserves_nothing() -> None:
    snapshot = blocked_head(None, cpu(1), ends=((1, None),))
    assert admitted(plan(snapshot)) == [2]


def test_a_shorter_one_of_the_same_class_still_passes() -> None:
    waiting = [line("big", cpu(2), runs=(1,)), line("small", cpu(1), runs=(2, 3))]
    horizon = Horizon(
        NOON, (ending("n1", cpu(1), 10),), {2: minutes(60), 3: minutes(5)}
    )
    holding = [HeldRun(90, "n1", 4, cpu(1))]
    decisions = plan(replace(snap(waiting, holding, preemption=False), horizon=horizon))
    assert admitted(decisions) == [3]
    assert [d.run.id for d in decisions if isinstance(d, Wait)] == [1, 2]


def test_slots_are_reserved_too() -> None:
    waiting = [line("big", cpu(2), runs=(1,)), line("small", cpu(0.1), runs=(2,))]
    two = [node("n1"), node("n2", cpu(1, 1))]
    holding = [HeldRun(90, "n1", 4, cpu(2))]
    horizon = Horizon(NOON, (ending("n1", cpu(2), 10),), {2: minutes(60)})
    one_slot_left = snap(waiting, holding, nodes=two, preemption=False, slots=1)
    assert admitted(plan(replace(one_slot_left, horizon=horizon))) == []
    assert admitted(plan(replace(one_slot_left, horizon=horizon, slots=2))) == [2]


def test_victims_are_not_asked_for_somebody_who_would_put_the_head_off() -> None:
    snapshot = blocked_head(60, cpu(1.5))
    low = HeldRun(70, "n1", 0, cpu(0.5))
    held = (*snapshot.occupied, Occupied("n1", low.need, 1))
    urgent = line("small", cpu(0.75), priority=1, runs=(2,))
    asked = replace(
        snapshot,
        occupied=held,
        preemptible=(low,),
        waiting=(line("big", cpu(2), runs=(1,)), urgent),
        horizon=replace(
            snapshot.horizon,
            ends=(*snapshot.horizon.ends, ending("n1", cpu(0.5), 10)),
        ),
    )
    assert not [d for d in plan(asked) if isinstance(d, Preempt)]
    unguarded = replace(asked, horizon=None)
    asked_to = [d.victims for d in plan(unguarded) if isinstance(d, Preempt)]
    assert [[v.run for v in victims] for victims in asked_to] == [[low]]


def test_the_horizon_is_only_needed_when_somebody_is_overtaken() -> None:
    waits = replace(blocked_head(None, cpu(1)), horizon=None)
    assert overtakes(plan(waits))
    assert not overtakes(plan(replace(waits, waiting=waits.waiting[:1])))
    never = replace(waits, waiting=(line("b", cpu(64), runs=(1,)), waits.waiting[1]))
    assert not overtakes(plan(never)), "who can never start is not overtaken"


# -- a machine room on paper -----------------------------------------------------------


@dataclass
class Job:
    id: int
    arrives: int
    length: int
    need: Resources
    priority: int = 2
    gang: str = ""
    started: int | None = None
    where: str = ""
    promised: list[int] = field(default_factory=list)  # its reservations, in order


class Room:
    """Runs a trace through the planner, minute by minute, with true lengths."""

    def __init__(self, jobs: list[Job], nodes, mode: str, *, easy: bool, slots=100):
        self.jobs, self.mode, self.easy, self.slots = jobs, mode, easy, slots
        self.nodes = {n.name: n for n in nodes}
        self.now = 0

    def at(self, minute: int) -> datetime:
        return NOON + minutes(minute)

    def live(self) -> list[Job]:
        return [
            j
            for j in self.jobs
            if j.started is not None and self.now < j.started + j.length
        ]

    def snapshot(self) -> Snapshot:
        queued = [j for j in self.jobs if j.started is None and j.arrives <= self.now]
        classes = {}
        for job in sorted(queued, key=lambda j: (j.arrives, j.gang, j.id)):
            alike = (job.need, job.priority, bool(job.gang))
            classes.setdefault(alike, []).append(job)
        waiting = tuple(
            replace(
                line(str(number), alike[0], alike[1]),
                first=tuple(
                    WaitingRun(j.id, 0, self.at(j.arrives), j.priority, gang=j.gang)
                    for j in jobs
                ),
            )
            for number, (alike, jobs) in enumerate(classes.items())
        )
        live = self.live()
        horizon = Horizon(
            self.at(self.now),
            tuple(End(j.where, j.need, self.at(j.started + j.length)) for j in live),
            {j.id: minutes(j.length) for j in queued},
        )
        return Snapshot(
            nodes=self.nodes,
            occupied=tuple(Occupied(j.where, j.need, 1) for j in live),
            preemptible=(),
            waiting=waiting,
            slots=self.slots,
            mode=self.mode,
            horizon=horizon if self.easy else None,
        )

    def step(self) -> None:
        by_id = {j.id: j for j in self.jobs}
        decisions, planning = written(self.snapshot())
        for decision in decisions:
            if isinstance(decision, Admit):
                job = by_id[decision.run.id]
                job.started, job.where = self.now, decision.node
        if planning.reserved is not None:
            head = by_id[planning.reserved_for.id]
            head.promised.append(int((planning.reserved.at - NOON).total_seconds()))
        for name, view in self.nodes.items():
            left = view.capacity
            for job in self.live():
                left -= job.need if job.where == name else Resources()
            assert not left.lacks(Resources()), "over-committed"
        assert len(self.live()) <= self.slots

    def run(self, until: int) -> None:
        while self.now <= until and any(j.started is None for j in self.jobs):
            self.step()
            self.now += 1


def stream() -> list[Job]:
    """Small runs without end, and one that needs the whole node."""
    small = [Job(n, n // 2, 5, cpu(0.5, 1)) for n in range(400)]
    return [*small, Job(1000, 10, 5, cpu(2, 4))]


def wait_of_the_large(mode: str, *, easy: bool) -> tuple[int | None, int]:
    """Minutes it waited (None: to the end of the trace), and how many ran by 100."""
    jobs = stream()
    Room(jobs, [node("n1", cpu(2, 8))], mode, easy=easy).run(190)
    large = jobs[-1]
    done = sum(1 for j in jobs if j.started is not None and j.started <= 100)
    waited = None if large.started is None else large.started - large.arrives
    return waited, done


def test_first_fit_starves_a_large_run_and_easy_bounds_its_wait() -> None:
    waits = {
        (mode, easy): wait_of_the_large(mode, easy=easy)
        for mode in ("fifo", "priority")
        for easy in (False, True)
    }
    for mode in ("fifo", "priority"):
        starved, without = waits[mode, False]
        bounded, with_it = waits[mode, True]
        assert starved is None or starved > 100
        assert bounded is not None
        assert bounded <= 20, "21 before it, four at a time, five minutes each"
        assert with_it >= without - 10, "the gaps are filled meanwhile"


jobs_of = st.lists(
    st.builds(
        lambda arrives, length, cores, gb: (arrives, length, cpu(cores, gb)),
        st.integers(0, 12),
        st.integers(1, 9),
        st.sampled_from([0.5, 1, 2, 3]),
        st.sampled_from([1, 3, 6]),
    ),
    min_size=1,
    max_size=14,
)


@pytest.mark.timeout(3000)  # of many examples, at night
@settings(deadline=None)
@given(jobs_of, st.integers(1, 3), st.integers(2, 6))
def test_no_reservation_is_ever_put_off_by_who_comes_later(
    drawn, count: int, slots: int
) -> None:
    jobs = [Job(n, a, length, need) for n, (a, length, need) in enumerate(drawn)]
    nodes = [node(f"n{n}", cpu(3, 6)) for n in range(count)]
    Room(jobs, nodes, "fifo", easy=True, slots=slots).run(300)
    for job in jobs:
        assert job.started is not None, "everybody has a turn"
        if job.promised:
            assert job.promised == sorted(job.promised, reverse=True)
            assert job.started * 60 <= job.promised[0]


# -- gangs -----------------------------------------------------------------------------


def gang(name: str, count: int, need: Resources, first: int = 1, **also):
    runs = range(first, first + count)
    found = line(name, need, runs=runs, **also)
    return replace(found, first=tuple(replace(r, gang=name) for r in found.first))


def test_a_gang_starts_together_over_the_nodes_or_not_at_all() -> None:
    two = [node("n1"), node("n2")]
    decisions = plan(snap([gang("g", 4, cpu(1))], nodes=two))
    assert sorted(d.node for d in decisions) == ["n1", "n1", "n2", "n2"]
    holding = [HeldRun(90, "n1", 4, cpu(1))]
    (waits,) = plan(snap([gang("g", 4, cpu(1))], holding, nodes=two))
    assert waits.why.code == "gang"
    assert waits.why.text == "waits for room for all 4 at once; 3 have it"


def test_a_gang_that_waits_keeps_no_partial_room() -> None:
    holding = [HeldRun(90, "n1", 4, cpu(1))]
    behind = line("plain", cpu(1), runs=(50,))
    decisions = plan(snap([gang("g", 2, cpu(1)), behind], holding, preemption=False))
    assert admitted(decisions) == [50]


def test_a_gang_that_can_never_fit_is_told_for_how_many_there_is_room() -> None:
    (waits,) = plan(snap([gang("g", 5, cpu(1))]))
    assert waits.why.code == "never:gang"
    assert waits.why.text == "needs room for 5 at once, and there is for 2"
    (few_slots,) = plan(snap([gang("g", 2, cpu(1))], slots=1))
    assert few_slots.why.code == "never:gang"


def test_a_gang_may_want_one_node_for_all() -> None:
    nodes = [node("n1", cpu(2, 8)), node("n2", cpu(4, 8))]
    wish = Wishes(near=(Near("agent:g"),), liked={"n1": 5})
    names = dict.fromkeys(range(1, 5), frozenset({"agent:g"}))
    asked = gang("g", 4, cpu(1), wishes=wish)
    decisions = plan(snap([asked], nodes=nodes, names=names))
    assert [d.node for d in decisions] == ["n2"] * 4


def test_a_gang_that_waits_has_a_reservation_too() -> None:
    holding = [HeldRun(90, "n1", 4, cpu(1))]
    waiting = [gang("g", 2, cpu(1)), line("small", cpu(1), runs=(50,))]
    horizon = Horizon(NOON, (ending("n1", cpu(1), 10),), {50: minutes(60)})
    found = snap(waiting, holding, preemption=False)
    waits, small = plan(replace(found, horizon=horizon))
    assert (waits.why.code, small.why.code) == ("gang", "reserved")


@pytest.mark.timeout(3000)  # of many examples, at night
@settings(deadline=None)
@given(jobs_of, st.lists(st.integers(1, 4), max_size=4), st.integers(2, 6))
def test_members_of_a_gang_start_at_one_moment(drawn, sizes, slots: int) -> None:
    jobs = [Job(n, a, length, need) for n, (a, length, need) in enumerate(drawn)]
    for number, size in enumerate(sizes):
        jobs += [
            Job(100 + number * 10 + n, number, 2, cpu(1, 1), gang=f"g{number}")
            for n in range(size)
        ]
    nodes = [node("n0", cpu(3, 6)), node("n1", cpu(3, 6))]
    Room(jobs, nodes, "fifo", easy=True, slots=slots).run(300)
    for number, size in enumerate(sizes):
        mine = {j.started for j in jobs if j.gang == f"g{number}"}
        assert len(mine) == 1
        assert None not in mine or size > min(slots, 6)
