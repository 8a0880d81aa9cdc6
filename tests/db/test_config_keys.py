"""The seed's eight keys, each doing what it says."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agents import agent_registry, live_config
from agents.errors import Invalid
from agents.executors.base import Ended
from agents.models import Node, NodeLog
from monitor import retention
from scheduling import (
    agent_control,
    agent_scheduler,
    endings,
    launch,
    lease,
    nodes,
    runs,
)
from scheduling.models import Run
from scheduling.node_process import NodeProcess
from scheduling.planner.admission import Admit, Preempt
from scheduling.run_folders import folder_of
from scheduling.run_state import RunState as S
from tests.conftest import NOON

pytestmark = pytest.mark.django_db


def set_key(key: str, value: object) -> None:
    live_config.set_override(key, value, actor="user:test", now=NOON)
    live_config.forget()


@pytest.fixture(autouse=True)
def node(db) -> Node:
    facts = {
        "cpu_millis": 4000,
        "memory_bytes": 10 * 10**9,
        "environments": ["subprocess"],
    }
    nodes.register("n1", now=NOON, facts=facts)
    return Node.objects.get()


def ask(agent, count=1, **how) -> list[Run]:
    return runs.request_many(agent, count, actor="t", now=NOON, **how)


def planned(kind) -> list:
    decisions = agent_scheduler.make_plan(now=NOON, per_class=100)
    return [d for d in decisions if isinstance(d, kind)]


def tick() -> None:
    token = lease.acquire("test", ttl_s=60)
    agent_scheduler.tick(token, now=NOON, per_class=100)


def test_max_concurrent_agents_bounds_what_runs_at_once(agent) -> None:
    set_key("max_concurrent_agents", 3)
    ask(agent, 5)
    tick()
    assert Run.objects.filter(state=S.ADMITTED).count() == 3
    assert "max_concurrent_agents" in Run.objects.filter(state=S.QUEUED)[0].reason


@pytest.mark.parametrize(
    ("mode", "first"), [("fifo", "early"), ("lifo", "late"), ("priority", "urgent")]
)
def test_scheduler_mode_decides_who_is_first(make_agent, mode, first) -> None:
    set_key("scheduler_mode", mode)
    set_key("max_concurrent_agents", 1)
    for number, (name, priority) in enumerate(
        [("early", "low"), ("urgent", "critical"), ("late", "low")]
    ):
        at = NOON - timedelta(seconds=10 - number)
        runs.request_run(make_agent(name, priority=priority), actor="t", now=at)
    (admit,) = planned(Admit)
    assert Run.objects.get(pk=admit.run.id).agent.agent_id == first


def test_heartbeat_interval_is_how_often_a_node_tells_that_it_lives() -> None:
    set_key("heartbeat_interval", 7)
    beats = []
    process = NodeProcess("n1", [], [lambda *beat: beats.append(beat)])
    assert process.beat_once() == 7
    assert len(beats) == 1
    assert Node.objects.get(name="n1").heartbeat_at != NOON
    process.loop.close()


@pytest.mark.parametrize(("allowed", "victims"), [(True, 1), (False, 0)])
def test_allow_agent_preemption_decides_whether_runs_must_yield(
    make_agent, allowed, victims
) -> None:
    set_key("allow_agent_preemption", allowed)
    ask(make_agent("slow", cpu=4, priority="low"))
    tick()
    ask(make_agent("urgent", cpu=4, priority="critical"))
    assert len(planned(Preempt)) == victims


@pytest.mark.parametrize(("share", "starts"), [("95%", 1), ("85%", 0)])
def test_max_memory_usage_bounds_the_memory_of_all_agents(
    make_agent, share, starts
) -> None:
    set_key("max_memory_usage", share)
    ask(make_agent("large", memory="9GB"))
    assert len(planned(Admit)) == starts


def test_log_retention_days_is_how_long_output_is_kept(agent) -> None:
    set_key("log_retention_days", 3)
    old, fresh = ask(agent, 2)
    for run, days in ((old, 4), (fresh, 2)):
        ended = NOON - timedelta(days=days)
        runs.move(run, S.CANCELLED, actor="t", now=ended, ended_at=ended)
        folder_of(run.uid).mkdir(parents=True)
    assert retention.Keeper().turn(NOON, 10, retention.PREFIXES) == 1
    assert not folder_of(old.uid).exists()
    assert folder_of(fresh.uid).exists()


@pytest.mark.parametrize(
    ("definition", "limit_s"),
    [
        ({}, 99.0),
        ({"timeout": 5}, 5.0),
        ({"kind": "persistent"}, None),
        ({"kind": "persistent", "timeout": 5}, 5.0),
    ],
)
def test_agent_timeout_default_limits_runs_that_state_no_limit(
    make_agent, definition, limit_s
) -> None:
    set_key("agent_timeout_default", 99)
    (run,) = ask(make_agent("limited", **definition))
    (start,) = launch.starts([run.pk], node="n1", now=NOON)
    assert start.spec.time_limit_s == limit_s


@pytest.mark.parametrize(("again", "runs_after"), [(True, 2), (False, 1)])
def test_reschedule_on_crash_decides_whether_lost_work_runs_again(
    agent, node, again, runs_after
) -> None:
    set_key("reschedule_on_crash", again)
    (run,) = ask(agent)
    tick()
    run.refresh_from_db()
    launch.begin([(run.pk, run.token)], node="n1", now=NOON)
    lost = Ended(run.uid, run.token, 0, exit_code=None, signal=None, lost=True)
    endings.apply([lost], log=log_of(node), offset=1, now=NOON)
    assert Run.objects.count() == runs_after


def test_a_lost_persistent_agent_stays_down_when_rescheduling_is_off(
    make_agent, node
) -> None:
    set_key("reschedule_on_crash", False)
    agent = make_agent("daemon", kind="persistent")
    (run,) = ask(agent_registry.resolve("daemon"))
    tick()
    run.refresh_from_db()
    launch.begin([(run.pk, run.token)], node="n1", now=NOON)
    lost = Ended(run.uid, run.token, 0, exit_code=None, signal=None, lost=True)
    endings.apply([lost], log=log_of(node), offset=1, now=NOON)
    agent_control.want_persistent(now=NOON, reschedule_on_crash=False)
    assert agent.runs.count() == 1


def log_of(node: Node) -> NodeLog:
    return NodeLog.objects.get_or_create(node=node, executor="subprocess")[0]


@pytest.mark.parametrize(
    "value", ["5s", 5, [True], ["x"], [None], [-1], ["0s"], ["5"], [1] * 21, [1e9]]
)
def test_retries_that_cannot_be_are_refused_by_name(db, value) -> None:
    with pytest.raises(Invalid) as caught:
        set_key("results.retries", value)
    assert set(caught.value.fields) == {"results.retries"}


def test_retries_are_told_in_seconds(db) -> None:
    set_key("results.retries", ["5s", "2m", 0.5])
    assert live_config.current().value_of("results.retries") == [5, 120, 0.5]
