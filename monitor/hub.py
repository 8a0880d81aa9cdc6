"""One Redis subscription per process, shared by all its sockets.

A frame is encoded once, by whoever published it; the hub only reads its number. A
number out of turn, a lost connection or an emptied Redis becomes a `resync` for
everybody: fetch your snapshots again. Each socket has a bounded queue; one that does
not keep up loses what it had waiting and gets a `resync` of its own, so a slow client
costs the others nothing. What somebody drags (monitor/presence.py) goes the same way
without a number: of each who drags only the latest waits.

The counter is read in the order of the stream: the hub asks Redis to publish a mark
with the current number and takes it when it comes by. The marks also show that the
subscription is alive and that nobody emptied Redis.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections import Counter, deque
from contextlib import AsyncExitStack, suppress
from typing import Any
from weakref import WeakKeyDictionary

from agents.redis import RedisError, async_connection
from monitor import presence
from monitor.agent_status_monitor import CHANNEL, COUNTER

MOST_QUEUED = 1000  # frames one socket may be behind
MOST_QUEUED_CHARS = 2 * 2**20  # and how much text that may be
MOST_GHOSTS = 64  # people who drag, of whom one socket is told at once
MARK_EVERY_S = 5.0
MARK_WITHIN_S = 10.0  # no mark for so long: the connection is dead
RETRY_S = 0.5
JOIN_S = 1.0  # a new socket waits this long for the number; Redis may be down
NUMBERED = re.compile(rb'\{"type":"(delta|resync|mark)","n":(\d{1,18})')
MARK = """
local n = redis.call('GET', KEYS[1]) or '0'
redis.call('PUBLISH', ARGV[1], '{"type":"mark","n":' .. n .. '}')
"""

Message = dict[str, Any]  # as ASGI sends it
counts: Counter[str] = Counter()  # of this process: frames, deliveries, resyncs


def message(text: str) -> Message:
    return {"type": "websocket.send", "text": text}


class Seat:
    """One socket's place: what it has yet to be sent."""

    def __init__(self) -> None:
        self.who = secrets.token_hex(6)
        self.sees_drags = False
        self._queue: deque[Message] = deque()
        self._ghosts: dict[str, Message] = {}  # the latest of each who drags
        self._chars = 0
        self._news = asyncio.Event()

    def put(self, what: Message, n: int) -> None:
        """Queue a frame; a full queue is replaced by one `resync` to number n."""
        self._chars += len(what["text"])
        if len(self._queue) >= MOST_QUEUED or self._chars > MOST_QUEUED_CHARS:
            self._queue.clear()
            what = resync(n)
            self._chars = len(what["text"])
            counts["overflows"] += 1
        self._queue.append(what)
        self._news.set()

    def put_ghost(self, who: str, what: Message) -> None:
        """What `who` drags now, in place of what we were yet to be told of them."""
        if who in self._ghosts or len(self._ghosts) < MOST_GHOSTS:
            self._ghosts[who] = what
            self._news.set()

    async def get(self) -> Message:
        while not self._queue and not self._ghosts:
            self._news.clear()
            await self._news.wait()
        if not self._queue:
            return self._ghosts.pop(next(iter(self._ghosts)))
        what = self._queue.popleft()
        self._chars -= len(what["text"])
        return what


def resync(n: int) -> Message:
    counts["resyncs"] += 1
    return message(f'{{"type":"resync","n":{n}}}')


class Hub:
    """The sockets of one event loop. Runs while there is at least one."""

    def __init__(self) -> None:
        self.n = 0  # of the last frame seen; valid while `ready` is set
        self.ready = asyncio.Event()
        self._seats: set[Seat] = set()
        self._task: asyncio.Task[None] | None = None
        self._marked_at = 0.0
        self._dragged: dict[str, bytes] = {}  # of our own sockets, yet to be passed on
        self._drags = asyncio.Event()

    async def join(self) -> tuple[Seat, int]:
        """A seat and the number after which its deltas begin."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="kos-hub")
        with suppress(TimeoutError):
            await asyncio.wait_for(self.ready.wait(), JOIN_S)
        seat = Seat()
        self._seats.add(seat)
        return seat, self.n

    def leave(self, seat: Seat) -> None:
        self._seats.discard(seat)
        if not self._seats and self._task is not None:
            self._task.cancel()
            self._task = None
            self.ready.clear()

    def share(self, who: str, frame: bytes) -> None:
        """Tell everybody what `who` drags; soon, and only the latest."""
        self._dragged[who] = frame
        self._drags.set()

    def __len__(self) -> int:
        return len(self._seats)

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
            except* (RedisError, OSError, TimeoutError):
                self.ready.clear()  # the first mark of the next connection resyncs
            await asyncio.sleep(RETRY_S)

    async def _follow(self) -> None:
        """Take frames until the connection fails, which raises."""
        async with AsyncExitStack() as stack:
            redis = async_connection()
            stack.push_async_callback(redis.aclose)
            pubsub = redis.pubsub(ignore_subscribe_messages=True)
            stack.push_async_callback(pubsub.aclose)
            await pubsub.subscribe(CHANNEL, presence.CHANNEL)
            self._marked_at = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(pubsub))
                group.create_task(self._mark(redis))
                group.create_task(self._share(redis))

    async def _listen(self, pubsub: Any) -> None:
        async for heard in pubsub.listen():
            ghost = heard["channel"] == presence.CHANNEL.encode()
            (self.take_ghost if ghost else self.take)(heard["data"])
        raise OSError("the subscription ended")

    async def _mark(self, redis: Any) -> None:
        while True:
            async with asyncio.timeout(MARK_WITHIN_S):
                await redis.eval(MARK, 1, COUNTER, CHANNEL)
            await asyncio.sleep(MARK_EVERY_S)
            late_s = asyncio.get_running_loop().time() - self._marked_at
            if late_s > MARK_WITHIN_S:
                raise TimeoutError("no mark came back")

    async def _share(self, redis: Any) -> None:
        """Pass on what our sockets drag, at a pace that a network bears."""
        while True:
            await self._drags.wait()
            self._drags.clear()
            frames, self._dragged = self._dragged, {}
            for frame in frames.values():
                await redis.publish(presence.CHANNEL, frame)
            await asyncio.sleep(presence.EVERY_S)

    def take_ghost(self, data: bytes) -> None:
        """What somebody drags, here or at another process; not told to themselves."""
        said = presence.WHO.match(data)
        if said is None:
            return
        who, what = said[1].decode(), message(data.decode(errors="replace"))
        for seat in self._seats:
            if seat.sees_drags and seat.who != who:
                seat.put_ghost(who, what)

    def take(self, data: bytes) -> None:
        """One message of the channel, in order."""
        numbered = NUMBERED.match(data)
        if numbered is None:
            return  # not ours
        kind, n = numbered[1], int(numbered[2])
        if kind == b"mark":
            self._marked_at = asyncio.get_running_loop().time()
            self._settle(n)
            return
        if not self.ready.is_set():
            return  # until the first mark nobody knows what the number should be
        in_turn = kind == b"delta" and n == self.n + 1
        self.n = n
        self._send(message(data.decode(errors="replace")) if in_turn else resync(n))

    def _settle(self, n: int) -> None:
        """A mark: the counter stands at n here in the stream."""
        if not self.ready.is_set() or n != self.n:
            self.n = n
            if self._seats:
                self._send(resync(n))
        self.ready.set()

    def _send(self, what: Message) -> None:
        counts["frames"] += 1
        counts["deliveries"] += len(self._seats)
        for seat in self._seats:
            seat.put(what, self.n)


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def of_this_loop() -> Hub:
    return _hubs.setdefault(asyncio.get_running_loop(), Hub())


def sockets() -> int:
    """How many live sockets this process has."""
    return sum(len(hub) for hub in list(_hubs.values()))
