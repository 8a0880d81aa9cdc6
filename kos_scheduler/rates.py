"""Counting attempts in fixed windows: in Redis, or in this process without it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from threading import Lock

from redis.exceptions import RedisError

from agents import redis

logger = logging.getLogger(__name__)
MAX_LOCAL_KEYS = 10_000  # a flood of made-up names must not fill the memory


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `limit` counted attempts in a window of `window_s`."""

    name: str
    limit: int
    window_s: int


class LocalCounts:
    """What Redis would hold, for as long as it is away."""

    def __init__(self) -> None:
        self.counts: dict[str, tuple[int, float]] = {}  # key -> (count, ends at)
        self.lock = Lock()

    def read(self, key: str, now_s: float) -> tuple[int, float]:
        count, ends_at = self.counts.get(key, (0, 0.0))
        return (count, ends_at - now_s) if ends_at > now_s else (0, 0.0)

    def add(self, key: str, window_s: int, now_s: float) -> None:
        with self.lock:
            if len(self.counts) >= MAX_LOCAL_KEYS:
                self.counts.clear()
            count, left_s = self.read(key, now_s)
            self.counts[key] = (count + 1, now_s + (left_s or window_s))

    def clear(self, key: str) -> None:
        self.counts.pop(key, None)


local = LocalCounts()


def wait_s(rate: Rate, who: str, *, now_s: float) -> int:
    """Seconds until `who` may try again; 0 when they may now. Counts nothing."""
    key = key_of(rate, who)
    try:
        pipe = redis.connection().pipeline()
        pipe.get(key)
        pipe.pttl(key)
        count, left_ms = pipe.execute()
        seen, left_s = int(count or 0), max(int(left_ms), 0) / 1000
    except RedisError:
        seen, left_s = local.read(key, now_s)
    return int(left_s) + 1 if seen >= rate.limit else 0


def count(rate: Rate, who: str, *, now_s: float) -> None:
    """One more attempt of `who`."""
    key = key_of(rate, who)
    try:
        pipe = redis.connection().pipeline()
        pipe.incr(key)
        pipe.expire(key, rate.window_s, nx=True)
        pipe.execute()
    except RedisError as error:
        logger.warning("counting attempts in this process only: %s", error)
        local.add(key, rate.window_s, now_s)


def forget(rate: Rate, who: str) -> None:
    """Start `who` afresh."""
    key = key_of(rate, who)
    local.clear(key)
    try:
        redis.connection().delete(key)
    except RedisError:
        return  # its window ends by itself


def key_of(rate: Rate, who: str) -> str:
    return f"kos:rate:{rate.name}:{who[:200]}"
