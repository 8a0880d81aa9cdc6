"""ASGI: a long answer is made no faster than its client takes it.

daphne's `send` returns at once and buffers without bound; only the transport beneath it
knows whether what was sent before has gone out.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

UNREAD_S = 60.0  # a client that takes nothing for so long is let go
LOOK_EVERY_S = 0.02  # at a full transport


class ClientGone(Exception):
    """It has hung up, or takes nothing any more."""


class Paced:
    """Waits after each piece of an answer, while more is to come, until there is room.

    Its `send` raises ClientGone when there will be none.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        transport = transport_of(send)

        async def paced(message: Any) -> None:
            await send(message)
            if message.get("more_body"):
                await has_room(transport)

        await self.app(scope, receive, paced)


def transport_of(send: Any) -> Any:
    """The Twisted transport beneath daphne's `send`; None under another server."""
    if not isinstance(send, functools.partial) or not send.args:
        return None
    return getattr(send.args[0], "transport", None)


async def has_room(transport: Any) -> None:
    deadline = asyncio.get_running_loop().time() + UNREAD_S
    while getattr(transport, "producerPaused", False):
        if asyncio.get_running_loop().time() > deadline:
            transport.abortConnection()
            raise ClientGone
        await asyncio.sleep(LOOK_EVERY_S)
    if getattr(transport, "disconnected", False):
        raise ClientGone
