"""Graphs of runs on a real database: what starts when, once, and what is passed on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agents.models import Event
from scheduling import agent_scheduler, endings, graph_runs, graphs, lease, runs
from scheduling.endings import Close, seen_of
from scheduling.models import GraphNode, GraphRun, Run
from scheduling.run_state import FINAL
from scheduling.run_state import RunState as S
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
API = "/api/v1"


@pytest.fixture
def make_graph(make_agent: Callable[..., Any]) -> Callable[..., Any]:
    """A graph with an agent of its own for each node: {"b": {"after": ["a"]}}."""

    def make(nodes: dict[str, dict[str, Any]], **more: Any) -> Any:
        for name, node in nodes.items():
            make_agent(name, retries=node.pop("own_retries", 0))
        listed = [{"agent": name, **node} for name, node in nodes.items()]
        raw = {"name": "night", "nodes": listed, **more}
        return graphs.create(raw, actor="t", now=NOON)

    return make


def start(graph: Any, **params: Any) -> GraphRun:
    return graph_runs.start(graph, params=params, actor="t", now=NOON)


def live(row: GraphRun) -> dict[str, Run]:
    found = Run.objects.filter(root_uid=row.uid).exclude(state__in=FINAL)
    return {run.agent.agent_id: run for run in found.select_related("agent")}


def states(row: GraphRun) -> dict[str, str]:
    return dict(GraphNode.objects.filter(graph_run=row).values_list("name", "state"))


def end(run: Run, to: S = S.SUCCEEDED, result: Any = None) -> None:
    """Take a waiting run through its life, as a node would."""
    for state in (S.ADMITTED, S.STARTING, S.RUNNING):
        moved = runs.move(run, state, actor="t", now=NOON)
    row = Run.objects.values_list(*endings.SEEN).get(pk=moved.pk)
    facts = {"ended_at": NOON, "exit_code": 0 if to == S.SUCCEEDED else 3}
    close = Close(seen_of(row), to, "", {**facts, "result": result})
    endings.close_many([close], actor="node:n1", now=NOON)


def test_a_node_is_queued_when_all_before_it_have_succeeded(make_graph) -> None:
    row = start(make_graph({"a": {}, "b": {}, "c": {"after": ["a", "b"]}}))
    assert set(live(row)) == {"a", "b"}
    end(live(row)["a"])
    assert set(live(row)) == {"b"}
    end(live(row)["b"])
    assert set(live(row)) == {"c"}
    end(live(row)["c"])
    row.refresh_from_db()
    assert (row.state, row.ended_at) == ("succeeded", NOON)


def test_what_follows_stands_in_the_transaction_that_ends_the_run(
    make_graph, monkeypatch
) -> None:
    row = start(make_graph({"a": {}, "b": {"after": ["a"]}}))
    run = live(row)["a"]

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the process dies here")

    with monkeypatch.context() as patch:
        patch.setattr(endings, "send_on_commit", fail)
        with pytest.raises(RuntimeError), endings.transaction.atomic():
            end(run)
    run.refresh_from_db()
    assert run.state == S.QUEUED
    assert set(live(row)) == {"a"}


def test_a_failure_skips_what_waits_for_success_with_the_reason(make_graph) -> None:
    nodes = {
        "a": {},
        "b": {"after": ["a"]},
        "c": {"after": ["b"]},
        "alarm": {"after": [{"node": "b", "on": "failure"}]},
        "tidy": {"after": ["c"], "when": "finish"},
    }
    row = start(make_graph(nodes))
    end(live(row)["a"])
    end(live(row)["b"], S.FAILED)
    assert set(live(row)) == {"alarm", "tidy"}
    skipped = GraphNode.objects.get(graph_run=row, name="c")
    assert skipped.reason == "b failed; it waits for success"
    for run in live(row).values():
        end(run)
    row.refresh_from_db()
    assert row.state == "succeeded"  # the alarm dealt with it


def test_a_graph_is_retried_from_the_node_that_failed(make_graph, operator) -> None:
    row = start(make_graph({"a": {}, "b": {"after": ["a"]}, "c": {"after": ["b"]}}))
    first = live(row)["a"]
    end(first)
    end(live(row)["b"], S.FAILED)
    row.refresh_from_db()
    assert (row.state, row.reason) == ("failed", "b failed")
    again = operator.post(f"{API}/graph-runs/{row.uid}/retry/").json()
    assert [(n["state"], n["attempt"]) for n in again["nodes"]] == [
        ("succeeded", 1),
        ("queued", 2),
        ("waiting", None),
    ]
    assert again["nodes"][0]["run"] == first.uid
    end(live(row)["b"])
    end(live(row)["c"])
    row.refresh_from_db()
    assert (row.state, row.attempt) == ("succeeded", 2)
    refused = operator.post(f"{API}/graph-runs/{row.uid}/retry/")
    assert refused.status_code == 409


def test_the_limit_of_retries_of_a_node_goes_before_its_agents(make_graph) -> None:
    nodes = {"a": {"retries": 1}, "b": {"own_retries": 3, "retries": 0}}
    row = start(make_graph(nodes, on_failure="continue"))
    end(live(row)["a"], S.FAILED)
    end(live(row)["b"], S.FAILED)
    assert {name: run.attempt for name, run in live(row).items()} == {"a": 2}
    assert states(row) == {"a": "started", "b": "failed"}
    end(live(row)["a"])
    assert states(row)["a"] == "succeeded"


def test_results_are_passed_on_as_params(make_graph) -> None:
    asked = {
        "score": {"from": "a", "path": "scores.1"},
        "all": [{"from": "a"}],
        "table": "own",
    }
    graph = make_graph({"a": {}, "b": {"after": ["a"], "params": asked}})
    row = start(graph, table="users", day=3)
    assert live(row)["a"].params == {"table": "users", "day": 3}
    end(live(row)["a"], result={"scores": [1, 7]})
    assert live(row)["b"].params == {
        "table": "own",
        "day": 3,
        "score": 7,
        "all": [{"scores": [1, 7]}],
    }


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (None, "a has left no result"),
        ({"other": 1}, "the result of a has nothing at 'score'"),
        ({"score": "x" * 20_000}, "its params would have 20012 bytes, more than 16384"),
    ],
)
def test_a_result_that_is_not_there_fails_the_node_and_says_so(
    make_graph, result, reason
) -> None:
    asked = {"score": {"from": "a", "path": "score"}}
    row = start(make_graph({"a": {}, "b": {"after": ["a"], "params": asked}}))
    end(live(row)["a"], result=result)
    row.refresh_from_db()
    assert row.state == "failed"
    failed = GraphNode.objects.get(graph_run=row, name="b")
    assert failed.reason.replace('"', "'") == reason


def test_only_so_many_nodes_run_at_once(make_graph) -> None:
    graph = make_graph({name: {} for name in "abcd"}, concurrency=2)
    row, most = start(graph), 0
    while running := live(row):
        most = max(most, len(running))
        end(next(iter(running.values())))
    row.refresh_from_db()
    assert (most, row.state) == (2, "succeeded")


def test_cancelling_stops_what_runs_and_skips_the_rest(make_graph, operator) -> None:
    row = start(make_graph({"a": {}, "b": {}, "c": {"after": ["a"]}}))
    run = live(row)["a"]
    for state in (S.ADMITTED, S.STARTING, S.RUNNING):
        run = runs.move(run, state, actor="t", now=NOON)
    body = operator.post(f"{API}/graph-runs/{row.uid}/cancel/").json()
    assert body["state"] == "running"  # a is still being stopped
    assert states(row) == {"a": "started", "b": "failed", "c": "skipped"}
    seen = Run.objects.values_list(*endings.SEEN).get(pk=run.pk)
    facts = {"ended_at": NOON, "exit_code": 0, "result": None}
    close = Close(seen_of(seen), S.CANCELLED, "", facts)
    endings.close_many([close], actor="node:n1", now=NOON)
    row.refresh_from_db()
    assert row.state == "cancelled"
    assert operator.post(f"{API}/graph-runs/{row.uid}/cancel/").status_code == 409


def test_the_leader_finds_what_nobody_heard_of(make_graph) -> None:
    row = start(make_graph({"a": {}, "b": {"after": ["a"], "when": "finish"}}))
    runs.stop(live(row)["a"], actor="t", now=NOON)  # it waited: no node tells its end
    token = lease.acquire("test", ttl_s=60)
    agent_scheduler.housekeep(token, now=NOON + timedelta(seconds=1))
    assert set(live(row)) == {"b"}
    agent_scheduler.housekeep(token, now=NOON + timedelta(seconds=2))
    assert Run.objects.filter(root_uid=row.uid).count() == 2


def test_a_graph_that_cannot_go_on_never_undoes_the_end_of_a_run(
    make_graph, monkeypatch
) -> None:
    row = start(make_graph({"a": {}, "b": {"after": ["a"]}}))
    run = live(row)["a"]

    def fail(*_: Any) -> None:
        raise ValueError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setattr(graph_runs.Turn, "go_on", fail)
        end(run)
    run.refresh_from_db()
    assert run.state == S.SUCCEEDED
    assert graph_runs.repair(now=NOON) == 1
    assert set(live(row)) == {"b"}


def test_a_node_of_a_disabled_agent_fails_with_that_reason(
    make_graph, make_agent
) -> None:
    row = start(make_graph({"a": {}, "b": {"after": ["a"]}}))
    from agents import agent_registry

    other = agent_registry.resolve("b")
    agent_registry.set_enabled(other, False, actor="t", now=NOON)
    end(live(row)["a"])
    failed = GraphNode.objects.get(graph_run=row, name="b")
    assert (failed.state, failed.reason) == (
        "failed",
        "b is disabled; enable it first",
    )


def test_the_run_of_a_graph_is_read_as_one_unit(make_graph, viewer) -> None:
    nodes = {"a": {}, "b": {"after": ["a"]}, "c": {"after": ["a"], "timeout": "5m"}}
    row = start(make_graph(nodes), day=1)
    body = viewer.get(f"{API}/graph-runs/{row.uid}/").json()
    assert [(n["name"], n["state"], n["expected_s"]) for n in body["nodes"]] == [
        ("a", "queued", 60.0),
        ("b", "waiting", 60.0),
        ("c", "waiting", 60.0),
    ]
    assert body["critical_path"] == [
        {"node": "a", "seconds": 60.0, "over": False},
        {"node": "b", "seconds": 60.0, "over": False},
    ]
    assert body["expected_end"]
    assert body["counts"] == {
        "waiting": 2,
        "started": 1,
        "succeeded": 0,
        "failed": 0,
        "skipped": 0,
    }
    (listed,) = viewer.get(f"{API}/graph-runs/?graph=night").json()["items"]
    assert (listed["uid"], listed["params"]) == (row.uid, {"day": 1})
    assert viewer.get(f"{API}/graph-runs/?state=failed").json()["items"] == []


def test_a_graph_is_made_changed_and_deleted_over_the_api(make_agent, editor) -> None:
    make_agent("a"), make_agent("b")
    raw = {"name": "g", "nodes": [{"agent": "a"}, {"agent": "b", "after": ["a"]}]}
    made = editor.post(f"{API}/graphs/", raw)
    assert made.status_code == 201
    assert made.json()["order"] == ["a", "b"]
    assert editor.post(f"{API}/graphs/", raw).status_code == 409
    started = editor.post(f"{API}/graphs/g/start/", {"params": {"x": 1}}).json()
    changed = editor.patch(f"{API}/graphs/g/", {"concurrency": 3}).json()
    assert (changed["version"], changed["concurrency"]) == (2, 3)
    assert changed["nodes"] == made.json()["nodes"]
    assert editor.delete(f"{API}/graphs/g/").status_code == 204
    body = editor.get(f"{API}/graph-runs/{started['uid']}/").json()
    assert (body["graph"], body["version"], body["concurrency"]) == ("g", 1, None)
    told = Event.objects.filter(kind__startswith="graph").values_list("kind", flat=True)
    assert list(told) == [
        "graph.created",
        "graph_run.started",
        "graph.changed",
        "graph.deleted",
    ]


NODE = {"agent": "a"}


@pytest.mark.parametrize(
    ("raw", "field", "said"),
    [
        ({"nodes": []}, "nodes", "at least 1"),
        ({"nodes": [{"agent": "nobody"}]}, "nodes", "there is no agent"),
        ({"nodes": [NODE, NODE]}, "nodes", "named twice"),
        ({"nodes": [{**NODE, "after": ["x"]}]}, "nodes", "there is no node"),
        (
            {
                "nodes": [
                    {**NODE, "after": ["c"]},
                    {**NODE, "name": "b", "after": ["a"]},
                    {**NODE, "name": "c", "after": ["b"]},
                ]
            },
            "nodes",
            "a -> b -> c -> a is a circle",
        ),
        ({"nodes": [{**NODE, "after": ["a"]}]}, "nodes", "a -> a is a circle"),
        ({"nodes": [{**NODE, "need": 2}]}, "nodes", "need: 2 of only 0"),
        ({"nodes": [{**NODE, "when": "never"}]}, "nodes", "item 1, when"),
        (
            {"nodes": [{**NODE, "params": {"x": {"from": "b"}}}]},
            "nodes",
            "does not come before",
        ),
        ({"nodes": [{**NODE, "timeout": "soon"}]}, "nodes", "item 1, timeout"),
        ({"nodes": [NODE], "name": "a b"}, "name", "letters"),
        ({"nodes": [NODE], "concurrency": 0}, "concurrency", "1"),
        ({"nodes": [NODE], "on_failure": "cry"}, "on_failure", "expected one of"),
        ({"nodes": [NODE], "nodez": 1}, "nodez", "did you mean nodes"),
        ({"nodes": [{"agent": "p"}]}, "nodes", "it never ends"),
        ({"nodes": "a"}, "nodes", "list"),
    ],
)
def test_a_graph_that_cannot_be_is_refused_by_its_field(
    make_agent, editor, raw, field, said
) -> None:
    make_agent("a"), make_agent("p", kind="persistent")
    answer = editor.post(f"{API}/graphs/", {"name": "g", **raw})
    assert answer.status_code == 400, answer.json()
    assert said in str(answer.json()["fields"][field])
    assert editor.get(f"{API}/graphs/").json()["items"] == []


def test_the_graph_of_agents_names_edges_and_circles(make_agent, viewer) -> None:
    make_agent("a")
    make_agent("b", depends_on=["a"], cascades=["c"])
    make_agent("c", cascades=["b"])
    raw = {"name": "g", "nodes": [NODE, {"agent": "c", "after": ["a"]}]}
    graphs.create(raw, actor="t", now=NOON)
    body = viewer.get(f"{API}/agents/graph/").json()
    told = [(e["from"], e["to"], e["kind"], e["graph"]) for e in body["edges"]]
    assert told == [
        ("a", "b", "depends_on", None),
        ("b", "c", "cascades", None),
        ("c", "b", "cascades", None),
        ("a", "c", "graph", "g"),
    ]
    assert [c["text"] for c in body["cycles"]] == ["b -> c -> b"]
    assert {n["agent"]: n["graphs"] for n in body["nodes"]} == {
        "a": ["g"],
        "b": [],
        "c": ["g"],
    }
