"""Ends of runs, and nodes that go or come, fire the schedules that wait for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from agents.errors import Invalid
from agents.models import Agent
from scheduling import event_watchers, nodes, run_events, runs, schedules
from scheduling.models import Occurrence, Run, Schedule
from scheduling.run_state import RunState
from tests.db.schedule_fixtures import NOON, PERSON, again, fire, plan, runs_of

pytestmark = pytest.mark.django_db
S = RunState
SECOND = timedelta(seconds=1)
WAY = (S.ADMITTED, S.STARTING, S.RUNNING)


@pytest.fixture
def etl(make_agent: Callable[..., Any]) -> Agent:
    return make_agent("etl", tags=["night"], capabilities=["extract"])


def run_to(agent: Agent, state: RunState, **wanted: Any) -> Run:
    run = runs.request_run(agent, actor=PERSON, now=NOON, **wanted)
    for step in (*WAY, state):
        run = runs.move(run, step, actor="test", now=NOON)
    return run


def waiting(agent: Agent, states: list[str], /, **of: str) -> Schedule:
    about = of or {"agent": "etl"}
    made = plan(agent, event={"run": {**about, "states": states}}, overlap="allow_all")
    event_watchers.forget()  # a test's transaction never commits
    return made


def test_a_failed_run_fires_once_with_its_story(agent: Agent, etl: Agent) -> None:
    schedule = waiting(agent, ["failed"])
    failed = run_to(etl, S.FAILED)
    run_to(etl, S.SUCCEEDED)
    fire(NOON)
    (run,) = runs_of(schedule)
    assert run.params["event"]["run"] == failed.uid
    assert run.params["event"]["state"] == "failed"
    assert run.parent_id == failed.pk
    assert run.root_uid == failed.uid
    assert run.depth == 1
    assert run.reason == "etl failed"


@pytest.mark.parametrize("about", [{"tag": "night"}, {"capability": "extract"}])
def test_agents_are_meant_by_tag_or_capability_too(
    agent: Agent, etl: Agent, make_agent: Callable[..., Any], about: dict[str, str]
) -> None:
    schedule = waiting(agent, ["finished"], **about)
    run_to(etl, S.SUCCEEDED)
    run_to(make_agent("other"), S.SUCCEEDED)
    fire(NOON)
    assert len(runs_of(schedule)) == 1


def test_a_crash_is_the_end_of_a_persistent_agent_by_its_own_fault(
    agent: Agent, etl: Agent, make_agent: Callable[..., Any]
) -> None:
    server = make_agent("server", kind="persistent", tags=["night"])
    schedule = waiting(agent, ["crashed"], tag="night")
    run_to(etl, S.FAILED)
    assert fire(NOON) == 0
    run_to(server, S.FAILED)
    fire(NOON)
    assert len(runs_of(schedule)) == 1


def test_what_was_called_off_has_not_finished(agent: Agent, etl: Agent) -> None:
    schedule = waiting(agent, ["finished"])
    runs.stop(runs.request_run(etl, actor=PERSON, now=NOON), actor=PERSON, now=NOON)
    assert fire(NOON) == 0
    assert runs_of(schedule) == []


def fail_and_think_better_of_it(etl: Agent) -> None:
    with transaction.atomic():
        run_to(etl, S.FAILED)
        assert Occurrence.objects.count() == 1
        raise RuntimeError


def test_an_end_that_is_rolled_back_fires_nothing(agent: Agent, etl: Agent) -> None:
    waiting(agent, ["failed"])
    with pytest.raises(RuntimeError):
        fail_and_think_better_of_it(etl)
    assert not Occurrence.objects.exists()
    assert not Run.objects.exists()


def test_an_agent_cannot_fire_itself(etl: Agent) -> None:
    for about in ({"agent": "etl"}, {"tag": "night"}, {"capability": "extract"}):
        with pytest.raises(Invalid, match="would start it again"):
            waiting(etl, ["failed"], **about)
    assert not Schedule.objects.exists()


def test_two_that_fire_each_other_stop_at_the_depth_of_cascades(
    agent: Agent, etl: Agent
) -> None:
    from agents import live_config

    live_config.set_override("cascade.max_depth", 3, actor=PERSON, now=NOON)
    live_config.forget()
    ping = waiting(agent, ["finished"])
    pong = waiting(etl, ["finished"], agent=agent.agent_id)
    run_to(etl, S.SUCCEEDED)
    for _ in range(10):
        fire(NOON)
        for run in Run.objects.filter(state="queued"):
            for step in (*WAY, S.SUCCEEDED):
                run = runs.move(run, step, actor="test", now=NOON)
    depths = [run.depth for run in Run.objects.order_by("id")]
    assert depths == [0, 1, 2, 3]
    refused = Occurrence.objects.get(state="skipped")
    assert refused.schedule_id in (ping.pk, pong.pk)
    assert "cascade deeper than 3: etl → worker → etl → worker" in refused.reason


def test_an_end_nobody_told_of_is_caught_up_with(agent: Agent, etl: Agent) -> None:
    event_watchers.kept("run")  # as a node that asked a moment ago: there was none
    schedule = plan(agent, event={"run": {"agent": "etl", "states": ["failed"]}})
    done = run_to(etl, S.FAILED)
    Run.objects.filter(pk=done.pk).update(ended_at=NOON + SECOND)
    assert fire(NOON + SECOND) == 0
    event_watchers.forget()
    for _ in range(3):
        run_events.catch_up(now=NOON + 2 * SECOND)
    fire(NOON + 2 * SECOND)
    assert len(runs_of(schedule)) == 1


def test_ends_cost_no_statement_while_nothing_waits_for_them(etl: Agent) -> None:
    run_to(etl, S.FAILED)  # asks once
    with CaptureQueriesContext(connection) as seen:
        run_to(etl, S.FAILED)
    assert not [q for q in seen if "scheduling_schedule" in q["sql"]]


def test_a_node_that_goes_down_and_comes_back_fires_each_time(agent: Agent) -> None:
    facts = {"cpu_millis": 1000, "memory_bytes": 10**9, "environments": ["subprocess"]}
    nodes.register("a", now=NOON, facts=facts)
    schedule = plan(
        agent, event={"node": {"states": ["down", "up"]}}, overlap="allow_all"
    )
    nodes.mark_silent(now=NOON + 60 * SECOND, down_after_s=30)
    nodes.mark_silent(now=NOON + 61 * SECOND, down_after_s=30)
    nodes.beat("a", now=NOON + 70 * SECOND)
    nodes.beat("a", now=NOON + 71 * SECOND)
    nodes.register("a", now=NOON + 80 * SECOND, facts=facts)  # it was up all along
    fire(NOON + 90 * SECOND)
    told = [run.params["event"] for run in runs_of(schedule)]
    assert told == [{"node": "a", "state": "down"}, {"node": "a", "state": "up"}]


def test_only_the_named_node_counts(agent: Agent) -> None:
    facts = {"cpu_millis": 1000, "memory_bytes": 10**9, "environments": ["subprocess"]}
    for name in ("a", "b"):
        nodes.register(name, now=NOON, facts=facts)
    schedule = plan(agent, event={"node": {"name": "b", "states": ["down"]}})
    with pytest.raises(Invalid, match="there is no node c"):
        plan(agent, event={"node": {"name": "c", "states": ["down"]}})
    nodes.beat("b", now=NOON + 50 * SECOND)
    nodes.mark_silent(now=NOON + 60 * SECOND, down_after_s=30)
    assert fire(NOON + 61 * SECOND) == 0
    nodes.mark_silent(now=NOON + 100 * SECOND, down_after_s=30)
    fire(NOON + 101 * SECOND)
    assert len(runs_of(schedule)) == 1


def test_a_paused_schedule_keeps_what_ended_meanwhile_as_skipped(
    agent: Agent, etl: Agent
) -> None:
    schedule = waiting(agent, ["failed"])
    schedules.pause(schedule, actor=PERSON, now=NOON)
    run_to(etl, S.FAILED)
    schedules.resume(again(schedule), actor=PERSON, now=NOON + SECOND)
    assert [row.state for row in Occurrence.objects.all()] == ["skipped"]
