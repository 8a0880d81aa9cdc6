"""What a drag is told before the drop: would it fit, and is there room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agents.models import Node
from scheduling import durations, feasibility
from scheduling.feasibility import Verdict
from tests.db.schedule_fixtures import NOON, at, plan

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_durations() -> Iterator[None]:
    durations.forget()
    yield
    durations.forget()


@pytest.fixture
def node(db: None) -> Node:
    return Node.objects.create(
        name="a",
        cpu_millis=4000,
        memory_bytes=16 * 10**9,
        gpus=1,
        environments=["subprocess"],
    )


def asked(agent: Any, start: str, end: str | None = None, **more: Any) -> Verdict:
    return feasibility.verdict(
        agent,
        at(start),
        None if end is None else at(end),
        exclude_occurrence=more.pop("exclude", ""),
        now=NOON,
        **more,
    )


def test_without_a_node_nothing_is_known_against_it(agent: Any) -> None:
    assert asked(agent, "13:00").feasible


def test_what_no_node_has_is_named(make_agent: Any, node: Node) -> None:
    greedy = make_agent("greedy", gpu=2, cpu=1, memory="1GB")
    found = asked(greedy, "13:00")
    assert (found.feasible, found.reason) == (False, "a: needs 2 GPU, it has 1")


def test_an_environment_that_is_missing_is_named(make_agent: Any, node: Node) -> None:
    boxed = make_agent("boxed", exec_env="docker", entry_point="/app/start.sh")
    found = asked(boxed, "13:00")
    assert found.reason == "a: it has no docker"


def test_the_nearest_node_is_told_of_when_none_fits(
    make_agent: Any, node: Node
) -> None:
    Node.objects.create(name="b", cpu_millis=500, memory_bytes=10**9, environments=[])
    found = asked(make_agent("greedy", gpu=2), "13:00")
    assert found.reason == "no node fits; the nearest: needs 2 GPU, it has 1"


def test_room_taken_by_a_planned_run_is_a_conflict_with_a_way_out(
    make_agent: Any, node: Node
) -> None:
    other = make_agent("embedder", gpu=1)
    plan(other, cron="0 13 * * *")
    mine = make_agent("optimizer", gpu=1)
    found = asked(mine, "13:00", "13:05")
    assert found.feasible
    assert found.conflicts == (
        "exceeds GPU for part of 5 minutes; it will queue, "
        "expected start 2026-11-23T13:01:00Z",
    )
    assert [s.start for s in found.suggestions] == [at("13:01")]


def test_a_run_is_no_conflict_with_itself(make_agent: Any, node: Node) -> None:
    agent = make_agent("embedder", gpu=1)
    schedule = plan(agent, cron="0 13 * * *")
    its_id = f"{schedule.uid}@20261123T130000Z"
    assert asked(agent, "13:00", exclude=its_id).conflicts == ()
    assert asked(agent, "13:00").conflicts != ()


def test_what_runs_now_holds_its_room(make_agent: Any, node: Node) -> None:
    from scheduling import runs
    from scheduling.models import Run
    from scheduling.run_state import RunState

    watcher = make_agent("watcher", gpu=1, kind="persistent")
    run = runs.request_run(watcher, actor="user:test", now=NOON)
    runs.move(Run.objects.get(pk=run.pk), RunState.ADMITTED, actor="x", now=NOON)
    found = asked(make_agent("optimizer", gpu=1), "18:00")
    assert found.conflicts == ("exceeds GPU for part of minute; it will queue",)
    assert found.suggestions == ()


def test_a_verdict_on_a_full_calendar_comes_at_once(
    make_agent: Any, node: Node
) -> None:
    import time

    for number in range(40):
        agent = make_agent(f"busy-{number}", cpu=2)
        plan(agent, interval=300, start_at=f"2026-11-23T13:0{number % 10}:00Z")
    asked(agent, "13:00")
    began = time.process_time()
    asked(agent, "13:00", "14:00")
    assert time.process_time() - began < 1


def test_a_placement_that_no_node_has_is_named(make_agent: Any, node: Node) -> None:
    picky = make_agent("picky", placement={"require": {"disk": "ssd"}})
    found = asked(picky, "13:00")
    assert (found.feasible, found.reason) == (
        False,
        "a: it needs a node with disk = ssd",
    )
    Node.objects.update(labels={"disk": "ssd"}, taints={"gpu": "config"})
    assert asked(picky, "13:00").reason == "a: it does not tolerate gpu"
    fit = {"require": {"disk": "ssd"}, "tolerate": ["gpu"]}
    assert asked(make_agent("fit", placement=fit), "13:00").feasible


def test_only_nodes_that_could_take_it_count_as_room(
    make_agent: Any, node: Node
) -> None:
    ssd = {"disk": "ssd"}
    shape = {"cpu_millis": 4000, "memory_bytes": 10**10, "environments": ["subprocess"]}
    Node.objects.create(name="b", labels=ssd, **shape)
    plan(make_agent("other", cpu=3), cron="0 13 * * *")
    picky = make_agent("picky", cpu=3, placement={"require": ssd})
    assert asked(picky, "13:00", "13:05").conflicts != ()
    assert asked(make_agent("plain", cpu=3), "13:00", "13:05").conflicts == ()
