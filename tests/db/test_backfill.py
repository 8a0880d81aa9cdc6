"""Backfill, gangs and forecasts on a real database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents import agent_registry, live_config
from agents.models import Node
from scheduling import agent_scheduler, forecasts, lease, nodes, runs, sweeping
from scheduling.models import Run
from scheduling.planner.admission import Admit
from scheduling.run_state import RunState as S
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
GB = 10**9


def add_node(name: str = "n1", cpu_millis: int = 4000) -> Node:
    facts = {
        "cpu_millis": cpu_millis,
        "memory_bytes": 100 * GB,
        "environments": ["subprocess"],
        "boot_id": name,
    }
    nodes.register(name, now=NOON, facts=facts)
    return Node.objects.get(name=name)


@pytest.fixture(autouse=True)
def node(db: None) -> Node:
    return add_node()


def set_key(key: str, value: object) -> None:
    live_config.set_override(key, value, actor="user:test", now=NOON)
    live_config.forget()


def tick(now: Any = NOON) -> None:
    token = lease.acquire("test-scheduler", ttl_s=60)
    assert token is not None
    agent_scheduler.tick(token, now=now, per_class=100)


def queued(agent: Any, count: int = 1, **more: Any) -> list[Run]:
    return runs.request_many(agent, count, actor="user:test", now=NOON, **more)


def states(found: list[Run]) -> list[str]:
    rows = dict(Run.objects.values_list("pk", "state"))
    return [rows[run.pk] for run in found]


def past(agent: Any, *lengths: float, params: Any = None, **columns: Any) -> None:
    """Successes of the agent, oldest first."""
    for length in lengths:
        (run,) = queued(agent, params=params or {})
        Run.objects.filter(pk=run.pk).update(
            state=S.SUCCEEDED,
            started_at=NOON - timedelta(hours=1),
            ended_at=NOON - timedelta(hours=1) + timedelta(seconds=length),
            **columns,
        )
    forecasts.forget()


@pytest.fixture
def blocked(make_agent: Any) -> Run:
    """Half of the node is used for five minutes; a run that needs all of it waits."""
    set_key("scheduler_mode", "fifo")
    queued(make_agent("first", cpu=2, timeout="5m"))
    tick()
    (big,) = queued(make_agent("big", cpu=4))
    return big


def test_a_short_run_passes_and_a_long_one_does_not(make_agent, blocked) -> None:
    short = queued(make_agent("short", cpu=1, timeout="5m"))
    long = queued(make_agent("long", cpu=1, timeout="6m"))
    tick()
    assert states([blocked, *short, *long]) == ["queued", "admitted", "queued"]
    told = Run.objects.get(pk=long[0].pk)
    assert told.reason_code == "reserved"
    assert "expected at 2026-11-23 12:05:00 UTC" in told.reason


def test_history_tells_more_than_the_time_limit(make_agent, blocked) -> None:
    agent = make_agent("quick", cpu=1)  # an hour at most, a minute in truth
    past(agent, *[60] * 5)
    quick = queued(agent)
    unknown = queued(make_agent("unknown", cpu=1))
    tick()
    assert states([*quick, *unknown]) == ["admitted", "queued"]


def test_without_backfill_whatever_fits_starts(make_agent, blocked) -> None:
    set_key("placement.backfill", "off")
    long = queued(make_agent("long", cpu=1, timeout="6m"))
    tick()
    assert states(long) == ["admitted"]


def test_the_large_run_starts_when_its_room_is_there(make_agent, blocked) -> None:
    for number in range(3):
        queued(make_agent(f"long{number}", cpu=1, timeout="1h"))
    tick()
    Run.objects.filter(agent__agent_id="first").update(state=S.SUCCEEDED)
    tick(NOON + timedelta(minutes=5))
    assert states([blocked]) == ["admitted"]


def test_ends_are_read_only_when_somebody_is_overtaken(
    make_agent, blocked, monkeypatch
) -> None:
    asked = []
    real = agent_scheduler.horizons.with_horizon
    monkeypatch.setattr(
        agent_scheduler.horizons,
        "with_horizon",
        lambda *given: asked.append(1) or real(*given),
    )
    tick()
    assert asked == []
    queued(make_agent("short", cpu=1))
    tick()
    assert asked == [1]


# -- gangs -----------------------------------------------------------------------------


def gang(client_of: Any, agent: str, count: int) -> list[Run]:
    body = {"agent": agent, "count": count, "gang": True}
    answer = client_of("operator").post("/api/v1/spawn/", body, format="json")
    assert answer.status_code == 202, answer.content
    return list(Run.objects.filter(uid__in=answer.json()["runs"]))


def test_a_gang_is_admitted_as_a_whole_over_two_nodes(make_agent, client_of) -> None:
    make_agent("team", cpu=2)
    mine = gang(client_of, "team", 3)
    token = lease.acquire("test-scheduler", ttl_s=60)
    agent_scheduler.tick(token, now=NOON_LATER, per_class=1)
    assert states(mine) == ["queued"] * 3
    head = Run.objects.exclude(reason_code="").get()
    assert head.reason_code == "never:gang"
    assert head.reason == "needs room for 3 at once, and there is for 2"
    add_node("n2")
    agent_scheduler.tick(token, now=NOON_LATER, per_class=1)
    assert states(mine) == ["admitted"] * 3
    assert Run.objects.values("node").distinct().count() == 2
    row = client_of("viewer").get(f"/api/v1/runs/{mine[0].uid}/").json()
    assert row["gang"] == mine[0].gang != ""


NOON_LATER = NOON + timedelta(days=3650)  # what HTTP queues is due by the clock


def test_a_gang_waits_for_room_and_keeps_none(make_agent, client_of) -> None:
    queued(make_agent("first", cpu=2, kind="persistent"))
    tick()
    make_agent("team", cpu=2, priority="high")
    mine = gang(client_of, "team", 2)
    small = queued(make_agent("small", cpu=2, priority="low"))
    tick(NOON_LATER)
    assert states([*mine, *small]) == ["queued", "queued", "admitted"]


def test_when_one_member_is_overtaken_the_whole_gang_stays(
    make_agent, client_of
) -> None:
    make_agent("team", cpu=1)
    mine = gang(client_of, "team", 3)
    alone = queued(make_agent("alone", cpu=1))
    decisions = agent_scheduler.make_plan(now=NOON_LATER, per_class=10)
    admissions = [d for d in decisions if isinstance(d, Admit)]
    assert len(admissions) == 4
    runs.stop(mine[1], actor="user:anna", now=NOON)
    token = lease.acquire("test-scheduler", ttl_s=60) or 0
    assert agent_scheduler.admit(admissions, token=token, now=NOON_LATER) == 1
    assert states([*mine, *alone]) == ["queued", "cancelled", "queued", "admitted"]
    tick(NOON_LATER)  # without the one that was cancelled
    assert states(mine) == ["admitted", "cancelled", "admitted"]


def test_a_member_whose_node_never_came_joins_the_others(make_agent, client_of) -> None:
    make_agent("team", cpu=1)
    mine = gang(client_of, "team", 2)
    tick(NOON_LATER)
    Run.objects.filter(pk=mine[0].pk).update(state=S.RUNNING)
    sweeping.take_back(now=NOON_LATER + timedelta(minutes=1), older_than_s=10)
    assert states(mine) == ["running", "queued"]
    tick(NOON_LATER + timedelta(minutes=1))
    assert states(mine) == ["running", "admitted"]


def test_many_gangs_are_read_whole(make_agent, client_of) -> None:
    make_agent("team", cpu=1)
    first, second, third = (gang(client_of, "team", 2) for _ in range(3))
    token = lease.acquire("test-scheduler", ttl_s=60)
    agent_scheduler.tick(token, now=NOON_LATER, per_class=3)
    agent_scheduler.tick(token, now=NOON_LATER, per_class=3)
    started = [states(g) for g in (first, second, third)]
    assert sorted(started) == [["admitted"] * 2, ["admitted"] * 2, ["queued"] * 2]


@pytest.mark.parametrize("wrong", ["yes", 1, None, []])
def test_a_wrong_gang_is_refused_by_name(make_agent, client_of, wrong) -> None:
    make_agent("team")
    body = {"agent": "team", "count": 2, "gang": wrong}
    answer = client_of("operator").post("/api/v1/spawn/", body, format="json")
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == {"gang"}
    assert not Run.objects.exists()


# -- forecasts -------------------------------------------------------------------------


def forecast(client_of: Any, agent: str = "worker", query: str = "") -> Any:
    url = f"/api/v1/agents/{agent}/forecast/{query}"
    return client_of("viewer").get(url)


def test_the_forecast_of_an_agent_over_http(make_agent, client_of) -> None:
    agent = make_agent()
    past(agent, *range(1, 11), peak_memory_bytes=5 * 10**6)
    told = forecast(client_of).json()
    assert told["duration"] == {
        "p50": 5.5,
        "p90": 10.0,
        "p95": 10.0,
        "n": 10,
        "basis": "version",
    }
    assert told["memory"]["p95"] == 5 * 10**6
    assert told["memory"]["declared"] == 128 * 10**6


def test_an_agent_that_never_ran_starts_cold(make_agent, client_of) -> None:
    make_agent()
    told = forecast(client_of).json()
    assert (told["duration"]["p50"], told["duration"]["basis"]) == (60, "cold")
    assert (told["memory"]["p90"], told["memory"]["basis"]) == (128 * 10**6, "cold")


def test_a_new_version_is_judged_by_its_own_runs(make_agent, client_of) -> None:
    agent = make_agent()
    past(agent, *[100] * 10)
    agent_registry.change(
        agent, {"args": ["-v"]}, actor="t", now=NOON, may_unsandboxed=True
    )
    agent = agent_registry.resolve("worker")
    past(agent, *[10] * 5)
    assert forecast(client_of).json()["duration"]["p90"] == 10


def test_the_size_of_the_input_counts_where_it_is_given(make_agent, client_of) -> None:
    agent = make_agent()
    past(agent, *[1] * 5, params={"input_size": 10})
    past(agent, *[90] * 5, params={"input_size": 1000})
    past(agent, 5, params={"input_size": "huge"})
    told = forecast(client_of, query="?input_size=800").json()["duration"]
    assert (told["p50"], told["basis"]) == (90, "version+size")


@pytest.mark.parametrize("size", ["0", "-1", "many", "nan", "inf"])
def test_a_wrong_size_is_refused_by_name(make_agent, client_of, size) -> None:
    make_agent()
    answer = forecast(client_of, query=f"?input_size={size}")
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == {"input_size"}
