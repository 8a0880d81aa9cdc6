"""Gangs from wherever runs come: all of one start in one step, or nobody of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agents.errors import Invalid, NotAllowedNow
from agents.models import Agent, AgentVersion
from scheduling import (
    agent_control,
    agent_scheduler,
    backfills,
    graph_runs,
    graphs,
    lease,
    nodes,
    spawning,
)
from scheduling.models import GraphNode, GraphRun, Run
from scheduling.run_state import FINAL
from scheduling.run_state import RunState as S
from scheduling.sinks import cascade
from tests.conftest import NOON
from tests.db.schedule_fixtures import PERSON, again, at, fire, plan
from tests.db.test_graphs import end

pytestmark = pytest.mark.django_db
API = "/api/v1"
GB = 10**9


@pytest.fixture
def trainer(make_agent: Callable[..., Any]) -> Agent:
    """It starts three at once, each with a core of its own."""
    return make_agent("trainer", cpu=1, gang=3)


@pytest.fixture
def leader(db: None) -> int:
    token = lease.acquire("controller", ttl_s=1e9)
    assert token is not None
    return token


def machine(cores: int) -> None:
    facts = {
        "cpu_millis": cores * 1000,
        "memory_bytes": 10 * GB,
        "environments": ["subprocess"],
    }
    nodes.register("n1", now=NOON, facts=facts)


def one_step(leader: int, *, per_class: int = 10) -> int:
    """How many have started after one step of the scheduler."""
    agent_scheduler.step(leader, now=NOON, per_class=per_class)
    return Run.objects.exclude(state__in=[S.QUEUED, *FINAL]).count()


def by_button(agent: Agent) -> None:
    agent_control.start_agent(agent, actor=PERSON, now=NOON)


def by_spawn(agent: Agent) -> None:
    body = {"agent": agent.agent_id}
    assert len(spawning.spawn(body, actor=PERSON, now=NOON)) == 3


def by_schedule(agent: Agent) -> None:
    plan(agent, cron="0 12 * * *", now=at("11:00"))
    fire(NOON)


def by_graph(agent: Agent) -> None:
    graph_of(agent.agent_id)


def graph_of(*nodes_of: Any, **more: Any) -> GraphRun:
    listed = [n if isinstance(n, dict) else {"agent": n} for n in nodes_of]
    raw = {"name": "night", "nodes": listed, **more}
    made = graphs.create(raw, actor="t", now=NOON)
    return graph_runs.start(made, params={}, actor="t", now=NOON)


WAYS = [by_button, by_spawn, by_schedule, by_graph]


@pytest.mark.parametrize("start", WAYS)
@pytest.mark.parametrize(("cores", "started"), [(2, 0), (3, 3)])
def test_an_agent_that_is_a_gang_starts_whole_or_not_at_all(
    trainer: Agent, leader: int, start: Any, cores: int, started: int
) -> None:
    machine(cores)
    start(trainer)
    assert Run.objects.count() == 3
    assert one_step(leader) == started


@pytest.mark.parametrize("start", WAYS)
def test_a_gang_is_seen_whole_however_few_of_a_class_are_looked_at(
    trainer: Agent, leader: int, start: Any
) -> None:
    machine(4)
    start(trainer)
    assert one_step(leader, per_class=2) == 3


def test_two_gangs_never_share_what_is_free(trainer: Agent, leader: int) -> None:
    machine(5)
    by_spawn(trainer), by_spawn(trainer)
    assert one_step(leader) == 3
    going = Run.objects.exclude(state=S.QUEUED).values_list("gang", flat=True)
    assert len(set(going)) == 1


def test_the_most_specific_word_of_its_size_counts(
    trainer: Agent, make_agent: Any
) -> None:
    plan(trainer, cron="0 12 * * *", now=at("11:00"), gang=2)
    fire(NOON)
    assert Run.objects.count() == 2
    graph_of({"agent": "trainer", "gang": 4})
    assert Run.objects.count() == 6


def spawned(**body: Any) -> list[int]:
    """The sizes of the gangs; 0 for each run alone."""
    made = spawning.spawn({"agent": "trainer", **body}, actor=PERSON, now=NOON)
    gangs = {run.gang for run in made if run.gang}
    sizes = [sum(run.gang == gang for run in made) for gang in gangs]
    return sorted(sizes) + [0] * sum(not run.gang for run in made)


def test_a_spawn_counts_gangs_unless_it_says_otherwise(trainer: Agent) -> None:
    assert spawned() == [3]
    assert spawned(gang=True) == [3]
    assert spawned(count=2) == [3, 3]
    assert spawned(count=2, gang=True) == [2]
    assert spawned(count=2, gang=False) == [0, 0]
    with pytest.raises(Invalid) as told:
        spawned(count=334)
    assert "count" in told.value.fields
    assert Run.objects.count() == 3 + 3 + 6 + 2 + 2


def test_a_cascade_starts_all_of_them(trainer: Agent, make_agent: Any) -> None:
    parent = agent_control.start_agent(make_agent("first"), actor=PERSON, now=NOON)
    cascade.deliver(parent, "trainer", NOON)
    children = Run.objects.filter(parent=parent)
    assert [c.root_uid for c in children] == [parent.uid] * 3
    assert len({c.gang for c in children}) == 1


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ({"gang": 1}, "at least 2"),
        ({"gang": 1001}, "1000"),
        ({"gang": "3"}, "whole number"),
        ({"gang": 2, "kind": "persistent"}, "only one run"),
        ({"gang": 3, "concurrency": {"limit": 2}}, "lets only 2 run"),
    ],
)
def test_what_can_be_no_gang_is_refused(
    make_agent: Any, definition: dict[str, Any], said: str
) -> None:
    with pytest.raises(Invalid) as told:
        make_agent("a", **definition)
    assert said in told.value.fields["gang"][0]
    assert not Agent.objects.exists()


def test_definitions_from_before_have_no_gangs(make_agent: Any) -> None:
    agent = make_agent("old")
    spec = {k: v for k, v in agent.spec.items() if k != "gang"}
    AgentVersion.objects.filter(agent=agent).update(spec=spec)
    old = Agent.objects.get(pk=agent.pk)
    by_button(old), by_graph(old)
    assert list(Run.objects.values_list("gang", flat=True)) == ["", ""]


def test_instants_of_the_past_are_not_run_by_gangs(trainer: Agent) -> None:
    schedule = plan(trainer, cron="0 * * * *")
    wish = backfills.parse_wish(
        {"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z"}
    )
    with pytest.raises(NotAllowedNow, match="gangs"):
        backfills.look(again(schedule), wish)


# -- nodes of graphs -------------------------------------------------------------------


def members(node: str) -> list[Run]:
    found = Run.objects.filter(occurrence_key__contains=f"/{node}")
    live = found.exclude(state__in=FINAL)
    return list(live.select_related("agent").order_by("id"))


def state_of(node: str) -> str:
    return GraphNode.objects.get(name=node).state


@pytest.fixture
def chain(trainer: Agent, make_agent: Any) -> GraphRun:
    make_agent("report")
    after = {"agent": "report", "after": ["trainer"]}
    return graph_of("trainer", {**after, "params": {"loss": {"from": "trainer"}}})


def test_what_follows_a_gang_waits_for_all_of_it(chain: GraphRun) -> None:
    first, *others = members("trainer")
    end(first, result={"loss": 1})
    assert (state_of("trainer"), members("report")) == ("started", [])
    end(others[1], result={"loss": 2}), end(others[0], result={"loss": 3})
    assert state_of("trainer") == "succeeded"
    (report,) = members("report")
    assert report.params == {"loss": {"loss": 1}}  # of the first member
    assert report.gang == ""
    end(report)
    chain.refresh_from_db()
    assert chain.state == "succeeded"


def test_one_that_fails_fails_the_node_once_all_are_over(chain: GraphRun) -> None:
    first, second, third = members("trainer")
    end(second, S.FAILED)
    assert state_of("trainer") == "started"
    end(first), end(third)
    assert (state_of("trainer"), state_of("report")) == ("failed", "skipped")


def test_a_retry_starts_all_of_it_again(chain: GraphRun, leader: int) -> None:
    runs = members("trainer")
    end(runs[0], S.FAILED), end(runs[1]), end(runs[2])
    graph_runs.retry(chain.uid, actor="t", now=NOON)
    fresh = members("trainer")
    assert [run.attempt for run in fresh] == [2, 2, 2]
    assert {run.gang for run in fresh}.isdisjoint({run.gang for run in runs})
    machine(2)
    assert one_step(leader) == 0


def test_a_cancel_stops_all_of_it(chain: GraphRun) -> None:
    graph_runs.cancel(chain.uid, actor="t", now=NOON)
    chain.refresh_from_db()
    assert (members("trainer"), chain.state) == ([], "cancelled")


def test_a_graph_that_goes_on_keeps_the_size_it_began_with(
    trainer: Agent, make_agent: Any, admin: Any
) -> None:
    make_agent("first")
    row = graph_of("first", {"agent": "trainer", "after": ["first"]})
    body = {"gang": 2}
    assert admin.patch(f"{API}/agents/trainer/", body).status_code == 200
    end(members("first")[0])
    assert len(members("trainer")) == 3
    told = admin.get(f"{API}/graph-runs/{row.uid}/").json()
    assert [node["gang"] for node in told["nodes"]] == [None, 3]


def test_a_graph_keeps_its_word_of_gangs(trainer: Agent, editor: Any) -> None:
    raw = {"name": "g", "nodes": [{"agent": "trainer", "gang": 5}]}
    made = editor.post(f"{API}/graphs/", raw)
    assert (made.status_code, made.json()["nodes"][0]["gang"]) == (201, 5)
    raw["nodes"][0]["gang"] = 1
    refused = editor.patch(f"{API}/graphs/g/", {"nodes": raw["nodes"]})
    assert refused.status_code == 400
    assert "gang" in refused.json()["fields"]["nodes"][0]
