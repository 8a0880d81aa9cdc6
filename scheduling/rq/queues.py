"""Queues by name: one a node for launches, one for housekeeping."""

from __future__ import annotations

from collections.abc import Sequence

from rq import Queue
from rq.job import JobStatus

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
    to = queue(launch_queue(node))
    job = to.create_job(
        "scheduling.rq.jobs.launch_runs",
        args=(list(batch),),
        result_ttl=0,
        failure_ttl=0,
        status=JobStatus.QUEUED,
    )
    job.origin = to.name
    with to.connection.pipeline(transaction=False) as pipe:  # one round trip
        pipe.sadd(to.redis_queues_keys, to.key)
        job.save(pipeline=pipe)
        pipe.expire(job.key, LAUNCH_TTL_S)
        to.push_job_id(job.id, pipeline=pipe)
        pipe.execute()
