"""The overview, the queue in order, the plan, and nodes, over HTTP."""

from __future__ import annotations

import pytest

from agents.models import Event
from scheduling import queue_view, runs
from scheduling.run_state import RunState as S
from tests.conftest import NOON
from tests.db.timeline_fixtures import DAY, HOUR, past_runs

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("no_memory_of_other_tests"),
]


def test_the_overview_counts_agents_and_tells_use(viewer, make_agent, node) -> None:
    make_agent("idle")
    past_runs(make_agent("broken"), node, 1, state=S.FAILED)
    run = runs.request_run(make_agent("busy"), actor="user:test", now=NOON)
    runs.move(run, S.ADMITTED, actor="x", now=NOON, node_id=node.pk)
    body = viewer.get("/api/v1/overview/").json()
    assert (body["states"]["sleeping"], body["states"]["crashed"]) == (2, 1)
    (told,) = body["nodes"]
    assert told["used"]["slots"] == 1
    assert told["used"]["cpu_millis"] == 100
    assert body["leader"] is None


def test_the_queue_is_in_the_modes_order_with_reasons(make_agent) -> None:
    low, high = make_agent("low", priority="low"), make_agent("high", priority="high")
    first = runs.request_run(low, actor="x", now=NOON - HOUR / 60)
    runs.request_run(high, actor="x", now=NOON)
    runs.note_waits({first.pk: ("no_node", "no node has joined yet")}, now=NOON)
    answer = queue_view.queue(10, NOON)
    assert [item["agent"] for item in answer["items"]] == ["high", "low"]
    assert [item["position"] for item in answer["items"]] == [1, 2]
    assert answer["items"][1]["reason"] == "no node has joined yet"
    assert (answer["total"], answer["mode"]) == (2, "priority")


def test_the_plan_can_be_looked_at_without_being_carried_out(viewer, agent) -> None:
    run = runs.request_run(agent, actor="x", now=NOON - 365 * DAY)
    (decision,) = viewer.get("/api/v1/plan/").json()["items"]
    assert (decision["do"], decision["uid"]) == ("wait", run.uid)
    run.refresh_from_db()
    assert run.state == S.QUEUED


def test_a_node_is_cordoned_drained_and_opened_again(admin, agent, node) -> None:
    assert admin.post("/api/v1/nodes/n1/cordon/").json()["cordoned"]
    run = runs.request_run(agent, actor="x", now=NOON)
    runs.move(run, S.ADMITTED, actor="x", now=NOON, node_id=node.pk)
    drained = admin.post("/api/v1/nodes/n1/drain/").json()
    assert (drained["cordoned"], drained["draining"]) == (True, True)
    run.refresh_from_db()
    assert (run.state, run.node_id) == (S.QUEUED, None)
    opened = admin.post("/api/v1/nodes/n1/uncordon/").json()
    assert (opened["cordoned"], opened["draining"]) == (False, False)
    kinds = Event.objects.filter(subject="node:n1").order_by("pk")
    assert list(kinds.values_list("kind", flat=True)) == [
        "node.cordoned",
        "node.draining",
        "node.uncordoned",
    ]


def test_a_node_that_is_not_there_is_not_found(admin) -> None:
    assert admin.post("/api/v1/nodes/none/drain/").status_code == 404


def test_health_says_only_ok(anonymous) -> None:
    assert anonymous.get("/api/v1/health/").json() == {"status": "ok"}
