"""Moves of runs on a real database: who wins, what is told, what follows."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import close_old_connections, connection

from agents.errors import ChangedMeanwhile, NotAllowedNow
from agents.executors.base import Ended, NotStarted, Started
from agents.models import Event, Node, NodeLog
from scheduling import (
    agent_control,
    agent_scheduler,
    endings,
    launch,
    lease,
    nodes,
    result_dispatcher,
    runs,
    sweeping,
)
from scheduling.models import Delivery, Run
from scheduling.run_folders import result_name
from scheduling.run_state import RunState as S
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
HOLDER = "test-scheduler"


@pytest.fixture
def node(db) -> Node:
    facts = {
        "cpu_millis": 2000,
        "memory_bytes": 8 * 10**9,
        "environments": ["subprocess"],
        "boot_id": "b",
    }
    nodes.register("n1", now=NOON, facts=facts)
    return Node.objects.get()


@pytest.fixture
def run(agent) -> Run:
    return runs.request_run(agent, actor="user:test", now=NOON)


def tick(now=NOON, per_class=100) -> int:
    token = lease.acquire(HOLDER, ttl_s=60)
    return agent_scheduler.tick(token, now=now, per_class=per_class)


def start(run: Run, node: Node, now=NOON) -> Run:
    """Take a queued run to RUNNING as the node does."""
    tick(now)
    run.refresh_from_db()
    launch.begin([(run.pk, run.token)], node=node.name, now=now)
    said = Started(run.uid, run.token, int(now.timestamp() * 1e9), {"pid": 1})
    endings.apply([said], log=log_of(node), offset=1, now=now)
    run.refresh_from_db()
    assert run.state == S.RUNNING
    return run


def end(run: Run, node: Node, now=NOON, **how) -> Run:
    how = {"exit_code": 0, "signal": None, **how}
    said = Ended(run.uid, run.token, int(now.timestamp() * 1e9), **how)
    endings.apply([said], log=log_of(node), offset=2, now=now)
    run.refresh_from_db()
    return run


def kinds(run: Run) -> list[str]:
    mine = Event.objects.filter(subject=f"run:{run.uid}").order_by("pk")
    return list(mine.values_list("kind", flat=True))


def test_a_run_leaves_one_event_at_each_step(run, node) -> None:
    end(start(run, node), node)
    steps = ["queued", "admitted", "starting", "running", "succeeded"]
    assert kinds(run) == [f"run.{step}" for step in steps]


def test_a_step_not_in_the_table_is_refused(run) -> None:
    with pytest.raises(NotAllowedNow, match="the run is queued"):
        runs.move(run, S.RUNNING, actor="t", now=NOON)


def test_of_two_who_saw_the_same_state_one_wins(run) -> None:
    mine, theirs = Run.objects.get(), Run.objects.get()
    runs.move(mine, S.CANCELLED, actor="a", now=NOON, ended_at=NOON)
    with pytest.raises(ChangedMeanwhile):
        runs.move(theirs, S.CANCELLED, actor="b", now=NOON, ended_at=NOON)
    assert kinds(run).count("run.cancelled") == 1


def test_a_launch_with_an_old_token_wins_nothing(run, node) -> None:
    tick()
    run.refresh_from_db()
    old = run.token
    later = NOON + timedelta(seconds=60)
    assert sweeping.take_back(now=later, older_than_s=10) == 1
    tick(later)
    assert launch.begin([(run.pk, old)], node="n1", now=later) == []
    run.refresh_from_db()
    assert len(launch.begin([(run.pk, run.token)], node="n1", now=later)) == 1


def test_a_launch_delivered_twice_starts_once(run, node) -> None:
    tick()
    run.refresh_from_db()
    batch = [(run.pk, run.token)]
    assert len(launch.begin(batch, node="n1", now=NOON)) == 1
    assert launch.begin(batch, node="n1", now=NOON) == []


def test_an_exit_code_and_a_signal_stay_apart(make_agent, node) -> None:
    agent = make_agent()
    killed = start(runs.request_run(agent, actor="t", now=NOON), node)
    killed = end(killed, node, exit_code=None, signal=9)
    assert (killed.state, killed.exit_code, killed.signal) == (S.FAILED, None, 9)
    assert killed.reason == "ended by SIGKILL"
    left = end(
        start(runs.request_run(agent, actor="t", now=NOON), node), node, exit_code=137
    )
    assert (left.exit_code, left.signal, left.reason) == (137, None, "exit code 137")


def test_the_same_line_read_twice_ends_a_run_once(run, node) -> None:
    run = end(start(run, node), node, exit_code=3)
    end(run, node, exit_code=0)
    run.refresh_from_db()
    assert (run.state, run.exit_code) == (S.FAILED, 3)
    assert kinds(run).count("run.failed") == 1


def test_what_cannot_start_fails_with_the_reason(run, node) -> None:
    tick()
    run.refresh_from_db()
    launch.begin([(run.pk, run.token)], node="n1", now=NOON)
    said = NotStarted(
        run.uid, run.token, int(NOON.timestamp() * 1e9), "no such program: x"
    )
    endings.apply([said], log=log_of(node), offset=1, now=NOON)
    run.refresh_from_db()
    assert (run.state, run.reason) == (S.FAILED, "cannot start: no such program: x")


def test_a_stop_before_the_start_cancels_at_once(run) -> None:
    assert runs.stop(run, actor="user:a", now=NOON).state == S.CANCELLED


def test_a_stopped_run_ends_cancelled_and_one_that_was_faster_ends_as_it_did(
    make_agent, node
) -> None:
    agent = make_agent()
    slow = start(runs.request_run(agent, actor="t", now=NOON), node)
    runs.stop(slow, actor="user:a", now=NOON)
    slow.refresh_from_db()
    assert end(slow, node, exit_code=None, signal=15, stopped=True).state == S.CANCELLED
    fast = start(runs.request_run(agent, actor="t", now=NOON), node)
    runs.stop(fast, actor="user:a", now=NOON)
    fast.refresh_from_db()
    assert end(fast, node).state == S.SUCCEEDED


def test_a_failed_run_is_retried_with_back_off_under_the_same_occurrence(
    make_agent, node
) -> None:
    retries = {"limit": 1, "delay": 4, "jitter": 0}
    agent = make_agent(retries=retries)
    first = start(runs.request_run(agent, actor="t", now=NOON), node)
    end(first, node, exit_code=1)
    second = Run.objects.get(retry_of=first)
    assert second.due_at == NOON + timedelta(seconds=4)
    assert (second.attempt, second.occurrence_key) == (2, first.occurrence_key)
    end(start(second, node, NOON + timedelta(seconds=5)), node, exit_code=1)
    assert Run.objects.count() == 2


def test_a_persistent_agent_comes_back_and_only_once(make_agent, node) -> None:
    agent = make_agent(kind="persistent")
    for _ in range(2):
        agent_control.want_persistent(now=NOON, reschedule_on_crash=True)
    run = Run.objects.get()
    end(start(run, node), node, exit_code=1)
    again = Run.objects.get(retry_of=run)
    assert again.state == S.QUEUED
    with pytest.raises(NotAllowedNow):
        runs.request_run(agent, actor="t", now=NOON)


def test_a_persistent_agent_that_was_stopped_stays_stopped(make_agent, node) -> None:
    agent = make_agent(kind="persistent")
    agent_control.want_persistent(now=NOON, reschedule_on_crash=True)
    run = start(Run.objects.get(), node)
    agent_control.stop_agent(agent, actor="user:a", now=NOON)
    run.refresh_from_db()
    end(run, node, exit_code=None, signal=15, stopped=True)
    agent_control.want_persistent(now=NOON, reschedule_on_crash=True)
    assert Run.objects.count() == 1
    agent_control.start_agent(agent, actor="user:a", now=NOON)
    assert Run.objects.count() == 2


def test_an_urgent_run_preempts_and_the_victim_is_queued_again(
    make_agent, node
) -> None:
    background = make_agent("slow", cpu=2, priority="background")
    victim = start(runs.request_run(background, actor="t", now=NOON), node)
    urgent = make_agent("urgent", cpu=2, priority="critical")
    wanted = runs.request_run(urgent, actor="t", now=NOON)
    tick()
    victim.refresh_from_db()
    assert (victim.state, victim.stop_as) == (S.STOPPING, S.PREEMPTED)
    end(victim, node, exit_code=None, signal=15, stopped=True)
    tick()
    wanted.refresh_from_db()
    victim.refresh_from_db()
    assert (victim.state, wanted.state) == (S.PREEMPTED, S.ADMITTED)
    again = Run.objects.get(retry_of=victim)
    assert (again.state, again.occurrence_key) == (S.QUEUED, victim.occurrence_key)


def test_a_waiting_run_is_told_once_why_it_waits(make_agent, node) -> None:
    agent = make_agent(gpu=1)
    run = runs.request_run(agent, actor="t", now=NOON)
    for _ in range(3):
        tick()
    run.refresh_from_db()
    assert "1 GPU" in run.reason
    assert kinds(run).count("run.waiting") == 1


def test_a_cascade_starts_the_other_agent_with_its_lineage(make_agent, node) -> None:
    make_agent("indexer")
    agent = make_agent("front", kind="cascading", cascades=["indexer"])
    parent = end(start(runs.request_run(agent, actor="t", now=NOON), node), node)
    assert result_dispatcher.deliver_due(now=NOON) == 1
    assert result_dispatcher.deliver_due(now=NOON) == 0
    child = Run.objects.get(agent__agent_id="indexer")
    assert (child.parent, child.root_uid, child.depth) == (parent, parent.uid, 1)


def test_an_endless_cascade_is_refused_with_the_chain_named(make_agent, node) -> None:
    make_agent("pong", kind="cascading", cascades=["ping"])
    agent = make_agent("ping", kind="cascading", cascades=["pong"])
    run = runs.request_run(agent, actor="t", now=NOON)
    for _ in range(17):
        end(start(run, node), node)
        result_dispatcher.deliver_due(now=NOON)
        run = Run.objects.latest("pk")
    assert run.depth == 16
    dead = Delivery.objects.get(state="dead")
    assert "cascade deeper than 16: ping → pong → ping" in dead.detail


def test_a_leader_that_was_superseded_admits_nothing(run, node) -> None:
    old = lease.acquire("one", ttl_s=-1)
    assert lease.acquire("two", ttl_s=60) == old + 1
    with pytest.raises(lease.Superseded):
        agent_scheduler.tick(old, now=NOON, per_class=10)
    run.refresh_from_db()
    assert run.state == S.QUEUED


@pytest.mark.django_db(transaction=True)
def test_two_threads_racing_over_the_same_runs_move_each_once(make_agent) -> None:
    agent = make_agent()
    queued = runs.request_many(agent, 40, actor="t", now=NOON)
    won: list[int] = []

    def race() -> None:
        for run in queued:
            with_token = runs.Step(run.pk, run.token, also_set={"ended_at": NOON})
            from django.db import transaction

            with transaction.atomic():
                moved = runs.move_many(
                    [with_token], before=S.QUEUED, to=S.CANCELLED, actor="t", now=NOON
                )
            won.extend(m["id"] for m in moved)
        connection.close()

    racers = [threading.Thread(target=race) for _ in range(2)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    close_old_connections()
    assert sorted(won) == sorted(run.pk for run in queued)
    assert Event.objects.filter(kind="run.cancelled").count() == 40


@pytest.mark.parametrize(
    "result", ["text", 5, True, None, [1, "a"], {"a": {"b": None}}]
)
def test_a_result_is_kept_as_the_program_left_it(run, node, result) -> None:
    run = start(run, node)
    left = result_name(run.uid)
    Path(left).parent.mkdir(parents=True)
    Path(left).write_text(json.dumps(result))
    assert end(run, node).result == result


def log_of(node: Node) -> NodeLog:
    return NodeLog.objects.get_or_create(node=node, executor="subprocess")[0]
