"""Who does the housekeeping just now."""

from __future__ import annotations

from datetime import datetime, timedelta

from rq import Worker

from scheduling.rq.queues import HOUSEKEEPING, queue

SILENT = timedelta(minutes=8)  # it says it lives at least every seven


def heard_of(now: datetime) -> int:
    """Workers of the housekeeping queue that were heard of lately.

    Raises redis.RedisError.
    """
    found = Worker.all(queue=queue(HOUSEKEEPING))
    beats = [worker.last_heartbeat for worker in found]
    return sum(1 for beat in beats if beat and now - beat < SILENT)
