"""The one door to aiomqtt: one connection to the broker, kept up.

A message is handled where it is read, so nothing queues here: when we are slow, TCP
slows the broker. Lost connections are made again, with a pause that grows.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiomqtt

from agents.config_mqtt import Mqtt
from agents.http import iso

log = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
ANSWER_S = 10.0
PORTS = {"mqtt": 1883, "mqtts": 8883}
OnMessage = Callable[[str, bytes, bool], None]  # topic, payload, retained


@dataclass(frozen=True, slots=True)
class Login:
    """What a connection is made of; another one means to connect anew."""

    config: Mqtt
    password: str | None = None


class Broker:
    """Holds the connection while `run` goes on."""

    def __init__(
        self, login: Login, on_message: OnMessage, on_connect: Callable[[], None]
    ) -> None:
        self.login = login
        self.on_message = on_message
        self.on_connect = on_connect
        self.filters: frozenset[str] = frozenset()
        self.connected_at: datetime | None = None
        self.error: str | None = None
        self.broken = 0
        self._changed = asyncio.Event()
        self._outgoing: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(1000)
        self._loop = asyncio.get_running_loop()

    def want(self, filters: frozenset[str]) -> None:
        """Subscribe to exactly these."""
        if filters != self.filters:
            self.filters = filters
            self._changed.set()

    def publish(self, topic: str, payload: bytes) -> None:
        """From any thread; dropped when more wait than can be sent."""
        self._loop.call_soon_threadsafe(self._enqueue, topic, payload)

    def _enqueue(self, topic: str, payload: bytes) -> None:
        try:
            self._outgoing.put_nowait((topic, payload))
        except asyncio.QueueFull:
            log.warning("a message to the broker was dropped", extra={"topic": topic})

    def state(self) -> dict[str, Any]:
        return {
            "connected": self.connected_at is not None,
            "since": iso(self.connected_at),
            "error": self.error,
            "subscriptions": len(self.filters),
        }

    async def run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._hold()
            except (aiomqtt.MqttError, OSError, ValueError) as lost:
                if self.connected_at is not None:
                    pause_s = FIRST_PAUSE_S
                self.error = str(lost)[:300] or type(lost).__name__
                log.warning("no connection to the broker", extra={"why": self.error})
            finally:
                self.connected_at = None
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _hold(self) -> None:
        async with self._client() as client:
            self.on_connect()
            self.connected_at = datetime.now(UTC)  # noqa: TID251 - tells people since when
            self.error = None
            jobs = [
                asyncio.create_task(work(client))
                for work in (self._subscribe, self._send, self._until_lost)
            ]
            try:
                done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
                for job in done:
                    job.result()
            finally:
                for job in jobs:
                    job.cancel()
                await asyncio.gather(*jobs, return_exceptions=True)

    def _client(self) -> aiomqtt.Client:
        config = self.login.config
        url = urlsplit(config.url)
        return aiomqtt.Client(
            url.hostname or "",
            url.port or PORTS[url.scheme],
            username=config.username or None,
            password=self.login.password,
            identifier=config.client_id or f"kos-{socket.gethostname()}",
            keepalive=int(config.keepalive_s),
            timeout=ANSWER_S,
            tls_context=context(config) if url.scheme == "mqtts" else None,
            queue_type=straight_to(self._handle),
        )

    def _handle(self, message: aiomqtt.Message) -> None:
        try:
            payload = message.payload
            self.on_message(message.topic.value, payload, message.retain)
        except Exception:  # whatever a message does, the next one is read
            self.broken += 1
            log.exception("a message could not be handled")

    async def _subscribe(self, client: aiomqtt.Client) -> None:
        held: frozenset[str] = frozenset()
        while True:
            self._changed.clear()
            wanted = self.filters
            for gone in held - wanted:
                await client.unsubscribe(gone)
            for new in sorted(wanted - held):
                await client.subscribe(new, qos=self.login.config.qos)
            held = wanted
            await self._changed.wait()

    async def _send(self, client: aiomqtt.Client) -> None:
        while True:
            topic, payload = await self._outgoing.get()
            await client.publish(topic, payload, qos=1)

    async def _until_lost(self, client: aiomqtt.Client) -> None:
        async for _ in client.messages:
            pass  # all went straight to the handler


def straight_to(
    handle: Callable[[aiomqtt.Message], None],
) -> type[asyncio.Queue[aiomqtt.Message]]:
    """A queue that keeps nothing."""

    class Straight(asyncio.Queue[aiomqtt.Message]):
        def put_nowait(self, item: aiomqtt.Message) -> None:
            handle(item)

    return Straight


def context(config: Mqtt) -> ssl.SSLContext:
    """The system's authorities, and those of `mqtt.ca_file`."""
    made = ssl.create_default_context()
    if config.ca_file:
        made.load_verify_locations(config.ca_file)
    return made
