"""The live feed of one socket: /ws/live.

A Channels consumer without a channel layer: what it sends comes from the hub's seat.
Whoever connects needs the role that the ASGI middleware put into the scope; a page
of another origin is refused. A client that never reads cannot make the server grow:
what the transport has not yet passed on is watched, and after a while it is let go.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import orjson
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http.request import validate_host
from django.utils.timezone import now  # noqa: TID251 - a consumer is an entry point

from monitor import hub, log_tail, presence
from monitor.logs import UID

SHARED_TOPICS = frozenset({"runs", "agents", "queue", "nodes", presence.TOPIC})
MOST_LOGS = 8  # log topics of one socket
MOST_TOPICS = 64  # in one message
MOST_CHARS = 8_192  # of one message from a client
MOST_MESSAGES_PER_S = 50
PING_EVERY_S = 20.0
UNREAD_S = 10.0  # a transport that is full for so long has no reader
LOOK_EVERY_S = 0.05  # at a full transport

NO_READER, NOT_ALLOWED, WRONG_ORIGIN, TOO_MANY, TOO_BIG = 4408, 4401, 4403, 4429, 1009
Check = Callable[[], Awaitable[bool]]


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One client. It hears nothing until it subscribes."""

    channel_layer_alias = None

    async def connect(self) -> None:
        self.seat: hub.Seat | None = None
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.sending = asyncio.Lock()
        self.heard: list[float] = []
        self.silence: asyncio.TimerHandle | None = (
            None  # runs while something is dragged
        )
        await self.accept()
        if not origin_allowed(self.scope):
            await self.close(code=WRONG_ORIGIN)
        elif not self.scope.get("kos_role"):
            await self.close(code=NOT_ALLOWED)
        else:
            self.start("ping", self.keep_in_touch())

    async def disconnect(self, code: int) -> None:
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)
        if self.seat is not None:
            self.put_down()
            hub.of_this_loop().leave(self.seat)
            self.seat = None

    async def receive(
        self, text_data: str | None = None, bytes_data: bytes | None = None
    ) -> None:
        if self.scope.get("kos_role") is None:
            return
        if self.is_flood():
            await self.close(code=TOO_MANY)
        elif len(text_data or bytes_data or "") > MOST_CHARS:
            await self.close(code=TOO_BIG)
        else:
            await self.hear(said_in(text_data))

    async def hear(self, said: Any) -> None:
        """One message that was small enough."""
        if isinstance(said, dict) and said.get("type") == presence.TOPIC:
            await self.drag(said)
        else:
            topics, fault = topics_of(said)
            await (self.complain(fault) if fault else self.subscribe(topics))

    async def drag(self, said: dict[str, Any]) -> None:
        """The others see what this client drags, until it stops or falls silent."""
        if not self.scope.get("kos_may_move"):
            detail = "your role may not move runs"
            return await self.complain(detail, code="forbidden")
        if self.seat is None or not self.seat.sees_drags:
            return await self.complain("subscribe to presence first")
        try:
            drag = presence.drag_of(said)
        except presence.BadDrag as error:
            return await self.complain(str(error))
        if drag is None:
            return self.put_down()
        if self.silence is not None:
            self.silence.cancel()
        loop = asyncio.get_running_loop()
        self.silence = loop.call_later(presence.SILENCE_S, self.put_down)
        return self.share(drag)

    def put_down(self) -> None:
        if self.silence is not None:
            self.silence.cancel()
            self.silence = None
            self.share(None)

    def share(self, drag: presence.Drag | None) -> None:
        if self.seat is not None:
            who, actor = self.seat.who, str(self.scope.get("actor", ""))
            hub.of_this_loop().share(who, presence.frame_of(who, actor, drag))

    def is_flood(self) -> bool:
        second_ago = asyncio.get_running_loop().time() - 1
        self.heard = [at for at in self.heard if at > second_ago]
        self.heard.append(second_ago + 1)
        return len(self.heard) > MOST_MESSAGES_PER_S

    async def subscribe(self, topics: list[str]) -> None:
        """Listen to these topics as well."""
        wanted = {t for t in topics if t not in SHARED_TOPICS}
        logs_after = wanted | {t for t in self.tasks if t.startswith("log:")}
        if len(logs_after) > MOST_LOGS:
            return await self.complain(f"at most {MOST_LOGS} logs at once")
        if self.seat is None and len(wanted) < len(topics):
            self.seat, n = await hub.of_this_loop().join()
            hello = {"type": "hello", "n": n, "server": "kos", "now": now()}
            await self.tell(hello)
            self.start("feed", self.feed(self.seat))
        if self.seat is not None and presence.TOPIC in topics:
            self.seat.sees_drags = True
        for topic in sorted(wanted - set(self.tasks)):
            follow = log_tail.follow(topic.removeprefix("log:"), self.tell)
            self.start(topic, follow)
        return None

    def start(self, name: str, work: Any) -> None:
        self.tasks[name] = asyncio.create_task(work, name=f"kos-live-{name}")

    async def feed(self, seat: hub.Seat) -> None:
        while True:
            await self.pass_on(await seat.get())

    async def keep_in_touch(self) -> None:
        """Ping now and then, and see whether the caller may still listen."""
        still_allowed: Check | None = self.scope.get("kos_still_allowed")
        while True:
            await asyncio.sleep(PING_EVERY_S)
            if still_allowed is not None and not await still_allowed():
                await self.close(code=NOT_ALLOWED)
                return
            await self.tell({"type": "ping"})

    async def complain(self, detail: str, code: str = "invalid") -> None:
        await self.tell({"type": "error", "code": code, "detail": detail})

    async def tell(self, what: dict[str, Any]) -> None:
        text = orjson.dumps(what, option=orjson.OPT_UTC_Z).decode()
        await self.pass_on(hub.message(text))

    async def pass_on(self, what: hub.Message) -> None:
        """Send once the transport has room. One without a reader is let go."""
        transport = transport_of(self.base_send)
        if getattr(transport, "producerPaused", False):
            async with self.sending:
                if not await has_room(transport):
                    await self.close(code=NO_READER)
                    transport.abortConnection()
                    return
        await self.base_send(what)


def said_in(text: str | None) -> Any:
    """The message; None when it is no JSON."""
    try:
        return orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return None


def topics_of(said: Any) -> tuple[list[str], str]:
    """The topics of {"subscribe": [...]}, or what is wrong with the message."""
    if said is None:
        return [], "expected JSON"
    if not isinstance(said, dict) or not isinstance(said.get("subscribe"), list):
        return [], 'expected {"subscribe": [topics]}'
    topics = said["subscribe"]
    if len(topics) > MOST_TOPICS:
        return [], f"at most {MOST_TOPICS} topics at once"
    if not all(isinstance(t, str) and is_topic(t) for t in topics):
        known = ", ".join(sorted(SHARED_TOPICS))
        return [], f"a topic is one of {known} or log:<run uid>"
    return topics, ""


def is_topic(topic: str) -> bool:
    family, _, uid = topic.partition(":")
    return topic in SHARED_TOPICS or (family == "log" and bool(UID.fullmatch(uid)))


def origin_allowed(scope: dict[str, Any]) -> bool:
    """A browser's page must be ours. Only a program with a token sends no Origin."""
    headers = dict(scope.get("headers", ()))
    host = headers.get(b"host", b"").decode("latin-1")
    origin = headers.get(b"origin", b"").decode("latin-1")
    if not origin:
        return str(scope.get("actor", "")).startswith("token:")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    with suppress(ValueError):
        parts = urlsplit(origin)
        ours = validate_host(parts.hostname or "", settings.ALLOWED_HOSTS)
        return bool(parts.netloc) and parts.netloc == host and ours
    return False


def transport_of(send: Any) -> Any:
    """The Twisted transport beneath daphne's `send`; None under another server.

    daphne's send returns at once and buffers without bound, so only the transport
    knows whether anybody reads.
    """
    if not isinstance(send, functools.partial) or not send.args:
        return None
    return getattr(send.args[0], "transport", None)


async def has_room(transport: Any) -> bool:
    """Wait until what was sent before has gone out; False if it does not."""
    deadline = asyncio.get_running_loop().time() + UNREAD_S
    while transport.producerPaused:
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True
