"""Queues by name: one a node for launches, one for housekeeping."""

from __future__ import annotations

from collections.abc import Sequence

from rq import Queue

from agents import redis
from scheduling.rq.job import SignedJob, SignedSerializer

HOUSEKEEPING = "housekeeping"
LAUNCH_TTL_S = 120  # a launch nobody took by then is back in the queue long since


def queue(name: str) -> Queue:  # type: ignore[no-any-unimported]
    return Queue(
        name,
        connection=redis.connection(),
        serializer=SignedSerializer,
        job_class=SignedJob,
    )


def launch_queue(node: str) -> str:
    return f"launch:{node}"


def send_launch(node: str, batch: Sequence[tuple[int, int]]) -> None:
    """Hand runs to a node: (run id, fencing token) each. Call after commit.

    Raises redis.RedisError; the runs then go back to the queue by their age.
    """
    queue(launch_queue(node)).enqueue_call(
        "scheduling.rq.jobs.launch_runs",
        args=(list(batch),),
        result_ttl=0,
        failure_ttl=0,
        ttl=LAUNCH_TTL_S,
    )
