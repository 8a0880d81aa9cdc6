"""rq-scheduler, made precise and safe: what is merely delayed or periodic.

The stock class cuts instants to whole seconds (and so fires early), releases a lock
that is somebody else's, and stops for good behind one job it cannot read. Here scores
are floats, due entries are claimed by one atomic script, the lock is a lease with an
owner, an unreadable job goes to a poison set, and the process sleeps until the head of
its sorted set or a wake-up.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from rq.exceptions import DeserializationError, NoSuchJobError
from rq_scheduler import Scheduler
from rq_scheduler.utils import rationalize_until

from agents import redis
from scheduling.housekeeping import CHORES
from scheduling.rq import queues
from scheduling.rq.due import DUE_KEY, PERIODIC, WAKE_KEY
from scheduling.rq.job import Forged, SignedJob

log = logging.getLogger(__name__)
LEASE_S = 5.0
LONGEST_SLEEP_S = LEASE_S / 3  # the lease is renewed by then
AT_ONCE = 200
CLAIM = """
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZADD', KEYS[2], ARGV[1], member)
end
local head = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {due, head[2] or false}
"""
RENEW = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class PreciseScheduler(Scheduler):  # type: ignore[misc,no-any-unimported]
    """Sub-millisecond scores, an owner-checked lease, nothing lost in a crash."""

    scheduler_lock_key = "kos:scheduler:lock"
    scheduled_jobs_key = DUE_KEY
    in_flight_key = "kos:scheduler:in_flight"
    poison_key = "kos:scheduler:poison"
    wake_key = WAKE_KEY
    job_class = SignedJob

    def __init__(self, connection: Any, **shown_by_django_rq: Any) -> None:
        super().__init__(queue_name=queues.HOUSEKEEPING, connection=connection)
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{self.name}"
        self.claim = connection.register_script(CLAIM)
        self.renew = connection.register_script(RENEW)
        self.release = connection.register_script(RELEASE)
        self.stopping = False

    def enqueue_at(
        self, scheduled_time: datetime, func: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Put a job on the housekeeping queue at an aware instant, never early."""
        queue = queues.queue(queues.HOUSEKEEPING)
        job = queue.create_job(func, args=args, kwargs=kwargs, result_ttl=0)
        job.save()
        at = scheduled_time.timestamp()
        self.connection.zadd(self.scheduled_jobs_key, {job.id: at})
        self.connection.publish(self.wake_key, repr(at))
        return job

    def get_jobs(
        self,
        until: Any = None,
        with_times: bool = False,
        offset: int | None = None,
        length: int | None = None,
    ) -> Iterator[Any]:
        """What waits for its time, the chores among it, for people to look at. (The
        stock one takes away what it cannot read.)"""
        latest = "+inf" if until is None else rationalize_until(until)
        waiting = self.connection.zrangebyscore(
            self.scheduled_jobs_key, 0, latest, offset, length, withscores=True
        )
        for member, score in waiting:
            if (job := self._shown(member.decode())) is not None:
                at = datetime.fromtimestamp(score, UTC).replace(tzinfo=None)
                yield (job, at) if with_times else job

    def _shown(self, member: str) -> Any:
        housekeeping = queues.queue(queues.HOUSEKEEPING)
        if member.startswith(PERIODIC):
            name = member.removeprefix(PERIODIC)
            return housekeeping.create_job(queues.HOUSEKEEP, args=(name,))
        with suppress(NoSuchJobError, DeserializationError, Forged):
            return SignedJob.fetch(member, self.connection, housekeeping.serializer)
        return None

    def ensure_chores(self) -> None:
        """Enter every chore that is not there: at first, and after a lost Redis."""
        at = {f"{PERIODIC}{n}": time.time() + c.every_s for n, c in CHORES.items()}
        if at and self.connection.zadd(self.scheduled_jobs_key, at, nx=True):
            self.connection.publish(self.wake_key, "chores")

    def acquire_lock(self) -> bool:
        """Take or keep the lease; True while it is ours."""
        mine = self.renew(
            keys=[self.scheduler_lock_key], args=[self.owner, int(LEASE_S * 1000)]
        )
        self._lock_acquired = bool(mine)
        return self._lock_acquired

    def remove_lock(self) -> None:
        """Give the lease up if it is ours."""
        self.release(keys=[self.scheduler_lock_key], args=[self.owner])
        self._lock_acquired = False

    def recover(self) -> int:
        """Put back what a scheduler that died had claimed and not passed on."""
        left = self.connection.zrange(self.in_flight_key, 0, -1, withscores=True)
        for member, at in left:
            self.connection.zadd(self.scheduled_jobs_key, {member: at}, nx=True)
            self.connection.zrem(self.in_flight_key, member)
        return len(left)

    def tick(self, now_s: float) -> float | None:
        """Pass on everything due by `now_s`; the score of the head that remains."""
        due, head = self.claim(
            keys=[self.scheduled_jobs_key, self.in_flight_key],
            args=[repr(now_s), AT_ONCE],
        )
        for member in due:
            self._pass_on(member.decode(), now_s)
            self.connection.zrem(self.in_flight_key, member)
        return None if head is None else float(head)

    def _pass_on(self, member: str, now_s: float) -> None:
        if member.startswith(PERIODIC):
            self._do_chore(member.removeprefix(PERIODIC), now_s)
            return
        queue = queues.queue(queues.HOUSEKEEPING)
        try:
            job = SignedJob.fetch(
                member, connection=self.connection, serializer=queue.serializer
            )
            if job.func_name is not None:
                queue.enqueue_job(job)
        except NoSuchJobError:
            log.info("a delayed job has gone", extra={"job": member})
        except (DeserializationError, Forged):
            log.error("a delayed job cannot be read", extra={"job": member})
            self.connection.zadd(self.poison_key, {member: now_s})

    def _do_chore(self, name: str, now_s: float) -> None:
        chore = CHORES.get(name)
        if chore is None:  # an older version knew it
            return
        queues.queue(queues.HOUSEKEEPING).enqueue_call(
            queues.HOUSEKEEP, args=(name,), result_ttl=0
        )
        following = {f"{PERIODIC}{name}": now_s + chore.every_s}
        self.connection.zadd(self.scheduled_jobs_key, following, nx=True)

    def work(self, clock: Callable[[], float] = time.time) -> None:
        """Run until `stopping`; sleeps until the head is due, woken by a change."""
        client = redis.blocking_connection()
        feed = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
        feed.subscribe(self.wake_key)
        led = False
        try:
            while not self.stopping:
                if not self.acquire_lock():
                    led = False
                    feed.get_message(timeout=LONGEST_SLEEP_S)
                    continue
                if not led:
                    self.recover()
                    led = True
                self.ensure_chores()
                head = self.tick(clock())
                wait_s = LONGEST_SLEEP_S if head is None else head - clock()
                feed.get_message(timeout=min(max(wait_s, 0.0), LONGEST_SLEEP_S))
        finally:
            self.remove_lock()
            feed.close()
