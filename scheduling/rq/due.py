"""When delayed and periodic work is due: the names of its Redis keys, and how a chore
is brought forward. Imports no rq, so that every process may say that something is due.
"""

from __future__ import annotations

import logging
from datetime import datetime

from agents import redis

log = logging.getLogger(__name__)
DUE_KEY = "kos:scheduler:due"
WAKE_KEY = "kos:scheduler:wake"
PERIODIC = "every:"  # members that are no jobs but names of chores


def hasten(chore: str, at: datetime) -> None:
    """Have a chore done at this instant if it would be later. Losing it costs latency:
    the chore comes round by itself."""
    member, score = f"{PERIODIC}{chore}", at.timestamp()
    try:
        with redis.connection().pipeline(transaction=False) as pipe:
            pipe.zadd(DUE_KEY, {member: score}, lt=True)
            pipe.publish(WAKE_KEY, repr(score))
            pipe.execute()
    except redis.RedisError as down:
        log.warning("a chore was not brought forward", extra={"why": str(down)})
