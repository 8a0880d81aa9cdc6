"""Following what a run prints, for one socket: read what is new, now and then.

Agents write straight to files, so there is nothing to be told by; four looks a second
while somebody watches are cheap. A reader that falls far behind is taken to the end,
and told how much it missed. No frame ends within a character or an escape sequence.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from monitor import logs
from monitor.logs import Chunk, Stream

LOOK_EVERY_S = 0.25
FIRST_BYTES = 64 * 1024  # of the tail, when somebody begins to watch
CHUNK_BYTES = 64 * 1024  # per look and stream
SKIP_BEHIND_BYTES = 4 * 2**20  # further behind than this: go on from the tail
# the beginning of an escape sequence, where a chunk ends
BEGUN_ESCAPE = re.compile(rb"\x1b(?:\[[0-?]{0,32}[ -/]{0,8})?\Z")

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
    chunk = _next(uid, stream, start)
    text, used = logs.decoded(_whole(chunk.data), more=True)
    if not text:
        return None, chunk.start if start is not None or chunk.size else None
    frame: dict[str, Any] = {"type": "log", "run": uid, "stream": stream}
    frame |= {"from": chunk.start, "text": text}
    if start is not None and chunk.start > start:
        frame["skipped"] = chunk.start - start
    return frame, chunk.start + used


def _next(uid: str, stream: Stream, start: int | None) -> Chunk:
    if start is None:
        return logs.tail(uid, stream, FIRST_BYTES)
    chunk = logs.read(uid, stream, start, CHUNK_BYTES)
    if chunk.size - start > SKIP_BEHIND_BYTES or chunk.size < start:
        return logs.tail(uid, stream, FIRST_BYTES)
    return chunk


def _whole(data: bytes) -> bytes:
    """Less an escape sequence that is not all there; the next look has it."""
    begun = BEGUN_ESCAPE.search(data, max(len(data) - 48, 0))
    return data[: begun.start()] if begun else data
