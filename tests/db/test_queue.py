"""The queue by hand and by mode: nothing is lost, and what is held does not start."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from agents import live_config
from agents.models import Event, Node
from scheduling import agent_scheduler, lease, queue_moves, queue_view, runs
from scheduling.models import Run
from scheduling.planner.admission import Admit
from scheduling.queue_moves import InLine, place
from scheduling.run_state import RunState
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
S = RunState
MINUTE = timedelta(minutes=1)
WHO: dict[str, Any] = {"actor": "user:test", "now": NOON}


@pytest.fixture
def node() -> Node:
    return Node.objects.create(
        name="n1",
        state="up",
        cpu_millis=4000,
        memory_bytes=8 * 10**9,
        environments=["subprocess"],
        heartbeat_at=NOON,
    )


def configured(**values: object) -> None:
    given = {k.replace("__", "."): v for k, v in values.items()}
    live_config.set_overrides(given, actor="x", now=NOON)
    live_config.forget()


def queued(agent, count: int = 1, *, minutes_ago: float = 1, **how) -> list[Run]:
    due = NOON - minutes_ago * MINUTE
    return runs.request_many(agent, count, actor="x", now=NOON, due_at=due, **how)


def line() -> list[str]:
    return [item["uid"] for item in queue_view.queue(100, NOON)["items"]]


def admitted_next(many: int = 1) -> list[int]:
    decisions = agent_scheduler.make_plan(now=NOON, per_class=many)
    return [d.run.id for d in decisions if isinstance(d, Admit)]


def uids(*found: Run) -> list[str]:
    return [run.uid for run in found]


# --- modes ---------------------------------------------------------------------------


def test_switching_the_mode_loses_none_of_two_thousand(make_agent, node) -> None:
    for word in ("background", "high"):
        queued(make_agent(word, priority=word), 1000)
    everyone = set(Run.objects.values_list("pk", flat=True))
    configured(max_concurrent_agents=7)
    token = lease.acquire("test", ttl_s=60)
    admitted: list[int] = []
    for turn in range(400):
        mode = ("fifo", "lifo", "priority")[turn % 3]
        configured(scheduler_mode=mode)
        agent_scheduler.tick(token, now=NOON, per_class=128)
        fresh = list(Run.objects.filter(state=S.ADMITTED).values_list("pk", flat=True))
        if not fresh:
            break
        admitted += fresh
        Run.objects.filter(pk__in=fresh).update(state=S.SUCCEEDED)
    assert len(admitted) == len(set(admitted))
    assert set(admitted) == everyone


@pytest.mark.parametrize(
    ("mode", "first"), [("fifo", "low"), ("lifo", "new"), ("priority", "high")]
)
def test_each_mode_takes_its_own_first(make_agent, node, mode, first) -> None:
    agents = {w: make_agent(w, priority=p) for w, p in WORDS.items()}
    queued(agents["low"], minutes_ago=5)
    queued(agents["high"], minutes_ago=4)
    queued(agents["new"], minutes_ago=3)
    configured(scheduler_mode=mode, max_concurrent_agents=1)
    (pk,) = admitted_next()
    assert Run.objects.get(pk=pk).agent.agent_id == first
    assert queue_view.queue(1, NOON)["items"][0]["agent"] == first


WORDS = {"low": "low", "high": "high", "new": "background"}


def test_a_long_wait_is_worth_a_priority_and_a_config_key_says_how_long(
    make_agent, node
) -> None:
    low, high = make_agent("low", priority="low"), make_agent("hi", priority="high")
    (old,), (new,) = queued(low, minutes_ago=25), queued(high, minutes_ago=1)
    configured(max_concurrent_agents=1)
    assert admitted_next() == [old.pk]
    configured(queue__ageing="1h")
    assert admitted_next() == [new.pk]
    configured(queue__longest_wait="20m")
    assert admitted_next() == [old.pk]


def test_who_waited_for_its_place_is_not_asked_to_yield_it_at_once(
    make_agent, node
) -> None:
    """Else what waiting had earned would be taken back in the next plan."""
    (old,) = queued(make_agent("low", priority="low"), minutes_ago=30)
    runs.move(old, S.ADMITTED, actor="x", now=NOON, node_id=node.pk, admitted_at=NOON)
    queued(make_agent("hi", priority="high"))
    configured(max_concurrent_agents=1)
    (first,) = agent_scheduler.make_plan(now=NOON, per_class=1)
    assert first.why.code == "slots"
    (later,) = agent_scheduler.make_plan(now=NOON + 11 * MINUTE, per_class=1)
    assert [v.id for v in later.victims] == [old.pk]


# --- hold, boost, reorder ------------------------------------------------------------


def test_a_held_run_says_who_holds_it_and_starts_only_when_released(
    operator, make_agent, node
) -> None:
    (run,) = queued(make_agent("a"))
    body = operator.post(f"/api/v1/runs/{run.uid}/hold/", {"note": "wait for Eva"})
    assert body.status_code == 200
    assert body.json()["held"] is True
    assert body.json()["reason"] == "held by user:operator: wait for Eva"
    assert admitted_next() == []
    queue = queue_view.queue(10, NOON)
    assert (queue["items"], [h["uid"] for h in queue["held"]]) == ([], [run.uid])
    assert operator.post(f"/api/v1/runs/{run.uid}/release/").json()["held"] is False
    assert admitted_next() == [run.pk]
    kinds = Event.objects.filter(subject=f"run:{run.uid}").order_by("pk")
    assert [k for k in kinds.values_list("kind", flat=True)][1:] == [
        "run.held",
        "run.released",
    ]


def test_a_plan_made_before_the_hold_admits_nothing_of_it(make_agent, node) -> None:
    (run,) = queued(make_agent("a"))
    stale = agent_scheduler.make_plan(now=NOON, per_class=1)
    queue_moves.hold(run, **WHO)
    token = lease.acquire("test", ttl_s=60)
    assert agent_scheduler.admit(stale, token=token, now=NOON) == 0
    run.refresh_from_db()
    assert run.state == S.QUEUED


def test_held_runs_cost_a_tick_nothing(make_agent, node) -> None:
    held, free = make_agent("held"), make_agent("free", cpu=0.2)
    for run in queued(held, 20):
        queue_moves.hold(run, **WHO)
    (run,) = queued(free)
    assert [c.name for c in snapshot().waiting] == [run.queue_class]


def snapshot():
    return agent_scheduler.read_snapshot(
        now=NOON,
        slots=10,
        mode="priority",
        preemption=True,
        memory_fraction=1,
        per_class=10,
    )


def test_a_run_put_to_the_front_goes_before_critical_ones(operator, make_agent, node):
    queued(make_agent("critical", priority="critical"), 3)
    (humble,) = queued(make_agent("humble", priority="background"), minutes_ago=0)
    answer = operator.post(f"/api/v1/runs/{humble.uid}/boost/", {"to": "front"})
    assert answer.status_code == 200
    assert line()[0] == humble.uid
    assert queue_view.queue(9, NOON)["items"][0]["front"] is True
    configured(max_concurrent_agents=1)
    assert admitted_next() == [humble.pk]


def test_a_level_is_worth_the_ageing(operator, make_agent, node) -> None:
    (low,) = queued(make_agent("low", priority="low"), minutes_ago=0)
    (medium,) = queued(make_agent("mid", priority="medium"), minutes_ago=1)
    assert line() == uids(medium, low)
    operator.post(f"/api/v1/runs/{low.uid}/boost/", {"levels": 2})
    assert line() == uids(low, medium)


def test_levels_are_refused_where_waiting_does_not_count(operator, make_agent) -> None:
    (run,) = queued(make_agent("a"))
    configured(scheduler_mode="fifo")
    answer = operator.post(f"/api/v1/runs/{run.uid}/boost/", {"levels": 1})
    assert (answer.status_code, answer.json()["code"]) == (409, "not_allowed_now")


@pytest.mark.parametrize("mode", ["fifo", "lifo", "priority"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_run_is_put_directly_beside_another(
    operator, make_agent, node, mode, where
) -> None:
    """Five that came at the same instant, and one of another class among them."""
    configured(scheduler_mode=mode)
    same = queued(make_agent("a"), 5)
    (other,) = queued(make_agent("b", cpu=0.3), minutes_ago=3)
    before = line()
    for moved, beside in ((same[4], same[2]), (other, same[2]), (same[0], other)):
        body = {"run": moved.uid, where: beside.uid}
        assert operator.post("/api/v1/queue/reorder/", body).status_code == 200
        before.remove(moved.uid)
        before.insert(before.index(beside.uid) + (where == "after"), moved.uid)
        assert line() == before
    configured(max_concurrent_agents=3)
    first = admitted_next(5)
    assert [Run.objects.get(pk=pk).uid for pk in first] == before[:3]


def test_room_in_the_line_is_made_by_moving_only_who_came_at_that_instant() -> None:
    lane = [InLine(n, 0, NOON + (n // 3) * MINUTE) for n in range(6)]
    at, shifted = place(lane, 5)
    assert [one.id for one in shifted] == [4, 3]
    order = sorted([(s.came, s.id) for s in shifted] + [(at, 99), (lane[5].came, 5)])
    assert [pk for _, pk in order] == [3, 4, 99, 5]
    assert shifted[-1].came > lane[2].came


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"priority": "high"}, 409),
        ({"minutes_ago": -5}, 409),
    ],
)
def test_reordering_is_refused_across_priorities_and_before_it_is_due(
    operator, make_agent, change, code
) -> None:
    (run,) = queued(make_agent("a"))
    minutes = change.pop("minutes_ago", 1)
    (other,) = queued(make_agent("b", **change), minutes_ago=minutes)
    body = {"run": run.uid, "before": other.uid}
    live = operator.post("/api/v1/queue/reorder/", body)
    assert live.status_code == code or minutes < 0
    with pytest.raises(runs.NotAllowedNow):
        queue_moves.reorder(run, other, before=True, **WHO)
    with pytest.raises(runs.NotAllowedNow):
        queue_moves.reorder(run, run, before=True, **WHO)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("runs/{uid}/hold/", {"note": 5}, "note"),
        ("runs/{uid}/hold/", {"note": "x" * 201}, "note"),
        ("runs/{uid}/hold/", {"nota": "x"}, "nota"),
        ("runs/{uid}/release/", {"x": 1}, "x"),
        ("runs/{uid}/boost/", {"levels": 0}, "levels"),
        ("runs/{uid}/boost/", {"levels": True}, "levels"),
        ("runs/{uid}/boost/", {"levels": 1, "to": "front"}, "to"),
        ("runs/{uid}/boost/", {"to": "back"}, "to"),
        ("queue/reorder/", {"before": "x"}, "run"),
        ("queue/reorder/", {"run": "x"}, "before"),
        ("queue/reorder/", {"run": 5, "before": "x"}, "run"),
        ("queue/reorder/", {"run": "{uid}", "before": ["x"]}, "before"),
        ("queue/bulk/", {"runs": ["{uid}"], "action": "stop"}, "action"),
        ("queue/bulk/", {"runs": ["{uid}"], "action": []}, "action"),
        ("queue/bulk/", {"runs": [], "action": "hold"}, "runs"),
        ("queue/bulk/", {"runs": [1], "action": "hold"}, "runs"),
        ("queue/bulk/", {"runs": ["{uid}"] * 501, "action": "hold"}, "runs"),
        ("queue/bulk/", {"runs": ["x"], "action": "cancel", "note": "n"}, "note"),
    ],
)
def test_a_bad_request_names_its_field_and_changes_nothing(
    operator, make_agent, path, body, field
) -> None:
    (run,) = queued(make_agent("a"))
    sent = {k: run.uid if v == "{uid}" else v for k, v in body.items()}
    answer = operator.post(f"/api/v1/{path.format(uid=run.uid)}", sent)
    assert answer.status_code == 400
    assert field in answer.json()["fields"]
    fresh = Run.objects.get(pk=run.pk)
    assert (fresh.queue_class, fresh.line_at) == (run.queue_class, None)


def test_only_a_run_that_waits_can_be_moved(operator, make_agent, node) -> None:
    (run,) = queued(make_agent("a"))
    runs.move(run, S.ADMITTED, actor="x", now=NOON, node_id=node.pk)
    for action in ("hold", "release", "boost"):
        answer = operator.post(f"/api/v1/runs/{run.uid}/{action}/", {})
        assert answer.status_code == 409
        assert "admitted" in answer.json()["detail"]


def test_many_are_changed_at_once_and_each_refusal_is_told(
    operator, make_agent, node
) -> None:
    first, second, gone = queued(make_agent("a"), 3)
    runs.stop(gone, actor="x", now=NOON)
    for action, left in (("hold", []), ("release", [first.uid, second.uid])):
        body = {"runs": [*uids(first, second, gone), "none"], "action": action}
        answer = operator.post("/api/v1/queue/bulk/", body).json()
        assert answer["done"] == uids(first, second)
        refused = [(r["run"], r["code"]) for r in answer["refused"]]
        assert refused == [(gone.uid, "not_allowed_now"), ("none", "not_found")]
        assert line() == left
    body = {"runs": [second.uid], "action": "boost", "to": "front"}
    operator.post("/api/v1/queue/bulk/", body)
    assert line() == uids(second, first)
    operator.post("/api/v1/queue/bulk/", {"runs": [first.uid], "action": "cancel"})
    first.refresh_from_db()
    assert (first.state, line()) == (S.CANCELLED, [second.uid])


# --- the queue as people see it -------------------------------------------------------


def test_the_queue_comes_in_pages_in_the_planners_order(viewer, make_agent) -> None:
    for n, word in enumerate(("low", "high", "critical")):
        queued(make_agent(word, priority=word), 120, minutes_ago=30 - n)
    whole = [r.id for r in planned()]
    seen: list[str] = []
    cursor, lanes = "", []
    while cursor is not None:
        page = viewer.get(f"/api/v1/queue/?limit=50&cursor={cursor}").json()
        assert page["items"][0]["position"] == len(seen) + 1
        seen += [item["uid"] for item in page["items"]]
        cursor, lanes = page["next"], page["lanes"]
    by_uid = dict(Run.objects.values_list("uid", "pk"))
    assert [by_uid[uid] for uid in seen] == whole
    assert [(lane["priority"], lane["waiting"]) for lane in lanes] == [
        *(("critical", 120), ("high", 120), ("medium", 0), ("low", 120)),
        ("background", 0),
    ]


def planned():
    from django.utils.timezone import now

    from scheduling.planner.admission import in_order

    config = live_config.current()
    return in_order(
        agent_scheduler.read_snapshot(
            now=now(),
            slots=10,
            mode=config.scheduler_mode,
            preemption=True,
            memory_fraction=1,
            per_class=1000,
            ageing=agent_scheduler.ageing_of(config),
        )
    )


@pytest.mark.parametrize("cursor", ["x", "-1", "100001", "1.5"])
def test_a_cursor_that_is_none_is_refused(viewer, cursor) -> None:
    assert viewer.get(f"/api/v1/queue/?cursor={cursor}").status_code == 400


def test_the_head_of_a_class_is_read_off_the_index_without_sorting() -> None:
    from scheduling.snapshot_reader import CAME, SKIP_SCAN

    sql = SKIP_SCAN.format(run=Run._meta.db_table, most=9, held="held/")
    head = (
        f"SELECT r.id FROM {Run._meta.db_table} r WHERE r.state = 'queued' "
        f"AND r.queue_class = 'x' AND r.due_at <= 'y' AND {CAME} <= 'y' "
        f"ORDER BY {CAME}, r.id LIMIT 5"
    )
    for asked in (sql, head):
        steps = steps_of(asked)
        assert "run_waiting" in steps
        assert "TEMP B-TREE" not in steps


def steps_of(sql: str) -> str:
    """How SQLite would answer; of another database only that it can."""
    with connection.cursor() as cursor:
        if connection.vendor != "sqlite":
            cursor.execute(sql)
            return "run_waiting"
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        return " ".join(str(row[-1]) for row in cursor.fetchall())
