"""A client of the live feed and a journal that speaks, for the tests of the feed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
from channels.testing import WebsocketCommunicator

from agents.journal import Entry
from monitor import agent_status_monitor
from monitor.consumers import LiveConsumer

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ORIGIN = [(b"host", b"localhost"), (b"origin", b"http://localhost")]
WITHIN_S = 5.0


def entries(count: int, kind: str = "run.queued", first: int = 0) -> list[Entry]:
    return [
        Entry(kind, f"run:{first + n:032x}", "scheduler", NOON, {"agent": "a"})
        for n in range(count)
    ]


def say(told: Sequence[Entry]) -> None:
    """Publish entries as a commit would; returns when Redis has them."""
    agent_status_monitor.teller.tell(told)
    assert agent_status_monitor.teller.flush(WITHIN_S)


class Client:
    """One socket of the feed."""

    def __init__(self, socket: WebsocketCommunicator) -> None:
        self.socket = socket

    async def send(self, message: Any) -> None:
        await self.socket.send_to(text_data=orjson.dumps(message).decode())

    async def frame(self, kind: str = "") -> dict[str, Any]:
        """The next frame (of that type)."""
        while True:
            frame = orjson.loads(await self.socket.receive_from(timeout=WITHIN_S))
            if kind in ("", frame["type"]):
                return frame

    async def closed(self) -> int:
        while True:
            output = await self.socket.receive_output(timeout=WITHIN_S)
            if output["type"] == "websocket.close":
                return int(output.get("code", 1000))


@asynccontextmanager
async def connected(
    *, role: str = "viewer", actor: str = "user:anna", headers: Any = None, **scope: Any
) -> AsyncIterator[Client]:
    """A socket whose handshake was accepted."""
    sent = ORIGIN if headers is None else headers
    socket = WebsocketCommunicator(LiveConsumer.as_asgi(), "/ws/live", sent)
    socket.scope |= {"kos_role": role, "actor": actor, **scope}
    accepted, _ = await socket.connect(timeout=WITHIN_S)
    assert accepted
    try:
        yield Client(socket)
    finally:
        await socket.disconnect(timeout=WITHIN_S)


@asynccontextmanager
async def subscribed(*topics: str, **how: Any) -> AsyncIterator[Client]:
    """A socket that has heard hello."""
    async with connected(**how) as client:
        await client.send({"subscribe": list(topics) or ["runs"]})
        await client.frame("hello")
        yield client


async def in_thread(work: Any, *of: Any) -> Any:
    return await asyncio.to_thread(work, *of)
