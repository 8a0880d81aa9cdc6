"""The graph of all agents: how each of them is, the longest way, and edges by hand."""

from __future__ import annotations

from typing import Any

import pytest

from agents.models import Agent, Event
from scheduling import runs
from scheduling.planner import agent_paths
from scheduling.run_state import RunState
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
URL = "/api/v1/agents/graph/"
EDGES = f"{URL}edges/"


@pytest.fixture
def chain(make_agent: Any) -> None:
    make_agent("extract")
    make_agent("score", depends_on=["extract"], tags=["etl"])
    make_agent("report", depends_on=["score"], cascades=["pager"])
    make_agent("pager"), make_agent("alone")


def depends_on(name: str) -> list[str]:
    found: list[str] = Agent.objects.get(agent_id=name).spec["depends_on"]
    return found


def version(name: str) -> int:
    current = Agent.objects.get(agent_id=name).current
    assert current is not None
    return current.number


def nodes(client: Any) -> dict[str, dict[str, Any]]:
    return {n["agent"]: n for n in client.get(URL).json()["nodes"]}


def test_each_node_tells_how_the_agent_is(chain: None, viewer: Any) -> None:
    score = Agent.objects.get(agent_id="score")
    run = runs.request_run(score, actor="t", now=NOON)
    before = nodes(viewer)["score"]
    assert (before["queued"], before["running"]) == (1, 0)
    runs.move(run, RunState.CANCELLED, actor="t", now=NOON, ended_at=NOON)
    found = nodes(viewer)["score"]
    assert (found["status"], found["tags"], found["version"]) == (
        "sleeping",
        ["etl"],
        1,
    )
    assert found["last_run"]["uid"] == run.uid
    assert found["last_run"]["state"] == "cancelled"
    assert (found["queued"], found["expected_s"]) == (0, 60.0)


def test_the_longest_way_leads_over_what_waits_and_triggers(
    chain: None, viewer: Any
) -> None:
    body = viewer.get(URL).json()
    path = ["extract", "score", "report", "pager"]
    assert body["critical_path"] == {"agents": path, "seconds": 240.0}
    assert {n["agent"] for n in body["nodes"] if n["critical"]} == set(path)
    assert all(edge["critical"] and edge["editable"] for edge in body["edges"])


def test_one_that_never_ends_takes_no_time_of_the_way(
    make_agent: Any, viewer: Any
) -> None:
    make_agent("db", kind="persistent")
    make_agent("web", depends_on=["db"])
    body = viewer.get(URL).json()
    assert body["critical_path"] == {"agents": ["db", "web"], "seconds": 60.0}
    assert nodes(viewer)["db"]["expected_s"] is None


def test_an_edge_is_made_and_the_other_edit_takes_it_back(
    chain: None, editor: Any
) -> None:
    edge = {"from": "alone", "to": "score"}
    made = editor.post(EDGES, {**edge, "base_version": 1})
    assert made.status_code == 200, made.json()
    body = made.json()
    assert (body["agent"], body["version"], body["edge"]["on"]) == ("score", 2, "ready")
    assert depends_on("score") == ["extract", "alone"]
    gone = editor.delete(f"{EDGES}?from=alone&to=score&base_version=2")
    assert gone.status_code == 200, gone.json()
    assert depends_on("score") == ["extract"]
    told = Event.objects.filter(kind="agent.changed", subject="agent:score")
    assert [event.actor for event in told] == ["user:editor"] * 2


def test_the_last_edge_can_be_taken_away(chain: None, editor: Any) -> None:
    gone = editor.delete(f"{EDGES}?from=extract&to=score")
    assert (gone.status_code, depends_on("score")) == (200, [])


def test_a_circle_is_refused_and_named(chain: None, editor: Any) -> None:
    refused = editor.post(EDGES, {"from": "report", "to": "extract"})
    assert refused.status_code == 400
    body = refused.json()
    assert body["cycle"] == ["extract", "report", "score", "extract"]
    assert "extract → report" in body["fields"]["depends_on"][0]
    assert depends_on("extract") == []


def test_an_agent_never_waits_for_itself(chain: None, editor: Any) -> None:
    refused = editor.post(EDGES, {"from": "alone", "to": "alone"})
    assert (refused.status_code, depends_on("alone")) == (400, [])


def test_who_looked_at_an_older_version_is_told(chain: None, editor: Any) -> None:
    editor.post(EDGES, {"from": "alone", "to": "score"})
    late = editor.post(EDGES, {"from": "pager", "to": "score", "base_version": 1})
    assert (late.status_code, late.json()["code"]) == (409, "changed_meanwhile")
    assert depends_on("score") == ["extract", "alone"]


def test_a_dry_run_tells_the_new_longest_way_and_changes_nothing(
    chain: None, editor: Any
) -> None:
    asked = {"from": "pager", "to": "alone", "dry_run": True}
    body = editor.post(EDGES, asked).json()
    assert body["dry_run"]
    assert body["critical_path"]["agents"][-1] == "alone"
    assert (version("alone"), depends_on("alone")) == (1, [])
    assert not Event.objects.filter(kind="agent.changed").exists()


def test_a_trigger_is_made_and_taken_away_at_the_one_that_comes_first(
    chain: None, editor: Any
) -> None:
    edge = {"from": "alone", "to": "pager", "kind": "cascades", "on": "failure"}
    body = editor.post(EDGES, edge).json()
    assert (body["agent"], body["edge"]["on"]) == ("alone", "failure")
    spec = Agent.objects.get(agent_id="alone").spec
    assert spec["cascades"] == [{"agent": "pager", "on": "failure"}]
    query = "from=alone&to=pager&kind=cascades&on=failure"
    assert editor.delete(f"{EDGES}?{query}").status_code == 200
    assert Agent.objects.get(agent_id="alone").spec["cascades"] == []


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"from": "nobody", "to": "score"}, 404, "not_found"),
        ({"from": "extract", "to": "score"}, 409, "already_exists"),
        ({"from": "extract"}, 400, "invalid"),
        ({"from": 7, "to": "score"}, 400, "invalid"),
        ({"from": "alone", "to": "score", "kind": "likes"}, 400, "invalid"),
        ({"from": "alone", "to": "score", "on": "success"}, 400, "invalid"),
        ({"from": "alone", "to": "score", "base_version": "1"}, 400, "invalid"),
        ({"from": "alone", "to": "score", "dry_run": 1}, 400, "invalid"),
    ],
)
def test_what_cannot_be_an_edge_is_refused(
    chain: None, editor: Any, asked: dict[str, Any], status: int, code: str
) -> None:
    refused = editor.post(EDGES, asked)
    assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert depends_on("score") == ["extract"]


def test_an_edge_that_is_not_there_cannot_be_taken_away(
    chain: None, make_agent: Any, editor: Any, operator: Any
) -> None:
    make_agent("picky", requires=[{"agent": "alone"}])
    absent = editor.delete(f"{EDGES}?from=alone&to=score")
    assert (absent.status_code, absent.json()["code"]) == (404, "not_found")
    required = editor.delete(f"{EDGES}?from=alone&to=picky")
    assert (required.status_code, required.json()["code"]) == (409, "not_allowed_now")
    assert operator.delete(f"{EDGES}?from=extract&to=score").status_code == 403


def test_a_trigger_that_closes_a_circle_is_left_out_of_the_way() -> None:
    ways = [("a", "b", True), ("b", "a", False), ("b", "c", False)]
    assert agent_paths.longest_way(ways, {"a": 1.0, "b": 1.0, "c": 1.0}) == [
        *("a", "b", "c")
    ]
