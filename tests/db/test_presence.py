"""What one person drags is seen by the others through a real Redis, kept nowhere."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents import redis
from agents.models import Event
from monitor import consumers, hub, presence
from tests.db.live_fixtures import (
    Client,
    connected,
    entries,
    in_thread,
    say,
    subscribed,
)

pytestmark = pytest.mark.django_db(transaction=True)

DRAG = {
    "item": "s1@2026-11-23T09:00:00Z",
    "agent": "reporter",
    "mode": "move",
    "start": "2026-11-23T10:00:00Z",
    "end": "2026-11-23T10:05:00Z",
    "group": "agent",
    "row": "reporter",
}


def watching(actor: str = "user:ben", *, may_move: bool = True, **how: Any) -> Any:
    return subscribed("runs", "presence", actor=actor, kos_may_move=may_move, **how)


async def drags(client: Client, **changed: Any) -> None:
    await client.send({"type": "presence", "drag": {**DRAG, **changed}})


async def test_others_see_who_drags_what_to_where_and_when_it_is_put_down() -> None:
    async with watching("user:anna") as anna, watching("user:ben") as ben:
        await drags(anna, count=3)
        seen = await ben.frame("presence")
        assert (seen["name"], seen["drag"]) == ("anna", {**DRAG, "count": 3})
        assert 0 <= seen["hue"] < 360
        await anna.send({"type": "presence", "drag": None})
        gone = await ben.frame("presence")
        assert (gone["who"], gone["drag"]) == (seen["who"], None)


async def test_who_drags_is_not_told_of_themselves_but_their_other_tab_is() -> None:
    async with watching("user:anna") as one, watching("user:anna") as other:
        await drags(one)
        assert (await other.frame("presence"))["name"] == "anna"
        await in_thread(say, entries(1))
        assert (await one.frame())["type"] == "delta"


async def test_a_ghost_ends_when_its_connection_does() -> None:
    async with watching("user:ben") as ben:
        async with watching("user:anna") as anna:
            await drags(anna)
            assert (await ben.frame("presence"))["drag"]
        assert (await ben.frame("presence"))["drag"] is None


async def test_a_ghost_ends_after_a_silence(monkeypatch: Any) -> None:
    monkeypatch.setattr(presence, "SILENCE_S", 0.2)
    async with watching("user:anna") as anna, watching("user:ben") as ben:
        await drags(anna)
        assert (await ben.frame("presence"))["drag"]
        assert (await ben.frame("presence"))["drag"] is None


async def test_a_hurried_hand_is_passed_on_at_a_pace_and_ends_where_it_ended() -> None:
    async with watching("user:anna") as anna, watching("user:ben") as ben:
        for minute in range(10, 50):
            await drags(anna, end=f"2026-11-23T10:{minute}:00Z")
        seen = []
        while not seen or seen[-1] != "2026-11-23T10:49:00Z":
            seen.append((await ben.frame("presence"))["drag"]["end"])
        assert len(seen) <= 4


async def test_another_web_process_hears_it_through_redis() -> None:
    async with watching("user:ben") as ben:
        frame = presence.frame_of("0" * 12, "user:zoe", dict(DRAG))
        await in_thread(redis.connection().publish, presence.CHANNEL, frame)
        assert (await ben.frame("presence"))["name"] == "zoe"


async def test_who_may_not_move_may_watch_but_casts_no_ghost() -> None:
    async with watching("user:vic", may_move=False) as vic, watching() as ben:
        await drags(vic)
        assert (await vic.frame())["code"] == "forbidden"
        await drags(ben)
        assert (await vic.frame("presence"))["name"] == "ben"


async def test_who_did_not_ask_for_presence_hears_nothing_of_it() -> None:
    async with subscribed("runs") as other, watching() as ben, watching() as anna:
        await drags(anna)
        await ben.frame("presence")
        await in_thread(say, entries(1))
        assert (await other.frame())["type"] == "delta"


BAD = [
    {"drag": "x"},
    {"drag": {}},
    {"drag": {**DRAG, "more": 1}},
    {"drag": {**DRAG, "start": "yesterday"}},
    {"drag": {**DRAG, "start": "2026-11-23T10:00:00"}},
    {"drag": {**DRAG, "end": "2026-11-23T09:00:00Z"}},
    {"drag": {**DRAG, "mode": "throw"}},
    {"drag": {**DRAG, "mode": ["move"]}},
    {"drag": {**DRAG, "count": 0}},
    {"drag": {**DRAG, "count": True}},
    {"drag": {**DRAG, "agent": "a" * 101}},
    {"drag": {**DRAG, "item": 7}},
    {"drag": {**DRAG, "row": "\x00" * 300}},
    {"drag": DRAG, "name": "root"},
    {},
]


@pytest.mark.parametrize("what", BAD)
async def test_bad_input_is_answered_and_breaks_no_socket(what: Any) -> None:
    async with watching("user:anna") as anna, watching() as ben:
        await anna.send({"type": "presence", **what})
        assert (await anna.frame())["type"] == "error"
        await drags(anna)
        assert (await ben.frame("presence"))["drag"] == DRAG


async def test_a_drag_before_subscribing_is_refused_in_words() -> None:
    async with connected(kos_may_move=True) as client:
        await drags(client)
        assert "subscribe" in (await client.frame())["detail"]


async def test_a_flood_of_drags_ends_only_the_one_who_floods() -> None:
    async with watching("user:anna") as anna, watching() as ben:
        for _ in range(consumers.MOST_MESSAGES_PER_S + 1):
            await drags(anna)
        assert await anna.closed() == consumers.TOO_MANY
        await in_thread(say, entries(1))
        assert (await ben.frame("delta"))["runs"]


async def test_nothing_of_it_is_stored() -> None:
    def stored() -> tuple[int, list[bytes]]:
        kept = list(redis.connection().scan_iter(b"*presence*"))
        return Event.objects.count(), kept

    before = await in_thread(stored)
    async with watching("user:anna") as anna, watching() as ben:
        await drags(anna)
        await ben.frame("presence")
    assert await in_thread(stored) == before == (before[0], [])


async def test_a_slow_reader_holds_only_the_latest_of_each_who_drags() -> None:
    one, seat = hub.Hub(), hub.Seat()
    seat.sees_drags = True
    one._seats.add(seat)
    for n in range(1000):
        who = f"{n % 100:012x}"
        one.take_ghost(presence.frame_of(who, "user:anna", {**DRAG, "count": n + 1}))
    assert len(seat._ghosts) == hub.MOST_GHOSTS
    assert '"count":901' in (await seat.get())["text"]


async def test_frames_of_the_feed_go_before_ghosts_and_junk_is_ignored() -> None:
    one, seat = hub.Hub(), hub.Seat()
    seat.sees_drags = True
    one._seats.add(seat)
    one.take_ghost(b"junk")
    one.take_ghost(presence.frame_of("0" * 12, "user:anna", None))
    seat.put(hub.message("first"), 1)
    assert (await seat.get())["text"] == "first"
    assert "presence" in (await seat.get())["text"]
    late = asyncio.create_task(seat.get())
    await asyncio.sleep(0)
    assert not late.done()
    late.cancel()
