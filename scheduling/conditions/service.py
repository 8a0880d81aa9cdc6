"""The loop that watches sensors and conditions, in the one worker that holds the lease.

Messages are looked at where they are read; the database has a thread of its own, and
is written at once after a firing and else a few times a second.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connection
from redis import RedisError

from agents import live_config, redis
from agents.config_keys import SchedulerConfig
from scheduling import lease, mqtt_hooks, sensor_readings, voice_mqtt
from scheduling.conditions import store
from scheduling.conditions.broker import Link
from scheduling.conditions.engine import Engine
from scheduling.conditions.intake import Intake
from scheduling.conditions.store import Loaded

log = logging.getLogger(__name__)
T = TypeVar("T")
LEASE_S = 6.0
RENEW_S = 2.0
TURN_S = 1.0  # definitions and facts are looked at this often
WRITE_S = 0.25  # values wait at most this long to be written
GATHER_S = 0.02  # firings that come at once are written together
ERROR_PAUSE_S = 1.0
SWITCH_S = 0.0005  # messages do not wait for the thread that writes


def utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the top of a thread


class Service:
    def __init__(self, holder: str) -> None:
        self.holder = holder
        self.loop = asyncio.get_running_loop()
        self.stopping = asyncio.Event()
        self.woken = asyncio.Event()
        self.database = ThreadPoolExecutor(1, thread_name_prefix="conditions")
        self.begin()

    def begin(self) -> None:
        """With nothing known, as a worker that does not watch."""
        self.engine = Engine()
        self.intake = Intake(self.engine)
        self.link = Link(self.message, self.intake)
        self.token: int | None = None
        self.rest: dict[int, tuple[str, int]] = {}
        self.kinds: dict[str, str] = {}
        self.seen: tuple[object, ...] | None = None
        self.has_arrived = True
        self.is_pending = False
        self.turned_at = self.wrote_at = self.renewed_at = -1e9

    async def call(self, work: Callable[[], T]) -> T:
        return await self.loop.run_in_executor(self.database, work)

    # -- the loop --------------------------------------------------------------------

    async def run(self) -> None:
        """Until told to stop, or until there is nothing to watch."""
        listener = asyncio.create_task(self.listen())
        usual_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        try:
            while not self.stopping.is_set():
                await self.turn()
        finally:
            sys.setswitchinterval(usual_s)
            listener.cancel()
            await self.end()

    def stop(self) -> None:
        """From any thread."""
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.loop.call_soon_threadsafe(self.woken.set)

    async def turn(self) -> None:
        """One round. What fails is done again; nothing that came meanwhile is lost."""
        self.woken.clear()
        try:
            began = time.monotonic()
            if began - self.turned_at >= TURN_S:
                self.turned_at = began
                await self.look_round()
            if self.token is not None:
                await self.catch_up()
                self.engine.expire(utc_now())
                await self.write()
        except lease.Superseded:
            log.warning("another worker watches the sensors now")
            await self.link.drop()
            self.begin()
        except (DatabaseError, InterfaceError) as down:
            log.error("the database refused", extra={"why": str(down)})
            await self.call(close_old_connections)
            await asyncio.sleep(ERROR_PAUSE_S)
        with suppress(TimeoutError):
            await asyncio.wait_for(self.woken.wait(), self.pause_s())

    def pause_s(self) -> float:
        """Until there is something to do by the clock."""
        clock = time.monotonic()
        pauses = [self.turned_at + TURN_S - clock]
        if (timer := self.engine.next_timer()) is not None:
            pauses.append((timer - utc_now()).total_seconds())
        if self.is_pending:
            wait_s = GATHER_S if self.engine.firings else WRITE_S
            pauses.append(self.wrote_at + wait_s - clock)
        return max(0.0, min(pauses))

    def nudge(self) -> None:
        """There is something to write: at once where a firing is part of it."""
        if self.engine.firings or not self.is_pending:
            self.is_pending = True
            self.woken.set()

    async def end(self) -> None:
        await self.link.drop()
        with suppress(DatabaseError, InterfaceError, lease.Superseded):
            if self.token is not None:
                self.wrote_at = -1e9
                await self.write()
            await self.call(partial(lease.release, self.holder, store.LEASE))
        await self.call(connection.close)
        self.link.close()
        self.database.shutdown()

    # -- what there is to watch ------------------------------------------------------

    async def look_round(self) -> None:
        await self.call(voice_mqtt.keep_up)
        if not await self.call(lambda: store.is_wanted() or bool(mqtt_hooks.HOOKS)):
            self.stopping.set()
            return
        if time.monotonic() - self.renewed_at >= RENEW_S:
            await self.renew()
        if self.token is None:
            return
        if (seen := await self.call(store.fingerprint)) != self.seen:
            await self.know(await self.call(store.load))
            self.seen = seen
        config = await self.call(live_config.current)
        self.fit(config)
        await self.link.keep(config.mqtt, self.call)
        if self.engine.ticking:
            facts = await self.call(partial(store.read_facts, self.engine, utc_now()))
            self.engine.tick(facts, utc_now())
        self.has_arrived = True  # should word of it have been lost

    async def renew(self) -> None:
        token = await self.call(
            partial(lease.acquire, self.holder, ttl_s=LEASE_S, name=store.LEASE)
        )
        self.renewed_at = time.monotonic()
        if self.token is not None and token != self.token:
            raise lease.Superseded("another worker watches the sensors now")
        self.token = token

    def fit(self, config: SchedulerConfig) -> None:
        self.intake.keep = config.sensors.readings
        self.intake.max_topics = config.sensors.max_topics
        self.intake.max_payload_bytes = config.mqtt.max_payload_bytes

    async def know(self, loaded: Loaded) -> None:
        for name, kind in self.kinds.items():
            if loaded.kinds.get(name) != kind:
                self.engine.held.pop(name, None)
        self.kinds = dict(loaded.kinds)
        self.rest = {
            pk: self.rest.get(pk, (name, seen))
            for pk, (name, seen) in loaded.rest.items()
        }
        self.intake.know(loaded.specs, loaded.names)
        self.engine.facts = await self.call(
            partial(store.facts_for, loaded.definitions, utc_now())
        )
        faults = self.engine.watch(
            loaded.definitions, loaded.held, loaded.kinds, utc_now()
        )
        self.intake.settle(utc_now())
        if faults:
            await self.call(partial(store.note_faults, faults))
        self.nudge()

    # -- what comes in ---------------------------------------------------------------

    def message(self, topic: str, payload: bytes, retained: bool) -> None:
        self.intake.message(topic, payload, retained=retained, now=utc_now())
        self.nudge()

    async def catch_up(self) -> None:
        """Take what came by HTTP."""
        if not self.has_arrived or not self.rest:
            return
        self.has_arrived = False
        seen = {pk: last for pk, (_, last) in self.rest.items()}
        for one in await self.call(partial(store.arrived, seen)):
            if one.sensor_id in self.rest:
                name = self.rest[one.sensor_id][0]
                self.rest[one.sensor_id] = (name, one.reading)
                self.intake.replay(
                    *(one.sensor_id, name, one.came), reading=one.reading, now=utc_now()
                )
                self.nudge()

    async def listen(self) -> None:
        """Hear at once that a value came by HTTP."""
        while True:
            try:
                async with redis.async_connection() as client, client.pubsub() as sub:
                    await sub.subscribe(sensor_readings.CHANNEL)
                    async for _ in sub.listen():
                        self.has_arrived = True
                        self.woken.set()
            except (RedisError, OSError):
                await asyncio.sleep(ERROR_PAUSE_S)

    # -- what goes out ---------------------------------------------------------------

    async def write(self) -> None:
        wait_s = GATHER_S if self.engine.firings else WRITE_S
        if not self.is_pending and not self.engine.firings and not self.engine.dirty:
            return
        if time.monotonic() - self.wrote_at < wait_s:
            self.is_pending = True
            return
        self.wrote_at, self.is_pending = time.monotonic(), False
        taken, (news, newborn) = self.engine.take(), self.intake.take()
        assert self.token is not None
        try:
            await self.call(
                partial(
                    store.write,
                    taken,
                    news,
                    newborn,
                    token=self.token,
                    keep=self.intake.keep,
                    now=utc_now(),
                )
            )
        except (DatabaseError, InterfaceError):
            self.engine.give_back(taken)
            self.intake.give_back(news, newborn)
            self.is_pending = True
            raise
        if newborn:
            self.seen, self.turned_at = None, -1e9
