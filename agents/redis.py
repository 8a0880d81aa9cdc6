"""The one way to a Redis connection, time-outs set.

Redis only carries what can be rebuilt. A frozen server must cost a request at most
a second, so nothing here retries.
"""

from __future__ import annotations

from functools import cache

import redis
import redis.asyncio
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

WAKE_CHANNEL = "kos:wake"  # something changed that the controller should look at
TIMEOUT_S = 1.0
RedisError = redis.RedisError  # what every command here may raise


@cache
def connection() -> redis.Redis:
    """A shared, thread-safe client for short commands. Bytes in, bytes out."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=TIMEOUT_S,
        socket_connect_timeout=TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )


def blocking_connection() -> redis.Redis:
    """A client of one's own for commands that wait: BLMOVE, pub/sub."""
    return redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=TIMEOUT_S)


def async_connection() -> redis.asyncio.Redis:
    """An asyncio client of one's own, for pub/sub."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL, socket_connect_timeout=TIMEOUT_S
    )


def wake(reason: str = "") -> None:
    """Tell the controller to look now. Losing it costs latency, never a run."""
    try:
        connection().publish(WAKE_CHANNEL, reason)
    except redis.RedisError:
        return  # the controller looks by itself at its next heartbeat
