"""The real controller in a made-up world: what it promises holds at every step."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Sum
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from agents.models import Node
from agents.priority import Priority
from scheduling import agent_scheduler, lease, lost_nodes, runs
from scheduling.models import Run
from scheduling.run_state import FINAL, HOLDS_RESOURCES, RunState
from scheduling.simulation import policies
from scheduling.simulation.report import summarise
from scheduling.simulation.trace import Job, Machine, Trace
from scheduling.simulation.world import World

pytestmark = pytest.mark.django_db
GB = 10**9
FOUR_CORES = (Machine("m1", 4000, 8 * GB),)


def job(name: str, at_s: float, takes_s: float, cores: int = 1, **more: object) -> Job:
    return Job(name, at_s, takes_s, cores * 1000, **more)  # type: ignore[arg-type]


def world(*jobs: Job, policy: str = "priority", **more: object) -> World:
    return World(Trace(jobs, FOUR_CORES), policies.config_of(policy), **more)  # type: ignore[arg-type]


def drawn_trace(seed: int, count: int = 60) -> Trace:
    chance, at_s, jobs = random.Random(seed), 0.0, []
    for number in range(count):
        at_s += chance.expovariate(1 / 20)
        jobs.append(
            job(
                f"job-{number}",
                at_s,
                chance.lognormvariate(4, 1),
                chance.choice((1, 1, 2, 3, 4)),
                priority=int(chance.choice(list(Priority))),
                memory_bytes=chance.choice((1, 2, 4)) * GB,
            )
        )
    return Trace(tuple(jobs), FOUR_CORES)


def test_a_job_that_fits_starts_at_once_and_takes_its_time() -> None:
    (one,) = world(job("one", 30, 100)).run()
    assert (one.wait_s, one.run_s, one.state) == (0, 100, "succeeded")


def test_who_came_first_starts_first_when_there_is_no_room_for_both() -> None:
    found = world(job("a", 0, 100, 4), job("b", 1, 10, 4), job("c", 2, 10, 4)).run()
    assert [one.wait_s for one in found] == [0, 99, 108]


def test_a_more_urgent_job_takes_the_place_of_one_that_then_begins_anew() -> None:
    low = job("low", 0, 100, 4, priority=int(Priority.LOW))
    urgent = job("urgent", 50, 10, 4, priority=int(Priority.CRITICAL))
    victim, winner = world(low, urgent).run()
    assert winner.wait_s == 1  # its place took a second to become free
    assert (victim.preemptions, victim.lost_s, victim.run_s) == (1, 51, 100)


def test_a_job_that_exceeds_its_limit_is_ended_there() -> None:
    (one,) = world(job("long", 0, 100, limit_s=30.0)).run()
    assert (one.run_s, one.state) == (30, "timed_out")


@pytest.mark.parametrize("policy", policies.POLICIES)
def test_the_same_seed_gives_the_same_story(policy: str) -> None:
    def told() -> list[object]:
        with transaction.atomic():
            found = World(drawn_trace(1), policies.config_of(policy)).run()
            transaction.set_rollback(True)
        return [(o.name, o.started_s, o.ended_s, o.attempts) for o in found]

    assert told() == told()


def test_a_day_takes_seconds() -> None:
    trace = drawn_trace(2, count=150)
    began_at = datetime.now(UTC)
    outcomes = World(trace, policies.config_of("priority")).run()
    took_s = (datetime.now(UTC) - began_at).total_seconds()
    report = summarise("priority", outcomes, cpu_millis=4000, took_s=took_s)
    assert report.finished == report.jobs == 150
    assert report.times_real > 100


def test_the_controller_and_the_simulation_plan_with_the_same_planner(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(Exception):
        pass

    def plan(snapshot: object) -> list[object]:
        raise Broken

    made_up = world(job("one", 0, 1))
    monkeypatch.setattr(agent_scheduler, "plan", plan)
    with pytest.raises(Broken):
        made_up.run()
    token = lease.acquire(made_up.__module__, ttl_s=1e9) or made_up.token
    with pytest.raises(Broken):
        agent_scheduler.step(token, now=made_up.now, per_class=8)


# -- drawn worlds ----------------------------------------------------------------------


class DrawnWorld(RuleBasedStateMachine):
    """Work arrives, time passes, people stop things and machines vanish."""

    @initialize()
    def begin(self) -> None:
        machines = (Machine("m1", 4000, 8 * GB), Machine("m2", 2000, 4 * GB))
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.world = World(Trace((), machines), policies.config_of("priority"))
        self.asked = 0

    @rule(
        cores=st.integers(1, 5),
        gigabytes=st.integers(1, 9),
        takes_s=st.floats(0.5, 500),
        priority=st.sampled_from([int(p) for p in Priority]),
        count=st.integers(1, 3),
    )
    def ask(
        self, cores: int, gigabytes: int, takes_s: float, priority: int, count: int
    ) -> None:
        for _ in range(count):
            self.asked += 1
            self.world.ask(
                job(
                    f"job-{self.asked}",
                    0,
                    takes_s,
                    cores,
                    memory_bytes=gigabytes * GB,
                    priority=priority,
                )
            )
        self.world.settle()

    @rule(steps=st.integers(1, 4))
    def pass_time(self, steps: int) -> None:
        for _ in range(steps):
            if (at := self.world.next_instant()) is not None:
                self.world.now = max(at, self.world.now)
                self.world.settle()

    @rule(which=st.integers(0, 50))
    def stop(self, which: int) -> None:
        live = list(Run.objects.exclude(state__in=sorted(FINAL)))
        if live:
            run = live[which % len(live)]
            runs.stop(run, actor="user:test", now=self.world.now)
            self.world.settle()

    @rule(name=st.sampled_from(["m1", "m2"]))
    def lose_a_machine(self, name: str) -> None:
        """It burns, and comes back empty."""
        held = Run.objects.filter(node__name=name)
        for uid in held.values_list("uid", flat=True):
            self.world.executor.lose(uid)
        Node.objects.filter(name=name).update(state="down")
        lost_nodes.declare(name, actor="user:test", now=self.world.now)
        self.world.settle()
        Node.objects.filter(name=name).update(state="up")
        self.world.settle()

    @invariant()
    def nothing_is_given_out_twice(self) -> None:
        if not hasattr(self, "world"):
            return
        held = Run.objects.filter(state__in=sorted(HOLDS_RESOURCES))
        sums = held.values("node__name").annotate(
            cpu=Sum("cpu_millis"), memory=Sum("memory_bytes")
        )
        nodes = Node.objects.in_bulk(field_name="name")
        for row in sums:
            node = nodes[row["node__name"]]
            assert row["cpu"] <= node.cpu_millis
            assert row["memory"] <= node.memory_bytes

    @invariant()
    def every_occurrence_has_one_live_run_at_most(self) -> None:
        if hasattr(self, "world"):
            live = Run.objects.exclude(state__in=sorted(FINAL))
            counted = Counter(live.values_list("occurrence_key", flat=True))
            assert not counted or max(counted.values()) == 1

    @invariant()
    def whoever_leads_its_class_knows_why_it_waits(self) -> None:
        if not hasattr(self, "world"):
            return
        waiting = Run.objects.filter(state=RunState.QUEUED, due_at__lte=self.world.now)
        heads: dict[str, Run] = {}
        for run in waiting.order_by("due_at", "pk"):
            heads.setdefault(run.queue_class, run)
        for run in heads.values():
            assert run.reason, run

    def teardown(self) -> None:
        if hasattr(self, "world"):
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)


def test_what_is_promised_holds_in_every_drawn_world() -> None:
    nightly = os.environ.get("HYPOTHESIS_PROFILE") == "nightly"
    few = hypothesis_settings(
        max_examples=1000 if nightly else 12, stateful_step_count=25, deadline=None
    )
    run_state_machine_as_test(DrawnWorld, settings=few)  # type: ignore[no-untyped-call]


# -- the command -----------------------------------------------------------------------


@pytest.fixture
def simulate(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", "simulate", *argv],
            cwd=settings.BASE_DIR,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


SWF = """; MaxProcs: 4
1 0 -1 100 4 -1 -1 4 200 -1 1 1 1 1 1 1 -1 -1
2 10 -1 50 2 -1 -1 2 100 -1 1 1 1 1 1 1 -1 -1
"""


def test_the_command_replays_a_log_and_leaves_this_database_alone(
    simulate: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    log = tmp_path / "log.swf"
    log.write_text(SWF)
    done = simulate(str(log), "--policy", "fifo", "--json")
    assert done.returncode == 0, done.stderr
    (report,) = orjson.loads(done.stdout)
    assert (report["finished"], report["wait_max_s"], report["makespan_s"]) == (
        *(2, 90.0),
        150.0,
    )
    assert connection.settings_dict["NAME"]
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ((), "give a trace, or --history"),
        (("/no/such",), "No such file"),
        (("/dev/null",), "there is no job in it that ran"),
        (("/dev/null", "--policy", "best"), "there is no job in it that ran"),
    ],
)
def test_a_trace_that_cannot_be_replayed_says_why(
    simulate: Callable[..., subprocess.CompletedProcess[str]],
    argv: tuple[str, ...],
    said: str,
) -> None:
    done = simulate(*argv)
    assert done.returncode == 1
    assert said in done.stderr
