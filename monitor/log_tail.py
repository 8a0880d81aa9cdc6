"""Following what a run prints, for one socket: read what is new, now and then.

Agents write straight to files, so there is nothing to be told by; four looks a second
while somebody watches are cheap. A reader that falls far behind is taken to the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from monitor import logs, redaction
from monitor.logs import Stream

LOOK_EVERY_S = 0.25
FIRST_BYTES = 64 * 1024  # of the tail, when somebody begins to watch
CHUNK_BYTES = 64 * 1024  # per look and stream
SKIP_BEHIND_BYTES = 4 * 2**20  # further behind than this: go on from the tail

Send = Callable[[dict[str, Any]], Awaitable[None]]


async def follow(uid: str, send: Send) -> None:
    """Send the tail of both streams, then what is added, until cancelled."""
    at: dict[Stream, int | None] = dict.fromkeys(logs.STREAMS)
    while True:
        for stream in logs.STREAMS:
            frame, at[stream] = await asyncio.to_thread(look, uid, stream, at[stream])
            if frame:
                await send(frame)
        await asyncio.sleep(LOOK_EVERY_S)


def look(
    uid: str, stream: Stream, start: int | None
) -> tuple[dict[str, Any] | None, int | None]:
    """A log frame with what follows `start` (None: the tail), and where it ends."""
    if start is None:
        chunk = logs.tail(uid, stream, FIRST_BYTES)
    else:
        chunk = logs.read(uid, stream, start, CHUNK_BYTES)
        if chunk.size - start > SKIP_BEHIND_BYTES or chunk.size < start:
            chunk = logs.tail(uid, stream, FIRST_BYTES)
    text, used = logs.decoded(chunk.data, more=True)
    text, used = redaction.hide(uid, stream, chunk, text, used, growing=True)
    if not text:
        return None, chunk.start if start is not None or chunk.size else None
    frame = {"type": "log", "run": uid, "stream": stream, "from": chunk.start}
    return {**frame, "text": text}, chunk.start + used
