"""One node's process: the launcher in the main thread, the supervisor in a second,
hooks, stops and the heartbeat in an asyncio loop in a third.

Nothing here owns a program: kill this process and every agent goes on, held by the
executor's holder.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError, close_old_connections
from redis import RedisError

from agents import crash_points, live_config, redis
from agents.executors.base import Executor, ExecutorError
from scheduling import (
    confidential,
    dispatch_hook,
    file_events,
    launch,
    node_checks,
    nodes,
)
from scheduling.environments import Environments
from scheduling.health import Health
from scheduling.hook_runs import HookRuns
from scheduling.supervisor import utc_now
from scheduling.suspending import Suspender

log = logging.getLogger(__name__)
SWITCH_S = 0.0005  # how long a thread may keep the interpreter: dispatch waits for it
RETRY_S = 1.0
END_CODE = 70  # EX_SOFTWARE of sysexits.h
STOP_WAIT_S = 5.0  # for a thread to finish what it is at
T = TypeVar("T")
Beat = Callable[[str, datetime], Any]


class NodeProcess:
    """The parts of a node and their threads. `beats` are called at each heartbeat
    with the node's name and the instant: the monitor adds its sampler there."""

    def __init__(
        self, name: str, executors: Sequence[Executor], beats: Sequence[Beat]
    ) -> None:
        self.name = name
        told = (lambda node, now: nodes.beat(node, now=now), confidential.sweep)
        self.beats = (*told, *beats)
        self.loop = asyncio.new_event_loop()
        self.database = ThreadPoolExecutor(1, thread_name_prefix="loop-database")
        self.parts: list[asyncio.Task[None]] = []
        self.looker = ThreadPoolExecutor(1, thread_name_prefix="environments")
        cache = settings.VAR / "cache" / name
        self.hooks = HookRuns(name, self.loop, self.in_thread, utc_now, cache)
        self.health = Health(name, self.in_thread, utc_now)
        self.here = Environments(
            name, executors, self.hooks.under_way, self.hooks.begin
        )
        self.hooks.programs = self.here
        self.suspender = Suspender(name, self.here.of.get, utc_now)
        self.wished = asyncio.Event()
        self.checks = node_checks.NodeChecks(name)
        self.freezer = ThreadPoolExecutor(1, thread_name_prefix="freezer")
        self.checker = ThreadPoolExecutor(2, thread_name_prefix="checks")
        self.files = file_events.FileWatch(name)
        self.look_around = asyncio.Event()
        self.thread = threading.Thread(target=self.run_loop, name="loop", daemon=True)

    def start(self) -> None:
        """Start the other threads; the caller's own becomes the launcher's."""
        sys.setswitchinterval(SWITCH_S)
        dispatch_hook.install()
        self.thread.start()

    def stop(self) -> None:
        """Stop working; programs go on."""
        self.hooks.stop()
        self.loop.call_soon_threadsafe(self.end_parts)
        self.here.stop(STOP_WAIT_S)
        self.thread.join(STOP_WAIT_S)
        for pool in (self.checker, self.freezer):
            pool.shutdown(wait=False, cancel_futures=True)
        self.checks.stop()

    def launch(self, batch: Sequence[tuple[int, int]], *, now: datetime) -> None:
        """Start a batch of admitted runs, each (run id, fencing token). Returns at
        once: runs with hooks are prepared in the loop and never hold up the others."""
        crash_points.reach("after_dequeue")
        starts = launch.begin(batch, node=self.name, now=now)
        crash_points.reach("after_token")
        for start in starts:
            if start.is_probed:
                self.health.watch(start.spec.uid)
        self.here.start_all(starts)

    def look_and_launch(self, batch: Sequence[tuple[int, int]]) -> None:
        """The same for runs that require something, once it has been looked for again.
        That may take seconds, so it has a thread of its own."""
        self.checker.submit(self.launch_fit, batch)

    def launch_fit(self, batch: Sequence[tuple[int, int]]) -> None:
        try:
            fit = self.checks.still_fit(batch, now=utc_now())
            if fit:
                self.launch(fit, now=utc_now())
        except DatabaseError as trouble:  # they go back to the queue by their age
            log.warning("not looked for", extra={"why": str(trouble)})
            close_old_connections()
        except Exception:
            log.exception("a launch failed", extra={"runs": [pk for pk, _ in batch]})

    def run_loop(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.parts = [
            self.loop.create_task(self.forever(part))
            for part in (
                *(self.listen, self.beat, self.look, self.check, self.watch),
                *(self.go_through_hooks, self.health.turn, self.suspend),
            )
        ]
        ended = asyncio.gather(*self.parts, return_exceptions=True)
        self.loop.run_until_complete(ended)
        self.loop.run_until_complete(self.hooks.leave())
        if not asyncio.all_tasks(self.loop):
            self.loop.close()

    def end_parts(self) -> None:
        for part in self.parts:
            part.cancel()

    async def forever(self, part: Callable[[], Awaitable[None]]) -> None:
        """Keep a part going: Redis and the database may go and come back, and a fault
        of one part must not take the others with it."""
        while True:
            try:
                await part()
            except (RedisError, OSError, DatabaseError, ExecutorError) as trouble:
                log.warning("retrying", extra={"why": str(trouble)})
            except Exception:
                log.exception("a part of the node failed; going on")
            else:
                continue
            await self.in_thread(close_old_connections)
            await asyncio.sleep(RETRY_S)

    async def listen(self) -> None:
        """Pass stops and signals on the moment they are asked for."""
        async with (
            redis.async_connection() as client,
            client.pubsub(ignore_subscribe_messages=True) as feed,
        ):
            await feed.subscribe(nodes.channel(self.name), nodes.EVERY_NODE)
            async for message in feed.listen():
                if message["channel"].decode() == nodes.EVERY_NODE:
                    self.look_around.set()
                    continue
                if message["data"] == b"wish":
                    self.wished.set()
                    continue
                await self.in_thread(partial(self.heard, message["data"]))

    def heard(self, message: bytes) -> None:
        """ "stop" (look for runs to stop), "checkpoint" or "signal <uid> <number>"."""
        match message.decode(errors="replace").split():
            case ["signal", uid, number] if number.isascii() and number.isdecimal():
                self.here.signal(uid, int(number))
            case ["checkpoint"]:
                self.hooks.look_soon()
            case _:
                self.here.stop_pending()
                self.hooks.cancel_unwanted()

    async def beat(self) -> None:
        await asyncio.sleep(await self.in_thread(self.beat_once))

    def beat_once(self) -> float:
        """Do what belongs to a heartbeat; seconds until the next."""
        now = utc_now()
        for beat in self.beats:
            beat(self.name, now)
        return heartbeat_s()

    async def look(self) -> None:
        """See what the engines offer, in a thread of its own: one that hangs must
        silence neither the heartbeat nor those that stop runs."""
        pause_s = await self.loop.run_in_executor(self.looker, self.look_once)
        await asyncio.sleep(pause_s)

    def look_once(self) -> float:
        self.here.look(now=utc_now())
        return heartbeat_s()

    async def check(self) -> None:
        """See what waiting runs require, every few seconds and when one was queued."""
        self.look_around.clear()
        await self.loop.run_in_executor(self.checker, self.check_once)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.look_around.wait(), node_checks.EVERY_S)

    def check_once(self) -> None:
        try:
            self.checks.look()
        except DatabaseError:
            close_old_connections()  # this thread's own
            raise

    async def watch(self) -> None:
        """See whether files have come that schedules wait for."""
        await self.loop.run_in_executor(self.checker, self.watch_once)
        await asyncio.sleep(file_events.EVERY_S)

    def watch_once(self) -> None:
        try:
            self.files.look(now=utc_now(), clock=time.monotonic())
        except DatabaseError:
            close_old_connections()  # this thread's own
            raise

    async def suspend(self) -> None:
        """Freeze, reclaim and thaw what is to be: when told, and at each heartbeat. In
        a thread of its own: memory is written out as slowly as the disk is."""
        self.wished.clear()
        await self.loop.run_in_executor(self.freezer, self.suspend_once)
        with suppress(TimeoutError):
            left_s = await self.in_thread(heartbeat_s)
            await asyncio.wait_for(self.wished.wait(), left_s)

    def suspend_once(self) -> None:
        try:
            self.suspender.look()
        except DatabaseError:
            close_old_connections()  # this thread's own
            raise

    async def go_through_hooks(self) -> None:
        await self.hooks.watch(heartbeat_s)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """All database work of the loop goes through one thread, one connection."""
        return await self.loop.run_in_executor(self.database, work)


def heartbeat_s() -> float:
    """Seconds between two looks at what nobody told of. Reads the database."""
    return live_config.current().heartbeat_interval_s


def end_with_any_thread() -> None:
    """From now on the end of any thread by a fault is the end of the process.

    A node that goes on without a part of itself looks well and does nothing: better
    it is started anew, which disturbs no agent.
    """

    def end(fault: threading.ExceptHookArgs) -> None:
        log.critical("a thread of the node ended", exc_info=fault.exc_value)
        os._exit(END_CODE)

    threading.excepthook = end


_current: NodeProcess | None = None


def install(process: NodeProcess) -> None:
    """Make this the process that launch jobs go to."""
    global _current
    _current = process


def current() -> NodeProcess:
    assert _current is not None, "launch jobs only run in `manage.py run_node`"
    return _current
