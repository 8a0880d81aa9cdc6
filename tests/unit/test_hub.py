"""The hub's rules, message by message: no Redis, no socket."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from agents.journal import Entry
from monitor import hub
from monitor.agent_status_monitor import encode, frame_of
from monitor.hub import MOST_QUEUED, Hub, Seat

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
UID = "0" * 31 + "1"


def delta(n: int, size: int = 0) -> bytes:
    return b'{"type":"delta","n":%d,"runs":["%s"]}' % (n, b"x" * size)


def mark(n: int) -> bytes:
    return b'{"type":"mark","n":%d}' % n


def seated(n: int = 10) -> tuple[Hub, Seat]:
    """A hub that stands at n, and one socket."""
    one = Hub()
    one.take(mark(n))
    seat = Seat()
    one._seats.add(seat)
    return one, seat


def heard(seat: Seat) -> list[dict]:
    """Everything the seat has waiting."""
    frames = [orjson.loads(what["text"]) for what in seat._queue]
    seat._queue.clear()
    return frames


async def test_a_frame_in_turn_reaches_every_seat_as_one_object() -> None:
    one, first = seated()
    second = Seat()
    one._seats.add(second)
    one.take(delta(11))
    assert await first.get() is await second.get()


async def test_a_missed_number_makes_everybody_fetch_afresh() -> None:
    one, seat = seated()
    one.take(delta(11))
    one.take(delta(13))
    one.take(delta(14))
    kinds = [(frame["type"], frame["n"]) for frame in heard(seat)]
    assert kinds == [("delta", 11), ("resync", 13), ("delta", 14)]


async def test_a_counter_that_starts_again_is_noticed() -> None:
    one, seat = seated()
    one.take(delta(1))
    one.take(delta(2))
    assert [frame["type"] for frame in heard(seat)] == ["resync", "delta"]


async def test_a_mark_that_agrees_says_nothing_and_one_that_differs_resyncs() -> None:
    one, seat = seated()
    one.take(mark(10))
    assert heard(seat) == []
    one.take(mark(0))
    assert heard(seat) == [{"type": "resync", "n": 0}]


async def test_nothing_is_passed_on_before_the_number_is_known() -> None:
    one, seat = Hub(), Seat()
    one._seats.add(seat)
    one.take(delta(500))
    assert heard(seat) == []
    one.take(mark(500))
    one.take(delta(501))
    assert [frame["type"] for frame in heard(seat)] == ["resync", "delta"]


@pytest.mark.parametrize("junk", [b"", b"{}", b'{"type":"delta","n":-1}', b"\xff\xfe"])
async def test_what_is_not_a_frame_is_ignored(junk: bytes) -> None:
    one, seat = seated()
    one.take(junk)
    one.take(delta(11))
    assert [frame["n"] for frame in heard(seat)] == [11]


async def test_a_seat_that_does_not_keep_up_holds_a_bounded_queue() -> None:
    one, seat = seated(0)
    for n in range(1, 10 * MOST_QUEUED):
        one.take(delta(n))
        assert len(seat._queue) <= MOST_QUEUED
    frames = heard(seat)
    assert frames[0]["type"] == "resync"
    numbers = [frame["n"] for frame in frames]
    assert numbers == list(range(numbers[0], 10 * MOST_QUEUED))


async def test_a_few_huge_frames_are_bounded_as_well() -> None:
    one, seat = seated(0)
    for n in range(1, 50):
        one.take(delta(n, size=200_000))
        assert sum(len(w["text"]) for w in seat._queue) <= hub.MOST_QUEUED_CHARS


async def test_one_slow_seat_costs_the_others_nothing() -> None:
    one, slow = seated(0)
    quick = Seat()
    one._seats.add(quick)
    for n in range(1, 3 * MOST_QUEUED):
        one.take(delta(n))
        assert orjson.loads((await quick.get())["text"])["n"] == n
    assert heard(slow)[0]["type"] == "resync"


async def test_a_seat_waits_without_spinning() -> None:
    one, seat = seated()
    waiting = asyncio.create_task(seat.get())
    await asyncio.sleep(0)
    assert not waiting.done()
    one.take(delta(11))
    assert orjson.loads((await waiting)["text"])["n"] == 11


# --- what a frame says -------------------------------------------------------


def entry(kind: str, after_s: float = 0, subject: str = f"run:{UID}", **data) -> Entry:
    return Entry(kind, subject, "node:a", NOON + timedelta(seconds=after_s), data)


def told(*entries: Entry) -> dict:
    return orjson.loads(b'{"n":1' + encode(frame_of(entries)))


def test_a_frame_holds_the_latest_of_each_run() -> None:
    frame = told(
        entry("run.queued", agent="a", priority="high", due_at="2026-11-23T12:00:00Z"),
        entry("run.running", 1, before="starting", node="n1", exit_code=None),
        entry("run.failed", 3, before="running", exit_code=3, reason="exit 3"),
    )
    assert frame["runs"] == [
        {
            "uid": UID,
            "agent": "a",
            "priority": "high",
            "due_at": "2026-11-23T12:00:00Z",
            "state": "failed",
            "at": "2026-11-23T12:00:03Z",
            "node": "n1",
            "started_at": "2026-11-23T12:00:01Z",
            "ended_at": "2026-11-23T12:00:03Z",
            "reason": "exit 3",
            "exit_code": 3,
        }
    ]


def test_what_does_not_move_a_run_leaves_its_state_alone() -> None:
    frame = told(entry("run.waiting", reason="no node offers docker"))
    assert frame["runs"] == [{"uid": UID, "reason": "no node offers docker"}]


def test_agents_schedules_and_nodes_are_named_once() -> None:
    frame = told(
        entry("agent.changed", subject="agent:b"),
        entry("agent.enabled", subject="agent:b"),
        entry("schedule.moved", subject="schedule:s1"),
        entry("occurrence.skipped", subject="schedule:s1"),
        entry("node.down", subject="node:n1"),
    )
    assert frame == {
        "n": 1,
        "agents": [{"agent_id": "b"}],
        "schedules": [{"id": "s1"}],
        "nodes": [{"name": "n1", "event": "down", "at": "2026-11-23T12:00:00Z"}],
    }


def test_what_is_not_shown_live_makes_no_frame() -> None:
    assert frame_of([entry("config.changed", subject="config:x")]) == {}
