"""The result bus: what goes out, who may read, and a Redis that is away."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis as redis_library

from agents import live_config, redis
from agents.executors.base import Ended, Started
from agents.models import Node, NodeLog
from scheduling import (
    agent_scheduler,
    endings,
    launch,
    lease,
    nodes,
    result_bus,
    runs,
)
from scheduling.models import Run
from scheduling.run_folders import work_name
from scheduling.run_state import RunState as S
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
BUS = "/api/v1/bus/"


@pytest.fixture
def node(db: None) -> Node:
    facts = {
        "cpu_millis": 64_000,
        "memory_bytes": 64 * 10**9,
        "environments": ["subprocess"],
        "boot_id": "b",
    }
    nodes.register("n1", now=NOON, facts=facts)
    return Node.objects.get()


@pytest.fixture
def finish(node: Node, django_capture_on_commit_callbacks: Any) -> Callable[..., Run]:
    """Run an agent to its end, with this text as its result file."""

    def work(agent: Any, result: str | None) -> Run:
        run = runs.request_run(agent, actor="user:test", now=NOON)
        token = lease.acquire("test", ttl_s=60) or 0
        agent_scheduler.tick(token, now=NOON, per_class=100)
        run.refresh_from_db()
        launch.begin([(run.pk, run.token)], node="n1", now=NOON)
        if result is not None:
            folder = Path(work_name(run.uid))
            folder.mkdir(parents=True)
            (folder / "result.json").write_text(result)
        at_ns = int(NOON.timestamp() * 1e9)
        said = [
            Started(run.uid, run.token, at_ns, {"pid": 1}),
            Ended(run.uid, run.token, at_ns, exit_code=0, signal=None),
        ]
        log, _ = NodeLog.objects.get_or_create(node=node, executor="holder")
        with django_capture_on_commit_callbacks(execute=True):
            endings.apply(said, log=log, offset=1, now=NOON)
        run.refresh_from_db()
        return run

    return work


def test_a_result_is_read_by_agent_and_by_capability(
    make_agent: Any, finish: Any, viewer: Any
) -> None:
    first = finish(make_agent("a", capabilities=["see", "hear"]), '{"n": 1}')
    finish(make_agent("b", capabilities=["see"]), "0")
    finish(make_agent("c", capabilities=["see"]), None)  # it wrote none
    (mine,) = viewer.get(BUS, {"agent": "a"}).json()["items"]
    assert mine == {
        "id": mine["id"],
        "run": first.uid,
        "agent": "a",
        "state": "succeeded",
        "ended_at": "2026-11-23T12:00:00Z",
        "result": {"n": 1},
    }
    seen = viewer.get(BUS, {"capability": "see"}).json()
    assert [(i["agent"], i["result"]) for i in seen["items"]] == [
        ("a", {"n": 1}),
        ("b", 0),
    ]
    after = {"capability": "see", "after": seen["items"][0]["id"]}
    assert [i["agent"] for i in viewer.get(BUS, after).json()["items"]] == ["b"]
    after["after"] = seen["next"]
    assert viewer.get(BUS, after).json() == {"items": [], "next": seen["next"]}
    first_only = {"capability": "see", "limit": "1"}
    assert len(viewer.get(BUS, first_only).json()["items"]) == 1


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({}, "agent"),
        ({"agent": "a", "capability": "b"}, "capability"),
        ({"capability": "no label"}, "capability"),
        ({"capability": "x", "after": "yesterday"}, "after"),
        ({"capability": "x", "wait": "26"}, "wait"),
        ({"capability": "x", "wait": "-1"}, "wait"),
        ({"capability": "x", "since": "0-0"}, "since"),
    ],
)
def test_a_bad_question_is_told_its_field(viewer: Any, query: Any, field: str) -> None:
    answer = viewer.get(BUS, query)
    assert answer.status_code == 400
    assert field in answer.json()["fields"]


def test_an_agent_nobody_knows_is_not_found(viewer: Any, stranger: Any) -> None:
    assert viewer.get(BUS, {"agent": "ghost"}).status_code == 404
    assert stranger.get(BUS, {"capability": "x"}).status_code == 403


def test_a_stream_keeps_no_more_than_configured(make_agent: Any) -> None:
    make_agent("a")
    entry = result_bus.Entry(("kos:bus:agent:a",), {"run": "x", "result": "1"})
    most = live_config.current().bus.max_entries
    for _ in range(4):
        result_bus.publish([entry] * (most // 2))
    kept = redis.connection().xlen("kos:bus:agent:a")
    assert most <= kept <= most + 200  # trimmed by whole nodes of the stream
    assert 0 < redis.connection().ttl("kos:bus:agent:a") <= 14 * 86_400  # type: ignore[operator]


def test_with_redis_away_runs_end_and_the_bus_says_so(
    make_agent: Any,
    finish: Any,
    viewer: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent = make_agent("a")
    nobody = redis_library.Redis(unix_socket_path="/no/such/socket")
    caplog.set_level(logging.WARNING)
    with monkeypatch.context() as away:
        away.setattr(redis, "connection", lambda: nobody)
        run = finish(agent, '{"n": 1}')
        answer = viewer.get(BUS, {"agent": "a"})
    assert (run.state, run.result) == (S.SUCCEEDED, {"n": 1})
    assert "results not on the bus" in caplog.text
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"


async def test_whoever_waits_hears_of_the_next_result_and_too_many_do_not_wait() -> (
    None
):
    waiting = result_bus.Waiting()
    waits = asyncio.create_task(waiting.for_news("kos:bus:agent:a", "0-0", 20))
    add = partial(redis.connection().xadd, "kos:bus:agent:a", {"run": "x"})
    await asyncio.to_thread(add)
    assert await asyncio.wait_for(waits, 10) == "0-0"
    assert waiting.places == result_bus.MOST_WAITING
    waiting.places = 0
    found = await asyncio.wait_for(waiting.for_news("kos:bus:agent:b", "0-0", 20), 1)
    assert found == "0-0"
