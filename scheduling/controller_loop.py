"""The controller's loop: asyncio around `agent_scheduler`, one thread for the database.

It sleeps until the earliest of next due, lease and wake-up, never longer than needed
and never so that something starts early: a due instant is compared with a clock read
after the sleep.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from django.db import DatabaseError, OperationalError, close_old_connections
from redis import RedisError

from agents import live_config, redis
from scheduling import agent_scheduler, hot_reads, lease, limiting

log = logging.getLogger(__name__)
T = TypeVar("T")
LEASE_S = 5.0  # a dead leader is replaced within this
RENEW_EVERY_S = 1.5
FIRST_BATCH = 8  # the first few leave at once …
BATCH = 128  # … the rest in batches, while it is busy
GATHER_S = 0.008  # while busy, room and requests gather this long between two steps
BUSY_FOR_S = 0.05
MARGIN_S = 0.06  # chores keep this far from what is due
AHEAD_S = 0.002  # the loop wakes this much early, see await_due
BREATH_S = 0.02  # after a step that left nothing waiting: the nodes work first
ERROR_PAUSE_S = 1.0
CHORES_EVERY_S = 1.0  # at least: sealing, and what was lost on the way


def utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the controller is an entry point


class Controller:
    """One scheduler process; leads while it holds the lease, else stands by."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.token: int | None = None
        self.stopping = asyncio.Event()
        self.woken = asyncio.Event()
        self.database = ThreadPoolExecutor(1, thread_name_prefix="database")
        self.renewed_at = self.sealed_at = self.kept_at = self.busy_at = -1e9
        self.step_s = 0.0
        self.due_at: datetime | None = None  # the next instant, as last looked up

    async def run(self) -> None:
        listener = asyncio.create_task(self.listen())
        try:
            while not self.stopping.is_set():
                await self.turn()
        finally:
            listener.cancel()
            await self.call(lambda: lease.release(self.name))
            self.database.shutdown()

    async def call(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.database, work)

    async def turn(self) -> None:
        """One round: lead if we can, work, sleep. A bad round pauses and goes on."""
        try:
            self.woken.clear()
            pause_s = await self.call(self.work)
        except lease.Superseded:
            log.warning("another scheduler leads now", extra={"scheduler": self.name})
            self.token, pause_s = None, 0.0
        except (OperationalError, DatabaseError) as down:
            log.error("the database refused", extra={"why": str(down)})
            await self.call(close_old_connections)
            pause_s = ERROR_PAUSE_S
        except Exception:
            log.exception("a step failed; going on")
            pause_s = ERROR_PAUSE_S
        await self.sleep(pause_s)

    async def sleep(self, pause_s: float) -> None:
        if pause_s <= 0:
            return
        try:
            await asyncio.wait_for(self.woken.wait(), pause_s)
        except TimeoutError:
            return
        if time.monotonic() - self.busy_at < BUSY_FOR_S:
            await asyncio.sleep(GATHER_S)

    def work(self) -> float:
        """Renew the lease when it is time, take a step; seconds to sleep after it."""
        clock = time.monotonic()
        if self.token is None or clock - self.renewed_at >= RENEW_EVERY_S:
            self.token = lease.acquire(
                self.name, ttl_s=LEASE_S, step_ms=round(self.step_s * 1000, 1)
            )
            self.renewed_at = clock
        if self.token is None:
            return RENEW_EVERY_S
        return self.lead(self.token, clock)

    def lead(self, token: int, clock: float) -> float:
        busy = clock - self.busy_at < BUSY_FOR_S
        batch = BATCH if busy else FIRST_BATCH
        self.await_due()
        done = agent_scheduler.step(token, now=utc_now(), per_class=batch)
        self.step_s = time.monotonic() - clock
        if done:
            self.busy_at = time.monotonic()
            if not self.chores_are_overdue(clock):
                return 0.0 if done >= batch else BREATH_S
        pause_s = self.until_next()
        if pause_s > MARGIN_S or self.chores_are_overdue(clock):
            self.chores(token, clock)
            pause_s = self.until_next()
        return max(0.0, pause_s - AHEAD_S)

    def await_due(self) -> None:
        """The last moment before something is due: a thread sleeps to a tenth of a
        millisecond, the event loop only to a whole one."""
        if self.due_at is not None:
            left_s = (self.due_at - utc_now()).total_seconds()
            if 0 < left_s <= 2 * AHEAD_S:
                time.sleep(left_s)

    def chores_are_overdue(self, clock: float) -> bool:
        return clock - min(self.kept_at, self.sealed_at) >= 2 * CHORES_EVERY_S

    def chores(self, token: int, clock: float) -> None:
        interval_s = min(live_config.current().heartbeat_interval_s, CHORES_EVERY_S)
        if clock - self.kept_at >= interval_s:
            self.kept_at = clock
            agent_scheduler.housekeep(token, now=utc_now())
        if clock - self.sealed_at >= CHORES_EVERY_S:
            self.sealed_at = clock
            agent_scheduler.seal(token, now=utc_now())

    def until_next(self) -> float:
        """Seconds until something is due, at most until the next chore."""
        now = utc_now()
        wait_s = limiting.opening.sooner(hot_reads.alarms(now).next_after(now), now)
        self.due_at = None if wait_s is None else now + timedelta(seconds=wait_s)
        return CHORES_EVERY_S if wait_s is None else min(wait_s, CHORES_EVERY_S)

    async def listen(self) -> None:
        """Turn wake-ups from Redis into `woken`; a lost Redis only costs latency."""
        while True:
            try:
                client = redis.async_connection()
                async with client.pubsub(ignore_subscribe_messages=True) as feed:
                    await feed.subscribe(redis.WAKE_CHANNEL)
                    self.woken.set()  # what we missed while we were not listening
                    async for _ in feed.listen():
                        self.woken.set()
            except (RedisError, OSError) as down:
                log.warning("no wake-ups", extra={"why": str(down)})
            await asyncio.sleep(ERROR_PAUSE_S)
