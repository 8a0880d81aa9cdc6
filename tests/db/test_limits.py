"""Groups and limits on a real database: who waits, who is skipped, who is stopped."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from agents import live_config
from scheduling import (
    agent_scheduler,
    firing,
    hot_reads,
    lease,
    limiting,
    nodes,
    runs,
    schedules,
)
from scheduling.models import Run
from scheduling.queue_marks import GROUPED
from scheduling.run_state import RunState as S
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
API = "/api/v1"
PAIR = {"key": "db-{params.table}", "limit": 2}


@pytest.fixture(autouse=True)
def room(db: None) -> None:
    facts = {
        "cpu_millis": 64_000,
        "memory_bytes": 64 * 10**9,
        "environments": ["subprocess"],
        "boot_id": "b",
    }
    nodes.register("n1", now=NOON, facts=facts)


def tick(now: datetime = NOON) -> int:
    token = lease.acquire("test", ttl_s=60)
    assert token is not None
    return agent_scheduler.tick(token, now=now, per_class=100)


def housekeep(now: datetime = NOON) -> None:
    token = lease.acquire("test", ttl_s=60)
    assert token is not None
    agent_scheduler.housekeep(token, now=now)


def spawn(agent: Any, count: int = 1, **how: Any) -> list[Run]:
    return runs.request_many(agent, count, actor="t", now=NOON, **how)


def states(found: list[Run]) -> list[str]:
    by = dict(Run.objects.values_list("pk", "state"))
    return [by[run.pk] for run in found]


def set_limits(*limits: dict[str, Any]) -> None:
    live_config.set_override("limits", list(limits), actor="t", now=NOON)
    live_config.forget()


def over(run: Run) -> None:
    run.refresh_from_db()
    for state in (S.STARTING, S.RUNNING, S.SUCCEEDED):
        run = runs.move(run, state, actor="t", now=NOON)


def test_only_as_many_of_a_group_run_as_it_allows(make_agent) -> None:
    first = make_agent("a", concurrency=PAIR)
    other = make_agent("b", concurrency=PAIR)
    users = spawn(first, 2, params={"table": "users"})
    users += spawn(other, 1, params={"table": "users"})
    (items,) = spawn(other, params={"table": "items"})
    assert tick() == 3
    assert states(users).count(S.ADMITTED) == 2
    assert states([items]) == [S.ADMITTED]
    (waits,) = Run.objects.filter(state=S.QUEUED)
    assert waits.reason == "2 of 2 running in group db-users"
    over(next(run for run in users if states([run]) == [S.ADMITTED]))
    assert tick() == 1


def test_a_plain_run_is_in_no_class_of_its_own(make_agent) -> None:
    set_limits({"name": "x", "tag": "gpu", "max_running": 1})
    (run,) = spawn(make_agent("a", tags=["cpu"]))
    assert GROUPED not in run.queue_class
    assert run.concurrency is None


def test_a_run_that_finds_its_group_full_is_skipped_when_it_says_so(make_agent) -> None:
    agent = make_agent("a", concurrency={"limit": 1, "on_full": "skip"})
    found = spawn(agent, 3)
    tick()
    assert states(found) == [S.ADMITTED, S.CANCELLED, S.CANCELLED]
    found[1].refresh_from_db()
    assert found[1].reason == "skipped: 1 of 1 running in group a"
    assert found[1].ended_at == NOON


def test_the_newest_takes_the_place_of_the_oldest_when_it_says_so(make_agent) -> None:
    agent = make_agent("a", concurrency={"limit": 2, "on_full": "cancel_oldest"})
    old = spawn(agent, 2)
    tick()
    new = spawn(agent, 1)
    tick()
    assert states(old) == [S.CANCELLED, S.ADMITTED]
    old[0].refresh_from_db()
    assert old[0].reason == "a newer run of group a took its place"
    tick()
    assert states(new) == [S.ADMITTED]
    newest = spawn(agent, 4)
    tick()
    assert states(newest) == [S.CANCELLED, S.CANCELLED, S.QUEUED, S.QUEUED]
    tick()
    assert states(newest)[2:] == [S.ADMITTED, S.ADMITTED]
    assert states([old[1], *new]) == [S.CANCELLED, S.CANCELLED]


def test_a_limit_made_later_holds_for_runs_that_wait_already(make_agent) -> None:
    agent = make_agent("a", tags=["gpu"])
    plain = make_agent("b")
    waiting, others = spawn(agent, 3), spawn(plain, 2)
    set_limits({"name": "gpus", "tag": "gpu", "max_running": 1})
    housekeep()
    assert tick() == 3
    assert states(others) == [S.ADMITTED] * 2
    head = Run.objects.filter(state=S.QUEUED).first()
    assert head is not None
    assert head.reason == "1 of 1 running under limit gpus"
    set_limits()
    housekeep()
    tick()
    assert states(waiting) == [S.ADMITTED] * 3


def test_a_run_queued_by_what_was_before_is_marked_a_moment_later(make_agent) -> None:
    agent = make_agent("a")
    set_limits({"name": "one", "agent": "a", "max_running": 1})
    housekeep()
    found = spawn(agent, 2)
    plain = found[0].queue_class.partition(GROUPED)[0]
    Run.objects.update(queue_class=plain)  # as a process that had not heard of it
    housekeep(NOON + timedelta(seconds=2))
    assert tick() == 1


def test_starts_are_spread_and_the_scheduler_wakes_for_the_next(make_agent) -> None:
    rate = {"starts": 2, "per": "1m"}
    set_limits({"name": "mail", "agent": "a", "rate": rate})
    found = spawn(make_agent("a"), 4)
    assert tick() == 2
    waits = Run.objects.filter(state=S.QUEUED).order_by("id").first()
    assert waits is not None
    assert "the next is free at 2026-11-23T12:00:30Z" in waits.reason
    opens = NOON + timedelta(seconds=30)
    assert limiting.opening.at == opens
    assert limiting.opening.sooner(None, NOON) == 30
    assert limiting.opening.sooner(0.5, NOON) == 0.5
    assert tick(opens - timedelta(milliseconds=1)) == 0
    assert tick(opens) == 1
    assert tick(opens + timedelta(seconds=1)) == 0
    assert states(found).count(S.QUEUED) == 1


def test_a_schedule_and_a_spawn_may_state_a_group(make_agent, editor) -> None:
    agent = make_agent("a", concurrency={"limit": 9})
    group = {"key": "night", "limit": 1, "on_full": "queue"}
    raw = {"agent": "a", "interval": 60, "concurrency": {"key": "night", "limit": 1}}
    made = editor.post(f"{API}/schedules/", raw)
    assert made.status_code == 201
    assert made.json()["concurrency"] == group
    schedule = schedules.find(made.json()["id"])
    due_at = schedule.next_due_at
    assert due_at is not None
    firing.fire_due(now=due_at, limit=10)
    assert Run.objects.get(schedule=schedule).concurrency == group
    body = {"agent": "a", "concurrency": {"key": "{params.x}", "limit": 2}}
    answer = editor.post(f"{API}/spawn/", {**body, "params": {"x": 7}})
    uid = answer.json()["runs"][0]
    stated = {"key": "7", "limit": 2, "on_full": "queue"}
    assert Run.objects.get(uid=uid).concurrency == stated
    (plain,) = spawn(agent)
    assert plain.concurrency == {"key": "a", "limit": 9, "on_full": "queue"}


@pytest.mark.parametrize(
    "stated",
    [
        5,
        {},
        {"limit": 0},
        {"limit": 1, "key": ""},
        {"limit": 1, "key": "{table}"},
        {"limit": 1, "on_full": "shout"},
        {"limit": 1, "what": 1},
    ],
)
def test_a_group_that_cannot_be_is_refused_by_its_field(
    make_agent, editor, stated
) -> None:
    make_agent("a")
    wrong = {"agent": "a", "concurrency": stated}
    definition = {"exec_env": "subprocess", "entry_point": "/bin/true"}
    for path, body in (
        ("spawn/", wrong),
        ("schedules/", {**wrong, "interval": 60}),
        ("agents/", {**definition, "agent_id": "b", "concurrency": stated}),
    ):
        answer = editor.post(f"{API}/{path}", body)
        assert answer.status_code == 400, (path, answer.json())
        assert list(answer.json()["fields"]) == ["concurrency"]
    assert not Run.objects.exists()


def test_limits_are_made_changed_and_taken_away_over_the_api(
    make_agent, admin, viewer
) -> None:
    raw = {"name": "mail", "agent": "a", "rate": {"starts": 1, "per": "1m"}}
    assert admin.post(f"{API}/limits/", raw).status_code == 201
    assert admin.post(f"{API}/limits/", raw).status_code == 409
    spawn(make_agent("a", concurrency={"limit": 3}), 2)
    tick()
    shown = viewer.get(f"{API}/limits/").json()
    (item,) = shown["items"]
    assert (item["running"], item["rate"]) == (1, {"starts": 1, "per": 60})
    assert shown["groups"] == [{"key": "a", "limit": 3, "running": 1, "waiting": 1}]
    changed = admin.patch(f"{API}/limits/mail/", {"max_running": 2, "rate": None})
    assert changed.json() == {"name": "mail", "agent": "a", "max_running": 2}
    assert admin.delete(f"{API}/limits/mail/").status_code == 204
    assert admin.delete(f"{API}/limits/mail/").status_code == 404
    assert viewer.get(f"{API}/limits/").json()["items"] == []


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"name": "x", "agent": "a"}, "max_running"),
        ({"name": "x", "max_running": 1}, "tag"),
        ({"name": "x", "tag": "a", "agent": "b", "max_running": 1}, "agent"),
        ({"name": "a b", "tag": "a", "max_running": 1}, "name"),
        ({"name": "x", "tag": "a", "max_running": 0}, "max_running"),
        ({"name": "x", "tag": "a", "rate": {"starts": 1}}, "rate"),
        ({"name": "x", "tag": "a", "rate": {"starts": 1, "per": "soon"}}, "rate"),
        ({"name": "x", "tag": "a", "max_running": 1, "more": 1}, "more"),
    ],
)
def test_a_limit_that_cannot_be_is_refused_by_its_field(admin, raw, field) -> None:
    answer = admin.post(f"{API}/limits/", raw)
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]
    assert live_config.current().limits == ()


def test_a_hundred_plain_runs_cost_no_statement_more(
    make_agent, django_assert_num_queries
) -> None:
    agent = make_agent("a")
    live_config.current()
    hot_reads.specs({agent.current.pk})
    with django_assert_num_queries(4):  # a savepoint, the runs, its end, the events
        one = runs.Wanted(agent, agent.current, "t", NOON)
        runs.queue_many([one] * 100, now=NOON, wake=False)


def test_in_dependency_mode_the_longest_way_still_to_go_comes_first(
    make_agent,
) -> None:
    live_config.set_override("scheduler_mode", "dependency", actor="t", now=NOON)
    live_config.set_override("max_concurrent_agents", 3, actor="t", now=NOON)
    live_config.forget()
    agent = make_agent("a")
    high = spawn(make_agent("h", priority="high"))
    low, short, long, longer = (
        spawn(agent, 1, path_s=float(s), occurrence_key=f"graph:x/{s}" if s else "")
        for s in (0, 60, 120, 180)
    )
    assert tick() == 3
    assert states([*longer, *long, *short]) == [S.ADMITTED] * 3
    assert states([*high, *low]) == [S.QUEUED] * 2
    live_config.set_override("max_concurrent_agents", 4, actor="t", now=NOON)
    live_config.forget()
    assert tick() == 1
    assert states(high) == [S.ADMITTED]
