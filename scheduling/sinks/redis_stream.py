"""The sink that appends to a Redis stream of ours, which readers follow with XREAD.

Its keys begin with one prefix, whatever a definition says, and a stream is cut to its
newest entries. Redis only carries what can be rebuilt: the run's row stays the truth.
"""

from __future__ import annotations

import asyncio

from agents import redis
from scheduling.sinks.parcel import NotDelivered, Parcel

PREFIX = "kos:results:"


async def deliver(parcel: Parcel) -> str:
    """Append it; the entry's id. Raises NotDelivered."""
    return await asyncio.to_thread(append, parcel)


def append(parcel: Parcel) -> str:
    try:
        entry = redis.connection().xadd(
            f"{PREFIX}{parcel.target}",
            {"id": parcel.id, "run": parcel.run, "body": parcel.body},
            maxlen=parcel.rules.stream_max_length,
            approximate=True,
        )
    except redis.RedisError as error:
        raise NotDelivered(f"the stream did not take it: {error}") from None
    return f"entry {entry.decode() if isinstance(entry, bytes) else entry}"
