"""Runs that yield while they live: frozen, gone on with, saved before they end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents import live_config
from agents.executors.base import BadSpec, LaunchSpec
from agents.executors.fake import FakeExecutor
from agents.models import Event, Node
from scheduling import (
    agent_scheduler,
    hot_reads,
    launch,
    lease,
    nodes,
    runs,
    situation,
    suspended_runs,
    wishes,
)
from scheduling.models import Phase, Run
from scheduling.planner.snapshot import Resources
from scheduling.run_folders import work_name
from scheduling.run_state import RunState as S
from scheduling.supervisor import Supervisor
from scheduling.suspending import Suspender
from tests.conftest import NOON
from tests.db.test_runs import HOLDER, end, kinds, start

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(seconds=10)
CAN = {"subprocess": {"freeze": True, "reclaim": False, "why": {"reclaim": "no swap"}}}


@pytest.fixture(autouse=True)
def node(db: Any) -> Node:
    facts = {
        "cpu_millis": 2000,
        "memory_bytes": 8 * 10**9,
        "environments": ["subprocess"],
        "yields": CAN,
    }
    nodes.register("n1", now=NOON, facts=facts)
    return Node.objects.get()


def tick(now: Any = NOON) -> int:
    token = lease.acquire(HOLDER, ttl_s=60)
    return agent_scheduler.tick(token, now=now, per_class=100)


class Machine:
    """The node's side, with an executor in memory."""

    def __init__(self) -> None:
        self.now = NOON
        self.fake = FakeExecutor(clock=lambda: self.now.timestamp())
        self.suspender = self.another_process()

    def another_process(self) -> Suspender:
        return Suspender("n1", lambda _: self.fake, lambda: self.now)

    def runs(self, run: Run, tmp_path: Any) -> Run:
        self.fake.start([LaunchSpec(run.uid, run.token, ("serve",), tmp_path)])
        self.fake.held[run.uid].memory_bytes = 10**9
        return run

    def is_frozen(self, run: Run) -> bool:
        usage = self.fake.usage(run.uid)
        assert usage is not None
        return usage.frozen


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def low(make_agent: Any, node: Node, machine: Machine, tmp_path: Any) -> Run:
    agent = make_agent("low", cpu=2, priority="low", retries={"limit": 0})
    return machine.runs(
        start(runs.request_run(agent, actor="t", now=NOON), node), tmp_path
    )


@pytest.fixture
def urgent(make_agent: Any, low: Run) -> Run:
    agent = make_agent("urgent", cpu=2, priority="critical")
    return runs.request_run(agent, actor="t", now=NOON)


def fresh(run: Run) -> Run:
    return Run.objects.select_related("version", "node", "agent").get(pk=run.pk)


def test_a_run_is_frozen_its_cpu_given_away_and_it_goes_on_when_there_is_room(
    low: Run, urgent: Run, machine: Machine, node: Node
) -> None:
    tick()
    assert (fresh(low).state, fresh(low).wish) == (S.RUNNING, "freeze")
    tick()
    assert fresh(urgent).state == S.QUEUED  # the room is there once it is frozen
    machine.suspender.look()
    assert machine.is_frozen(low)
    assert fresh(low).state == S.SUSPENDED
    assert fresh(low).suspended_reason == "made room for urgent"
    tick()
    assert fresh(urgent).state == S.ADMITTED
    used = situation.nodes()[0]["used"]
    assert (used["cpu_millis"], used["slots"]) == (2000, 1)
    assert used["memory_bytes"] == low.memory_bytes + urgent.memory_bytes
    launch.begin([(urgent.pk, fresh(urgent).token)], node="n1", now=NOON)
    tick(LATER)
    assert fresh(low).wish == ""
    runs.move(fresh(urgent), S.FAILED, actor="t", now=LATER, ended_at=LATER)
    tick(LATER)
    assert fresh(low).wish == "thaw"
    machine.now = LATER
    machine.suspender.look()
    assert not machine.is_frozen(low)
    run = fresh(low)
    assert (run.state, run.frozen_s, run.suspended_at) == (S.RUNNING, 10.0, None)


def test_nobody_else_is_asked_while_one_yields(
    make_agent: Any, node: Node, machine: Machine
) -> None:
    agent = make_agent("stops", cpu=1, memory="3GB", priority="low")
    both = [start(runs.request_run(agent, actor="t", now=NOON), node) for _ in "ab"]
    urgent = make_agent("urgent", cpu=1, memory="3GB", priority="critical")
    runs.request_run(urgent, actor="t", now=NOON)
    for _ in range(3):
        tick()
    assert sorted(fresh(run).state for run in both) == [S.RUNNING, S.STOPPING]


def test_of_a_run_that_is_being_frozen_the_memory_is_not_on_its_way(
    low: Run, urgent: Run
) -> None:
    tick()
    by_yielding = {
        held.yielding: held.need
        for held in suspended_runs.occupied(hot_reads.occupied(NOON))
    }
    assert by_yielding[True] == Resources(cpu_millis=2000)
    assert by_yielding[False] == Resources(memory_bytes=low.memory_bytes)


def test_no_run_is_thawed_within_two_seconds(low: Run, machine: Machine) -> None:
    wishes.freeze(fresh(low), by="scheduler", reason="x", actor="t", now=NOON)
    machine.suspender.look()
    tick(NOON + timedelta(seconds=1))
    assert fresh(low).wish == ""
    tick(NOON + timedelta(seconds=2))
    assert fresh(low).wish == "thaw"


def test_what_an_operator_froze_only_an_operator_thaws(
    low: Run, machine: Machine, operator: Any
) -> None:
    api = operator
    path = f"/api/v1/runs/{low.uid}"
    assert api.post(f"{path}/freeze/", {"reason": "noise"}).status_code == 202
    machine.suspender.look()
    tick(LATER)
    told = api.get(f"{path}/").json()
    assert told["state"] == "suspended"
    assert told["suspended_reason"].endswith(": noise")
    assert api.post(f"{path}/thaw/").status_code == 202
    tick(LATER)
    assert fresh(low).wish == "thaw"
    machine.suspender.look()
    assert api.post(f"{path}/thaw/").status_code == 409
    assert api.post(f"{path}/freeze/", {"reason": 7}).status_code == 400


def test_a_node_killed_between_the_freeze_and_its_row_ends_at_the_same(
    low: Run, urgent: Run, machine: Machine
) -> None:
    tick()
    machine.fake.freeze(low.uid)  # and killed
    machine.another_process().look()
    assert fresh(low).state == S.SUSPENDED
    machine.fake.thaw(low.uid)  # a holder that was renewed knows nothing of it
    machine.another_process().look()
    assert machine.is_frozen(low)


def test_a_wish_that_changed_while_it_was_carried_out_is_put_right(
    low: Run, urgent: Run, machine: Machine
) -> None:
    tick()
    seen = fresh(low)
    wishes.thaw(fresh(low), actor="t", now=NOON)
    machine.suspender.carry_out(seen)
    machine.suspender.look()
    assert not machine.is_frozen(low)
    assert (fresh(low).state, fresh(low).wish) == (S.RUNNING, "")


def test_what_cannot_be_frozen_after_all_is_stopped(
    low: Run, urgent: Run, machine: Machine
) -> None:
    tick()

    def refuses(uid: str) -> None:
        raise BadSpec("no control group")

    machine.fake.freeze = refuses
    machine.suspender.look()
    tick()
    assert (fresh(low).state, fresh(low).stop_as) == (S.STOPPING, S.PREEMPTED)


def test_a_frozen_program_that_had_ended_just_before_has_succeeded(
    low: Run, urgent: Run, machine: Machine, node: Node
) -> None:
    tick()
    machine.suspender.look()
    end(fresh(low), node, exit_code=0)
    assert fresh(low).state == S.SUCCEEDED


def test_reclaimed_memory_counts_as_free_only_as_measured(
    make_agent: Any, low: Run, machine: Machine, node: Node, operator: Any
) -> None:
    can = {"subprocess": {"freeze": True, "reclaim": True, "why": {}}}
    Node.objects.update(yields=can, memory_bytes=low.memory_bytes + 10**6)
    agent = make_agent("big", cpu=0.1, memory="64MB", priority="critical")
    wanted = runs.request_run(agent, actor="t", now=NOON)
    machine.fake.held[low.uid].memory_bytes = 100 * 10**6
    machine.fake.stays_bytes = 70 * 10**6
    tick()
    assert fresh(low).wish == "reclaim"
    machine.suspender.look()
    assert fresh(low).reclaimed_bytes == 30 * 10**6
    told = operator.get(f"/api/v1/runs/{low.uid}/").json()
    assert (told["rung"], told["reclaimed_bytes"]) == ("reclaim", 30 * 10**6)
    tick()
    assert fresh(wanted).state == S.QUEUED  # 30 MB were given, 64 are needed
    assert fresh(low).state == S.STOPPING  # so the ladder goes on


@pytest.fixture
def saver(make_agent: Any, node: Node) -> Run:
    hook = {"when": "checkpoint", "signal": "SIGUSR1", "timeout": 5}
    agent = make_agent("saver", cpu=1, memory="6GB", priority="low", hooks=[hook])
    return start(runs.request_run(agent, actor="t", now=NOON), node)


def test_a_run_with_a_checkpoint_is_stopped_only_once_it_has_saved(
    make_agent: Any, saver: Run, node: Node
) -> None:
    agent = make_agent("urgent", cpu=1, memory="6GB", priority="critical")
    wanted = runs.request_run(agent, actor="t", now=NOON)
    tick()
    run = fresh(saver)
    assert (run.state, run.wish, run.rung) == (S.STOPPING, *["checkpoint"] * 2)
    assert Phase.objects.get(run=saver).when == "checkpoint"
    assert fresh(wanted).state == S.QUEUED
    wishes.saved(run.pk)
    end(fresh(saver), node, exit_code=None, signal=15, stopped=True)
    again = Run.objects.get(retry_of=saver)
    assert again.pinned_node == node  # where its work is
    tick()
    assert fresh(wanted).state == S.ADMITTED


def test_its_node_passes_the_stop_on_only_then(
    make_agent: Any, saver: Run, machine: Machine, tmp_path: Any
) -> None:
    machine.runs(saver, tmp_path)
    machine.fake.environments = ("subprocess",)
    supervisor = Supervisor("n1", machine.fake, lambda: (), lambda _: None)
    agent = make_agent("urgent", cpu=1, memory="6GB", priority="critical")
    runs.request_run(agent, actor="t", now=NOON)
    tick()
    supervisor.stop_pending()
    assert saver.uid in machine.fake.held
    wishes.saved(saver.pk)
    supervisor.stop_pending()
    assert saver.uid not in machine.fake.held


def test_the_next_attempt_finds_what_the_last_one_saved(saver: Run, node: Node) -> None:
    (first,) = launch.starts([saver.pk], node="n1", now=NOON)
    env = first.spec.env
    assert env["KOS_CHECKPOINT"] == f"{work_name(saver.uid)}/checkpoint"
    assert "KOS_RESUME" not in env
    folder = first.spec.work_folder / "checkpoint"
    (folder / "count").write_text("41")
    (folder / "done").touch()
    runs.stop(fresh(saver), actor="t", now=NOON, stop_as=S.PREEMPTED)
    end(fresh(saver), node, exit_code=None, signal=15, stopped=True)
    again = Run.objects.get(retry_of=saver)
    for _ in range(2):  # asked for again it is the same
        (second,) = launch.starts([again.pk], node="n1", now=NOON)
        saved = second.spec.work_folder / "checkpoint"
        assert (saved / "count").read_text() == "41"
        assert not (saved / "done").exists()
        assert second.spec.env["KOS_RESUME"] == "1"


def test_a_link_in_the_place_of_the_folder_is_not_followed(
    saver: Run, node: Node, tmp_path: Any
) -> None:
    (first,) = launch.starts([saver.pk], node="n1", now=NOON)
    folder = first.spec.work_folder / "checkpoint"
    folder.rmdir()
    folder.symlink_to(tmp_path)
    (tmp_path / "precious").touch()
    runs.stop(fresh(saver), actor="t", now=NOON, stop_as=S.PREEMPTED)
    end(fresh(saver), node, exit_code=None, signal=15, stopped=True)
    (second,) = launch.starts([Run.objects.get(retry_of=saver).pk], node="n1", now=NOON)
    assert not (second.spec.work_folder / "checkpoint").is_symlink()
    assert "KOS_RESUME" not in second.spec.env
    assert (tmp_path / "precious").exists()


def test_each_step_is_in_the_journal(low: Run, urgent: Run, machine: Machine) -> None:
    tick()
    machine.suspender.look()
    assert kinds(low)[-2:] == ["run.freeze_asked", "run.suspended"]
    told = Event.objects.get(kind="run.freeze_asked").data
    assert (told["rung"], told["by"]) == ("freeze", "scheduler")


def test_without_preemption_nobody_is_frozen(low: Run, urgent: Run) -> None:
    live_config.set_override("allow_agent_preemption", False, actor="t", now=NOON)
    live_config.forget()
    tick()
    assert fresh(low).wish == ""
