"""Queues by name: one a node for launches, one for housekeeping."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from django_rq.queues import DjangoRQ, get_queue

from agents import redis
from scheduling.rq.job import SignedJob, carried

HOUSEKEEPING = "housekeeping"
HOUSEKEEP = "scheduling.rq.jobs.housekeep"
LAUNCH = "scheduling.rq.jobs.launch_runs"
LOOK_AND_LAUNCH = "scheduling.rq.jobs.look_and_launch"
LAUNCH_TTL_S = 120  # a launch nobody took by then is back in the queue long since


class SignedQueue(DjangoRQ):  # type: ignore[misc,no-any-unimported]
    """A queue of ours, whoever makes it: the dashboard too must read our jobs."""

    job_class = SignedJob


@cache
def queue(name: str) -> SignedQueue:  # type: ignore[no-any-unimported]
    """One of ours, by its name. Its connection is this process's, with its time-outs.

    Raises KeyError for a name that is not in RQ_QUEUES.
    """
    found: SignedQueue = get_queue(name, connection=redis.connection())
    return found


def launch_queue(node: str) -> str:
    return f"launch:{node}"


def send_launch(
    node: str, batch: Sequence[tuple[int, int]], *, needy: bool = False
) -> None:
    """Hand runs to a node: (run id, fencing token) each. Call after commit. `needy`:
    it looks once more for what they require.

    Raises redis.RedisError; the runs then go back to the queue by their age.
    """
    to = queue(launch_queue(node))
    function = LOOK_AND_LAUNCH if needy else LAUNCH
    job_id = carried(function, (list(batch),), origin=to.name)
    with to.connection.pipeline(transaction=False) as pipe:  # one round trip
        pipe.sadd(to.redis_queues_keys, to.key)
        to.push_job_id(job_id, pipeline=pipe)
        pipe.expire(to.key, LAUNCH_TTL_S)
        pipe.execute()
