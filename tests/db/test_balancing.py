"""A machine that runs short: what is held back, slowed and frozen, and taken back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from agents import live_config
from agents.models import Event, Node
from scheduling import balancing, runs
from scheduling.models import Run
from scheduling.run_state import RunState as S
from tests.conftest import NOON
from tests.db.test_runs import end, start
from tests.db.test_yielding import Machine, fresh, node, tick

__all__ = ["node"]
pytestmark = pytest.mark.django_db
MIN = timedelta(minutes=1)
WELL = {"memory_fraction": 0.3, "cpu_fraction": 0.1}


def sampled(now: datetime = NOON, **seen: Any) -> None:
    """The node's sampler saw that, and the leader looks at it."""
    usage = {**WELL, **seen, "sampled_at": now.isoformat()}
    Node.objects.update(usage=usage)
    balancing.rebalance(now=now)


def config(**keys: Any) -> None:
    live_config.set_overrides(
        {key.replace("__", "."): value for key, value in keys.items()},
        actor="t",
        now=NOON,
    )
    live_config.forget()


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def low(make_agent: Any, node: Node, machine: Machine, tmp_path: Any) -> Run:
    agent = make_agent("low", cpu=1, priority="low")
    run = runs.request_run(agent, actor="t", now=NOON)
    return machine.runs(start(run, node), tmp_path)


def told() -> list[Any]:
    rows = Event.objects.filter(kind="node.rebalanced").order_by("pk")
    return [e.data for e in rows]


def test_on_battery_low_waits_with_the_reason_and_important_work_does_not(
    make_agent: Any, node: Node
) -> None:
    wants = runs.request_run(make_agent("a", priority="low"), actor="t", now=NOON)
    high = runs.request_run(make_agent("b", priority="high"), actor="t", now=NOON)
    sampled(battery_fraction=0.18, on_mains=False)
    tick()
    assert fresh(high).state == S.ADMITTED
    assert (fresh(wants).state, fresh(wants).reason_code) == (S.QUEUED, "held")
    assert "on battery 18%" in fresh(wants).reason
    sampled(battery_fraction=0.17, on_mains=False)
    assert [t["reason"] for t in told()] == ["on battery 18%"]  # not each percent
    sampled(battery_fraction=0.17, on_mains=True)
    tick()
    assert fresh(wants).state == S.ADMITTED
    assert told()[-1]["reason"] == "it has room again"


def test_an_empty_battery_freezes_and_the_mains_thaw(
    low: Run, machine: Machine
) -> None:
    sampled(battery_fraction=0.05, on_mains=False)
    machine.suspender.look()
    assert (fresh(low).state, machine.is_frozen(low)) == (S.SUSPENDED, True)
    assert fresh(low).suspended_reason == "on battery 5%"
    (act,) = told()[0]["acts"]
    assert (act["agent"], act["do"], act["why"]) == ("low", "freeze", "on battery 5%")
    tick(NOON + MIN)
    assert fresh(low).wish == ""  # the planner leaves it alone
    sampled(NOON + MIN, battery_fraction=0.05, on_mains=True)
    tick(NOON + MIN)
    machine.suspender.look()
    assert (fresh(low).state, machine.is_frozen(low)) == (S.RUNNING, False)


def test_for_cpu_low_is_slowed_while_important_work_runs(
    low: Run, machine: Machine, make_agent: Any, node: Node
) -> None:
    busy = {"cpu_fraction": 1.0, "cpu_pressure_fraction": 0.9}
    sampled(**busy)
    assert fresh(low).wish == ""  # nobody would gain by it
    high = make_agent("high", cpu=1, priority="high")
    urgent = start(runs.request_run(high, actor="t", now=NOON), node)
    sampled(**busy)
    machine.suspender.look()
    limits = machine.fake.held[low.uid].limits
    assert limits is not None
    assert (limits.cpu_millis, fresh(low).slowed_millis) == (500, 500)
    sampled(**busy)
    assert fresh(low).wish == ""  # a pause between two acts
    end(urgent, node)
    sampled(NOON + MIN, **busy)
    machine.suspender.look()
    limits = machine.fake.held[low.uid].limits
    assert limits is not None
    assert (limits.cpu_millis, fresh(low).slowed_millis) == (1000, None)
    assert [act["do"] for t in told() for act in t["acts"]] == ["slow", "unslow"]


def test_memory_that_is_all_but_gone_stops_growth_before_it_ends_work(
    low: Run, machine: Machine
) -> None:
    sampled(memory_fraction=0.97)
    machine.suspender.look()
    assert fresh(low).suspended_reason == "memory 97% in use"
    sampled(NOON + MIN, memory_fraction=0.97)
    run = fresh(low)
    assert (run.state, run.stop_as) == (S.STOPPING, S.PREEMPTED)
    assert run.reason == "memory 97% in use"


def test_what_is_important_is_never_touched(
    make_agent: Any, node: Node, machine: Machine
) -> None:
    agent = make_agent("medium", cpu=1, priority="medium")
    run = start(runs.request_run(agent, actor="t", now=NOON), node)
    sampled(memory_fraction=0.99, battery_fraction=0.01, on_mains=False)
    assert fresh(run).wish == ""
    config(rebalance__touches="medium")
    sampled(NOON + MIN, battery_fraction=0.01, on_mains=False)
    assert fresh(run).wish == "freeze"


def test_without_preemption_or_rebalancing_runs_are_left_alone(low: Run) -> None:
    config(allow_agent_preemption=False)
    sampled(memory_fraction=0.99)
    assert fresh(low).wish == ""
    config(allow_agent_preemption=True, rebalance__enabled=False)
    sampled(NOON + MIN, memory_fraction=0.99)
    assert fresh(low).wish == ""


def test_an_old_sample_says_nothing(low: Run) -> None:
    Node.objects.update(
        usage={"memory_fraction": 0.99, "sampled_at": (NOON - MIN - MIN).isoformat()}
    )
    balancing.rebalance(now=NOON)
    assert fresh(low).wish == ""


def test_a_machine_that_is_well_costs_one_query(
    node: Node, django_assert_num_queries: Any
) -> None:
    Node.objects.update(usage={**WELL, "sampled_at": NOON.isoformat()})
    live_config.current()
    with django_assert_num_queries(1):
        balancing.rebalance(now=NOON)
