"""Rebalancing: small acts, taken back, and never back and forth."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scheduling.planner.rebalancing import Balance, Limits, Live, Reading, decide
from scheduling.planner.rungs import Rung

F, R, C, S = Rung.FREEZE, Rung.RECLAIM, Rung.CHECKPOINT, Rung.STOP
WELL = Reading(memory=0.3, cpu=0.2, battery=0.9, on_mains=True)
FULL = Reading(memory=0.97)
LIMITS = Limits(network_bytes=10**8)


def live(number: int, priority: int = 1, **also) -> Live:
    also.setdefault("rungs", frozenset({F, S}))
    return Live(number, priority, **also)


def look(seen: Reading, *runs: Live, before=(), **how) -> Balance:
    how = {"quiet_s": 100.0, "urgent_runs": True, **how}
    return decide(seen, runs, LIMITS, before=dict.fromkeys(before, "x"), **how)


def done(balance: Balance) -> list[tuple[int, str]]:
    return [(act.run, act.do) for act in balance.acts]


def test_on_battery_the_least_important_wait_and_on_mains_they_do_not() -> None:
    low = Reading(battery=0.18, on_mains=False)
    assert look(low).held == "on battery 18%"
    assert look(replace(low, on_mains=True)).held == ""
    assert look(replace(low, battery=0.33)).held == ""
    assert look(replace(low, battery=0.33), before=["power"]).held == "on battery 33%"


def test_an_all_but_empty_battery_freezes_all_that_may_be_touched() -> None:
    empty = Reading(battery=0.08, on_mains=False)
    runs = (live(1, 0), live(2, 1), live(3, 2))
    assert done(look(empty, *runs)) == [(1, "freeze"), (2, "freeze")]
    frozen = live(1, 0, frozen=True, by_us=True)
    charged = Reading(battery=0.12, on_mains=False)
    assert done(look(charged, frozen)) == []
    assert done(look(replace(charged, on_mains=True), frozen)) == [(1, "thaw")]


def test_for_memory_all_stand_still_before_one_ends() -> None:
    both = (live(1, 0), live(2, 1))
    assert done(look(FULL, *both)) == [(1, "freeze")]
    still = (live(1, 0, frozen=True, by_us=True), live(2, 1))
    assert done(look(FULL, *still)) == [(2, "freeze")]
    all_still = tuple(replace(r, frozen=True, by_us=True) for r in both)
    assert done(look(FULL, *all_still)) == [(1, "stop")]
    saves = replace(all_still[0], rungs=frozenset({C, S}))
    assert done(look(FULL, saves)) == [(1, "checkpoint")]


def test_memory_is_reclaimed_where_that_works() -> None:
    assert done(look(FULL, live(1, rungs=frozenset({F, R, S})))) == [(1, "reclaim")]


def test_under_pressure_short_of_full_nothing_ends() -> None:
    pressed = Reading(memory=0.9, memory_pressure=0.5)
    still = live(1, frozen=True, by_us=True)
    assert look(pressed, still).troubles.keys() == {"memory"}
    assert done(look(pressed, still)) == []
    assert look(replace(pressed, memory=0.5)).troubles == {}


def test_for_cpu_the_least_important_get_slower_before_they_stand_still() -> None:
    busy = Reading(cpu=1.0, cpu_pressure=0.8)
    runs = (live(1, 0), live(2, 1))
    assert done(look(busy, *runs)) == [(1, "slow")]
    slower = (live(1, 0, slowed=True), live(2, 1))
    assert done(look(busy, *slower)) == [(2, "slow")]
    all_slow = tuple(replace(r, slowed=True) for r in runs)
    assert done(look(busy, *all_slow)) == [(1, "freeze")]
    assert look(busy, *runs).held == ""


def test_nobody_yields_cpu_where_nobody_more_important_would_gain_by_it() -> None:
    busy = Reading(cpu=1.0, cpu_pressure=0.8)
    assert look(busy, live(1, 0), urgent_runs=False) == Balance({})


def test_a_full_network_only_holds_who_waits() -> None:
    balance = look(Reading(network_bytes=2e8), live(1, 0))
    assert (balance.held, balance.acts) == ("network 200 MB/s", ())


def test_what_somebody_else_froze_is_left_alone() -> None:
    assert done(look(WELL, live(1, frozen=True))) == []


def test_between_two_acts_there_is_a_pause() -> None:
    assert done(look(FULL, live(1), quiet_s=1)) == []
    assert look(FULL, live(1), quiet_s=1).held == "memory 97% in use"


def test_without_preemption_nothing_is_done_to_runs() -> None:
    assert done(look(FULL, live(1), may_act=False)) == []


# -- whatever the machine does --------------------------------------------------------

shares = st.none() | st.floats(0, 1)
readings = st.builds(
    Reading,
    memory=shares,
    memory_pressure=shares,
    cpu=shares,
    cpu_pressure=shares,
    network_bytes=st.none() | st.floats(0, 3e8),
    battery=shares,
    on_mains=st.booleans(),
)
rungs = st.sets(st.sampled_from([F, R, C])).map(lambda s: frozenset(s | {S}))
fleets = st.lists(
    st.builds(
        Live,
        id=st.integers(1, 10**6),
        priority=st.integers(0, 4),
        rungs=rungs,
        slowed=st.booleans(),
        ran_s=st.floats(0, 1e4),
    ),
    max_size=8,
    unique_by=lambda run: run.id,
)


class World:
    """A node whose machine stays as it is, whatever is done on it."""

    def __init__(self, runs: list[Live], urgent_runs: bool) -> None:
        self.runs = {run.id: run for run in runs}
        self.before: dict = {}
        self.urgent_runs = urgent_runs

    def step(self, seen: Reading) -> Balance:
        balance = decide(
            seen,
            list(self.runs.values()),
            LIMITS,
            before=self.before,
            quiet_s=100.0,
            urgent_runs=self.urgent_runs,
        )
        self.before = dict(balance.troubles)
        for act in balance.acts:
            self.apply(act.run, act.do)
        return balance

    def apply(self, number: int, do: str) -> None:
        run = self.runs[number]
        assert run.priority <= LIMITS.touches
        less = run.rungs - {F, R} if do == "reclaim" else run.rungs
        if do in ("freeze", "reclaim"):
            assert not run.frozen or do == "reclaim"
            run = replace(run, frozen=True, by_us=True, rungs=less)
        if do == "thaw":
            assert run.by_us
            run = replace(run, frozen=False, by_us=False)
        run = replace(run, slowed=(run.slowed or do == "slow") and do != "unslow")
        if do in ("checkpoint", "stop"):
            del self.runs[number]
        else:
            self.runs[number] = run

    def settle(self, seen: Reading) -> list[str]:
        """Until nothing is done any more; what was done."""
        did: list[str] = []
        for _ in range(6 * len(self.runs) + 4):
            acts = self.step(seen).acts
            if not acts:
                return did
            did += [act.do for act in acts]
        raise AssertionError(f"it never comes to rest: {did[-9:]}")


@given(fleets, readings, st.booleans())
def test_while_the_machine_stays_as_it_is_it_comes_to_rest(
    runs: list[Live], seen: Reading, urgent: bool
) -> None:
    world = World(runs, urgent)
    did = set(world.settle(seen))
    assert not ({"freeze", "reclaim"} & did and "thaw" in did)
    assert not ("slow" in did and "unslow" in did)
    assert world.settle(seen) == []


@given(fleets, st.lists(readings, max_size=6), st.booleans())
def test_once_the_machine_is_well_again_all_is_taken_back(
    runs: list[Live], past: list[Reading], urgent: bool
) -> None:
    world = World([replace(run, slowed=False) for run in runs], urgent)
    for seen in past:
        world.step(seen)
    world.settle(WELL)
    assert not [run for run in world.runs.values() if run.frozen or run.slowed]
    assert world.step(WELL).held == ""
