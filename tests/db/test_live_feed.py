"""From a committed event to a socket, through a real Redis."""

from __future__ import annotations

import asyncio
import functools
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import transaction

from agents import journal, redis
from monitor import agent_status_monitor, consumers, hub
from tests.db.live_fixtures import (
    NOON,
    connected,
    entries,
    in_thread,
    say,
    subscribed,
)
from tests.waiting import wait_for

UID = "a" * 32


# A consumer closes old database connections, in whatever thread it finds them.
pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_committed_event_is_seen_and_a_rolled_back_one_is_not() -> None:
    async with subscribed("runs") as client:
        await in_thread(write_one_and_roll_one_back)
        frame = await client.frame("delta")
    assert [run["uid"] for run in frame["runs"]] == [UID]


def write_one_and_roll_one_back() -> None:
    about = {"actor": "user:anna", "at": NOON, "agent": "a"}
    with transaction.atomic():
        journal.record("run.queued", f"run:{'b' * 32}", **about)
        transaction.set_rollback(True)
    with transaction.atomic():
        journal.record("run.queued", f"run:{UID}", **about)


async def test_numbers_go_on_by_one_from_hello() -> None:
    await in_thread(say, entries(3))
    async with connected() as client:
        await client.send({"subscribe": ["runs"]})
        hello = await client.frame("hello")
        seen = []
        for n in range(5):
            await in_thread(say, entries(1, first=n))
            seen.append((await client.frame("delta"))["n"])
    assert seen == [hello["n"] + n for n in range(1, 6)]


def sent() -> int:
    """How many frames were ever numbered."""
    return int(redis.connection().get(agent_status_monitor.COUNTER) or 0)


async def test_while_nobody_listens_nothing_is_sent_and_who_joins_misses_nothing() -> (
    None
):
    async with subscribed():
        await in_thread(say, entries(1))
    await in_thread(wait_for_silence)
    before = await in_thread(sent)
    await in_thread(say, entries(7))
    assert await in_thread(sent) == before
    async with subscribed() as client:
        await in_thread(say, entries(1, first=9))
        frame = await client.frame("delta")
    assert (frame["n"], len(frame["runs"])) == (before + 1, 1)


def wait_for_silence() -> None:
    def is_silent() -> bool:
        now, until = time.monotonic(), agent_status_monitor.teller._heard_until
        channel = agent_status_monitor.CHANNEL
        ((_, listeners),) = redis.connection().pubsub_numsub(channel)
        return not listeners and now > until

    wait_for(is_silent, timeout_s=10)


async def test_a_batch_of_a_thousand_is_one_frame() -> None:
    async with subscribed("runs") as client:
        await in_thread(say, entries(1000))
        assert len((await client.frame("delta"))["runs"]) == 1000


async def test_many_sockets_all_hear_everything_in_order() -> None:
    async with subscribed() as first, subscribed() as second, subscribed() as third:
        for n in range(20):
            await in_thread(say, entries(1, first=n))
        for client in (first, second, third):
            uids = [(await client.frame("delta"))["runs"][0]["uid"] for _ in range(20)]
            assert uids == [f"{n:032x}" for n in range(20)]


async def test_a_flushed_redis_makes_everybody_fetch_afresh() -> None:
    async with subscribed() as client:
        await in_thread(say, entries(5))
        await client.frame("delta")
        await in_thread(redis.connection().flushall)
        await in_thread(say, entries(1))
        assert (await client.frame())["type"] == "resync"


async def test_a_lost_subscription_is_taken_up_again_with_a_resync() -> None:
    async with subscribed() as client:
        killed = await in_thread(
            redis.connection().execute_command, "CLIENT", "KILL", "TYPE", "pubsub"
        )
        assert killed
        assert (await client.frame("resync"))["type"] == "resync"
        await in_thread(say, entries(1))
        assert (await client.frame("delta"))["runs"]


async def test_a_frozen_redis_holds_nobody_up_and_then_everybody_resyncs() -> None:
    async with subscribed() as client:
        await in_thread(
            redis.connection().execute_command, "CLIENT", "PAUSE", "2000", "ALL"
        )
        began = time.perf_counter()
        for n in range(200):
            agent_status_monitor.tell(None, entries(1, first=n))
        took_s = time.perf_counter() - began
        assert (await client.frame())["type"] == "resync"
        assert took_s < 1, f"telling took {took_s:.3f} s of the 2 s"
        await in_thread(say, entries(1))
        assert (await client.frame("delta"))["runs"]


async def test_without_a_role_the_socket_is_closed() -> None:
    async with connected(role="") as client:
        assert await client.closed() == consumers.NOT_ALLOWED


@pytest.mark.parametrize(
    ("headers", "actor", "fine"),
    [
        ([(b"host", b"localhost"), (b"origin", b"http://localhost")], "user:a", True),
        ([(b"host", b"localhost"), (b"origin", b"http://evil.com")], "user:a", False),
        ([(b"host", b"evil.com"), (b"origin", b"http://evil.com")], "user:a", False),
        ([(b"host", b"localhost"), (b"origin", b"null")], "user:a", False),
        ([(b"host", b"localhost")], "user:a", False),
        ([(b"host", b"localhost")], "token:ci", True),
    ],
)
async def test_only_our_own_pages_and_tokens_may_connect(headers, actor, fine) -> None:
    async with connected(headers=headers, actor=actor) as client:
        if fine:
            await client.send({"subscribe": ["runs"]})
            assert (await client.frame())["type"] == "hello"
        else:
            assert await client.closed() == consumers.WRONG_ORIGIN


async def test_a_caller_who_may_no_longer_listen_is_cut_off(monkeypatch) -> None:
    async def no_more() -> bool:
        return False

    monkeypatch.setattr(consumers, "PING_EVERY_S", 0.05)
    async with subscribed(kos_still_allowed=no_more) as client:
        assert await client.closed() == consumers.NOT_ALLOWED


async def test_a_quiet_socket_is_pinged(monkeypatch) -> None:
    monkeypatch.setattr(consumers, "PING_EVERY_S", 0.05)
    async with subscribed() as client:
        assert (await client.frame())["type"] == "ping"


@pytest.mark.parametrize(
    "message",
    [
        [],
        {"subscribe": "runs"},
        {"subscribe": ["../../x"]},
        {"subscribe": ["log:" + "g" * 32]},
        {"subscribe": ["log:../../etc/passwd"]},
        {"subscribe": [1]},
        {"subscribe": ["é" * 500]},
        {"subscribe": ["runs"] * 10_001},
        {"action": "drop"},
        {"subscribe": [f"log:{n:032x}" for n in range(9)]},
    ],
)
async def test_what_is_not_a_subscription_is_refused_and_harms_nobody(message) -> None:
    async with subscribed() as other, connected() as client:
        await client.send(message)
        if len(str(message)) > consumers.MOST_CHARS:
            assert await client.closed() == consumers.TOO_BIG
        else:
            assert (await client.frame())["type"] == "error"
        await in_thread(say, entries(1))
        assert (await other.frame("delta"))["runs"]


async def test_bytes_and_broken_text_get_an_error_frame() -> None:
    async with connected() as client:
        await client.socket.send_to(bytes_data=b"\xff\x00")
        assert (await client.frame())["type"] == "error"
        await client.socket.send_to(text_data="not json")
        assert (await client.frame())["type"] == "error"


async def test_a_flood_of_messages_ends_the_connection() -> None:
    async with connected() as client:
        for _ in range(consumers.MOST_MESSAGES_PER_S + 1):
            await client.send({"subscribe": ["runs"]})
        assert await client.closed() == consumers.TOO_MANY


async def test_the_hub_stops_with_its_last_socket() -> None:
    async with subscribed():
        assert hub.sockets() == 1
    assert hub.sockets() == 0
    async with asyncio.timeout(5):
        while any(task.get_name().startswith("kos-") for task in asyncio.all_tasks()):
            await asyncio.sleep(0)


async def test_a_log_topic_sends_the_tail_and_then_what_is_added() -> None:
    folder = Path(settings.VAR) / "runs" / UID[:2] / UID
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "out").write_bytes("früher\n".encode())
    (folder / "err").write_bytes(b"")
    async with connected() as client:
        await client.send({"subscribe": [f"log:{UID}"]})
        first = await client.frame("log")
        with (folder / "out").open("ab", buffering=0) as out:
            whole = "später ✓\n".encode()
            out.write(whole[:8] + whole[8:10])  # a character is cut in two
            second = await client.frame("log")
            out.write(whole[10:])
        third = await client.frame("log")
    assert first == log_frame("out", 0, "früher\n")
    assert second["from"] == len("früher\n".encode())
    assert second["text"] + third["text"] == "später ✓\n"


def log_frame(stream: str, start: int, text: str) -> dict:
    return {"type": "log", "run": UID, "stream": stream, "from": start, "text": text}


class StuckTransport:
    """What daphne's connection looks like when nobody reads at the other end."""

    producerPaused = True
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Connection:
    """As daphne binds it into `send`."""

    def __init__(self) -> None:
        self.transport = StuckTransport()
        self.sent: list[dict] = []

    async def take(self, message: dict) -> None:
        self.sent.append(message)


def consumer_on(connection: Connection) -> consumers.LiveConsumer:
    async def send(to: Connection, message: dict) -> None:
        await to.take(message)

    consumer = consumers.LiveConsumer()
    consumer.base_send = functools.partial(send, connection)
    consumer.sending = asyncio.Lock()
    return consumer


async def test_a_client_that_never_reads_is_let_go(monkeypatch) -> None:
    monkeypatch.setattr(consumers, "UNREAD_S", 0.1)
    connection = Connection()
    await consumer_on(connection).pass_on(hub.message("{}"))
    assert connection.transport.aborted
    closed = {"type": "websocket.close", "code": consumers.NO_READER}
    assert connection.sent == [closed]


async def test_a_client_that_reads_again_goes_on() -> None:
    connection = Connection()
    passing = asyncio.create_task(consumer_on(connection).pass_on(hub.message("{}")))
    await asyncio.sleep(0)
    assert connection.sent == []
    connection.transport.producerPaused = False
    await passing
    assert connection.sent == [hub.message("{}")]
