"""`runs/{id}/why/` and `occurrences/{id}/why/`: an answer for every state, and a change
that is carried out over the API starts the run."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest
from django.core.management import call_command

from agents import live_config
from agents.models import Node
from scheduling import agent_scheduler, durations, lease, queue_moves, runs, why
from scheduling.batch_sql import as_instant
from scheduling.models import Run
from scheduling.planner.admission import Admit
from scheduling.run_state import RunState
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
S = RunState
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def forgotten():
    durations.forget()
    yield
    durations.forget()


def make_node(name: str = "n1", cpu: int = 2000, **also) -> Node:
    return Node.objects.create(
        name=name,
        **{
            "state": "up",
            "cpu_millis": cpu,
            "memory_bytes": 10**10,
            "environments": ["subprocess"],
            "heartbeat_at": NOON,
            **also,
        },
    )


@pytest.fixture
def node() -> Node:
    return make_node()


def configured(**values: object) -> None:
    live_config.set_overrides(values, actor="x", now=NOON)
    live_config.forget()


def queued(agent, *, minutes_ago: float = 1, **how) -> Run:
    due = NOON - minutes_ago * MINUTE
    return runs.request_run(agent, actor="x", now=NOON, due_at=due, **how)


def running(agent, node: Node, *, minutes_ago: float = 1) -> Run:
    run = queued(agent, minutes_ago=minutes_ago)
    at = NOON - minutes_ago * MINUTE
    runs.move(run, S.ADMITTED, actor="x", now=at, node_id=node.pk, admitted_at=at)
    runs.move(run, S.STARTING, actor="x", now=at, starting_at=at)
    return runs.move(run, S.RUNNING, actor="x", now=at, started_at=at)


def asked(run: Run, at=NOON) -> dict[str, Any]:
    return why.why(Run.objects.select_related("agent", "node").get(pk=run.pk), now=at)


def starts(run: Run) -> bool:
    decisions = agent_scheduler.make_plan(now=NOON, per_class=9)
    return any(isinstance(d, Admit) and d.run.id == run.pk for d in decisions)


def had_taken(agent, node: Node, seconds: float) -> None:
    """The agent's history: one run that took that long."""
    run = running(agent, node, minutes_ago=60)
    ended = run.started_at + timedelta(seconds=seconds)
    runs.move(run, S.SUCCEEDED, actor="x", now=ended, ended_at=ended, exit_code=0)
    durations.forget()


def test_a_run_that_lacks_cpu_says_how_much_and_whom_to_stop(
    viewer, make_agent, node
) -> None:
    busy = running(make_agent("busy", cpu=1.5), node)
    run = queued(make_agent("a", cpu=1))
    body = viewer.get(f"/api/v1/runs/{run.uid}/why/").json()
    (blocker,) = body["blockers"]
    assert (blocker["kind"], blocker["node"]) == ("cpu", "n1")
    assert [blocker[k] for k in ("need", "have", "short_by")] == [1000, 500, 500]
    assert (body["state"], body["code"]) == ("waiting", "busy:CPU")
    assert body["smallest_change"]["stop"] == [busy.uid]
    assert body["position"] == {"in_queue": 1, "of": 1, "ahead_of_it": []}


def test_the_expected_start_is_the_expected_end_of_what_is_in_the_way(
    make_agent, node
) -> None:
    busy = make_agent("busy", cpu=1.5)
    had_taken(busy, node, 600)
    running(busy, node, minutes_ago=4)
    a = make_agent("a", cpu=1)
    had_taken(a, node, 120)
    first, second = queued(a, minutes_ago=3), queued(a, minutes_ago=2)
    third = queued(a, minutes_ago=1)
    ends = NOON + 6 * MINUTE
    for run, minutes in ((first, 0), (second, 0), (third, 2)):
        body = asked(run)
        expected = ends + minutes * MINUTE
        assert body["expected_start"] == expected.isoformat().replace("+00:00", "Z")
        assert body["confidence"] == "medium"
    told = asked(third)["position"]
    assert (told["in_queue"], told["of"]) == (3, 3)
    assert [one["uid"] for one in told["ahead_of_it"]] == [first.uid, second.uid]


def test_without_a_history_the_expected_start_is_a_guess_and_says_so(
    make_agent, node
) -> None:
    running(make_agent("busy", cpu=1.5), node, minutes_ago=0.5)
    body = asked(queued(make_agent("a", cpu=1)))
    assert body["confidence"] == "low"
    assert "no history" in body["basis"]
    assert body["expected_start"] == "2026-11-23T12:00:30Z"


def test_what_never_starts_by_itself_has_no_expected_start(make_agent, node) -> None:
    running(make_agent("busy", cpu=1.5, kind="persistent"), node)
    body = asked(queued(make_agent("a", cpu=1)))
    assert body["expected_start"] is None
    assert "does not start by itself" in body["basis"]


def test_slots_are_raised_by_just_enough(admin, make_agent, node) -> None:
    configured(max_concurrent_agents=2)
    for name in ("one", "two"):
        running(make_agent(name, priority="critical"), node)
    run = queued(make_agent("a"))
    body = asked(run)
    assert [b["kind"] for b in body["blockers"]] == ["slots"]
    assert body["smallest_change"]["config"] == {"max_concurrent_agents": 3}
    admin.patch("/api/v1/config/", body["smallest_change"]["config"])
    live_config.forget()
    assert starts(run)


def test_a_cordoned_node_is_named_and_opening_it_starts_the_run(
    admin, make_agent
) -> None:
    make_node(cordoned=True)
    run = queued(make_agent("a"))
    body = asked(run)
    assert body["smallest_change"]["node"] == "uncordon n1"
    admin.post("/api/v1/nodes/n1/uncordon/")
    assert starts(run)


def test_who_goes_before_it_is_named_and_a_boost_starts_it(
    operator, make_agent, node
) -> None:
    configured(max_concurrent_agents=1)
    queued(make_agent("urgent", priority="critical"))
    run = queued(make_agent("a"))
    body = asked(run)
    assert [b["kind"] for b in body["blockers"]] == ["ahead"]
    assert body["smallest_change"]["boost"] == run.uid
    operator.post(f"/api/v1/runs/{run.uid}/boost/", {"to": "front"})
    assert starts(run)


def test_a_preemption_under_way_is_told(make_agent, node) -> None:
    low = running(make_agent("low", priority="low", cpu=2), node)
    run = queued(make_agent("hi", priority="critical", cpu=1))
    body = asked(run)
    assert [b["kind"] for b in body["blockers"]] == ["preempting"]
    assert body["smallest_change"]["stop"] == [low.uid]
    assert body["smallest_change"]["text"].startswith("nothing: ")
    agent_scheduler.tick(lease.acquire("t", ttl_s=60), now=NOON, per_class=9)
    body = asked(run)
    assert [b["kind"] for b in body["blockers"]] == ["preempting"]
    assert body["expected_start"] is not None


def test_one_with_room_starts_in_a_moment(make_agent, node) -> None:
    body = asked(queued(make_agent("a")))
    assert (body["code"], body["blockers"]) == ("starting", [])
    assert (body["expected_start"], body["confidence"]) == (
        *("2026-11-23T12:00:00Z", "high"),
    )


def test_a_run_that_is_held_or_not_due_says_so(make_agent, node) -> None:
    held, later = queued(make_agent("a")), queued(make_agent("b"), minutes_ago=-5)
    queue_moves.hold(held, actor="user:eva", now=NOON, note="after the demo")
    body = asked(held)
    assert body["text"] == "held by user:eva: after the demo"
    assert [b["kind"] for b in body["blockers"]] == ["held"]
    assert body["smallest_change"]["release"] == held.uid
    body = asked(later)
    assert body["expected_start"] == "2026-11-23T12:05:00Z"
    assert body["smallest_change"]["wait_until"] == "2026-11-23T12:05:00Z"


def test_a_run_that_started_late_says_what_it_had_waited_for(make_agent, node) -> None:
    run = queued(make_agent("a"))
    runs.note_waits({run.pk: ("busy:CPU", "n1 has too little free CPU")}, now=NOON)
    runs.move(run, S.ADMITTED, actor="x", now=NOON, node_id=node.pk)
    runs.move(run, S.STARTING, actor="x", now=NOON)
    run = runs.move(run, S.RUNNING, actor="x", now=NOON, started_at=NOON)
    body = asked(run)
    assert body["late_s"] == 60
    assert body["text"].startswith("it runs on n1; it started 60 s after it was due")
    assert [one["code"] for one in body["waited_for"]] == ["busy:CPU"]


@pytest.mark.parametrize("state", list(S))
def test_every_state_has_an_answer_that_is_never_unknown(
    make_agent, node, state
) -> None:
    run = queued(make_agent("a"))
    Run.objects.filter(pk=run.pk).update(state=state, node=node, started_at=NOON)
    body = asked(run)
    assert body["text"]
    assert "unknown" not in str(body)
    assert set(body) >= {"state", "code", "blockers", "smallest_change", "position"}


def test_far_back_in_line_the_start_is_taken_at_the_pace_of_those_ahead(
    make_agent, node
) -> None:
    agent = make_agent("a", cpu=2)
    had_taken(agent, node, 60)
    many = runs.request_many(agent, 200, actor="x", now=NOON, due_at=NOON - MINUTE)
    body = asked(many[-1])
    at = as_instant(body["expected_start"][:-1])
    assert abs((at - NOON) - 199 * MINUTE) < 10 * MINUTE
    assert body["confidence"] == "low"
    assert body["position"]["in_queue"] == 200


def test_the_queue_tells_expected_starts(viewer, make_agent, node) -> None:
    agent = make_agent("a", cpu=2)
    had_taken(agent, node, 60)
    first, second = queued(agent, minutes_ago=2), queued(agent)
    items = viewer.get("/api/v1/queue/").json()["items"]
    assert [i["uid"] for i in items] == [first.uid, second.uid]
    one, other = (as_instant(item["expected_start"][:-1]) for item in items)
    assert other - one == MINUTE


def test_show_plan_tells_blockers_changes_and_starts(make_agent, node, capsys) -> None:
    busy = running(make_agent("busy", cpu=1.5), node)
    queued(make_agent("a", cpu=1))
    call_command("show_plan")
    said = capsys.readouterr().out
    assert "waits: n1 has too little free CPU" in said
    assert "n1 has free 0.5 cores of the 1 cores it needs" in said
    assert "stop 1 run on n1" in said
    assert "expected to start" in said
    assert busy.uid[:8] in said


# --- the change that is proposed, carried out for real --------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_a_proposed_change_carried_out_over_the_api_starts_the_run(
    admin, make_agent, seed, tally
) -> None:
    random = Random(seed)
    for n in range(random.randint(1, 3)):
        cordoned = random.random() < 0.3
        make_node(f"n{n}", random.choice((1000, 2000)), cordoned=cordoned)
    nodes = list(Node.objects.all())
    words = ("background", "low", "medium", "high", "critical")
    for n in range(random.randint(2, 5)):
        agent = make_agent(f"r{n}", cpu=random.choice((0.5, 1)), priority="critical")
        running(agent, random.choice(nodes))
    waiting = [
        queued(
            make_agent(
                f"w{n}", cpu=random.choice((0.5, 1)), priority=random.choice(words)
            )
        )
        for n in range(4)
    ]
    configured(max_concurrent_agents=random.choice((4, 6, 12)))
    run = random.choice(waiting)
    body = asked(run)
    change = body["smallest_change"]
    tally("why over the API", change["kind"])
    for uid in (*change.get("stop", ()), *change.get("hold", ())):
        found = Run.objects.select_related("version", "node").get(uid=uid)
        if uid in change.get("hold", ()):
            queue_moves.hold(found, actor="x", now=NOON)
        else:
            runs.move(found, S.SUCCEEDED, actor="x", now=NOON, ended_at=NOON)
    if "config" in change:
        admin.patch("/api/v1/config/", change["config"])
        live_config.forget()
    if "node" in change:
        name = change["node"].removeprefix("uncordon ")
        assert admin.post(f"/api/v1/nodes/{name}/uncordon/").status_code == 200
    if "boost" in change:
        admin.post(f"/api/v1/runs/{change['boost']}/boost/", {"to": "front"})
    if change["kind"] in ("capacity", "boost+capacity"):
        on = change["capacity"]
        found = Node.objects.get(name=on["on"])
        Node.objects.filter(pk=found.pk).update(
            cpu_millis=found.cpu_millis + on["cpu_millis"]
        )
    assert starts(run)
