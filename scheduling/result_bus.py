"""The result bus: what finished runs left as results, for agents that come after.

Streams in Redis, one for each agent and one for each capability, of bounded length.
A result goes out once its run's end is committed. The bus carries news, it is not the
record: with Redis away nothing is sent and no run is harmed, since every result stands
in the database, and whoever must have each one names a sink.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import redis as redis_library
from django.db import transaction

from agents import live_config, redis
from agents.errors import Unavailable
from scheduling import hot_reads
from scheduling.batch_sql import iso

log = logging.getLogger(__name__)
AGENT, CAPABILITY = "kos:bus:agent:{}", "kos:bus:capability:{}"
DAY_S = 86_400
START = "0-0"
IS_DOWN = "the result bus is down; results stand with their runs"
MOST_WAITING = 200  # requests that wait at once, of one web process


@dataclass(frozen=True, slots=True)
class Entry:
    """One result on its way to its streams."""

    streams: tuple[str, ...]
    fields: Mapping[str, str]


def publish_on_commit(
    moved: Sequence[Mapping[str, Any]], results: Mapping[int, Any], state: str
) -> None:
    """Send the results (by run id) of runs that ended so, once that stands.

    `moved`: the runs as runs.move_many answers them.
    """
    ended = [run for run in moved if results.get(run["id"]) is not None]
    if not ended:
        return
    specs = hot_reads.specs({run["version_id"] for run in ended})
    entries = [
        _entry(run, specs[run["version_id"]], results[run["id"]], state)
        for run in ended
    ]
    transaction.on_commit(partial(publish, entries), robust=True)


def _entry(
    run: Mapping[str, Any], spec: Mapping[str, Any], result: Any, state: str
) -> Entry:
    capabilities = [CAPABILITY.format(name) for name in spec["capabilities"]]
    fields = {
        "run": run["uid"],
        "agent": run["agent"],
        "state": str(state),
        "ended_at": iso(run["ended_at"]) or "",
        "result": orjson.dumps(result).decode(),
    }
    return Entry((AGENT.format(run["agent"]), *capabilities), fields)


def publish(entries: Sequence[Entry]) -> None:
    """Add them to their streams in one round trip. Silent but for the log when Redis
    is away."""
    config = live_config.current()
    try:
        with redis.connection().pipeline(transaction=False) as pipe:
            for entry in entries:
                for stream in entry.streams:
                    fields: dict[Any, Any] = dict(entry.fields)
                    most = config.bus.max_entries
                    pipe.xadd(stream, fields, maxlen=most, approximate=True)
                    pipe.expire(stream, config.log_retention_days * DAY_S)
            pipe.execute()
    except redis_library.RedisError as down:
        said = {"results": len(entries), "why": str(down)}
        log.warning("results not on the bus", extra=said)


# -- reading ---------------------------------------------------------------------------


def read(stream: str, after: str, limit: int) -> list[dict[str, Any]]:
    """Entries after an id, oldest first. Raises Unavailable when Redis is away."""
    try:
        found: Any = redis.connection().xrange(stream, f"({after}", "+", count=limit)
    except redis_library.RedisError:
        raise Unavailable(IS_DOWN) from None
    return [_told(entry_id.decode(), fields) for entry_id, fields in found]


def _told(entry_id: str, fields: Mapping[bytes, bytes]) -> dict[str, Any]:
    words = {name.decode(): value.decode() for name, value in fields.items()}
    return {"id": entry_id, **words, "result": orjson.loads(words["result"])}


def last_id(stream: str) -> str:
    """The newest entry's id. Raises Unavailable."""
    try:
        found: Any = redis.connection().xrevrange(stream, count=1)
    except redis_library.RedisError:
        raise Unavailable(IS_DOWN) from None
    return found[0][0].decode() if found else START


class Waiting:
    """Requests that wait for something new, a bounded number at once."""

    def __init__(self) -> None:
        self.places = MOST_WAITING

    async def for_news(self, stream: str, after: str, wait_s: float) -> str:
        """Return `after` when the stream has an entry behind it, or after wait_s; at
        once when too many wait or Redis is away: whoever asks reads what there is."""
        if self.places <= 0:
            return after
        self.places -= 1
        client = redis.async_connection()
        try:
            block = max(int(wait_s * 1000), 1)
            await asyncio.wait_for(
                client.xread({stream: after}, count=1, block=block), wait_s + 1
            )
        except (redis_library.RedisError, OSError, TimeoutError):
            log.info("the wait for results ended early", extra={"stream": stream})
        finally:
            self.places += 1
            await client.aclose()
        return after


waiting = Waiting()
