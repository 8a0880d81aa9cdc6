"""The systemd executor's event loop: it keeps connected, and after each connect it
compares what systemd has with what the log says."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
from dataclasses import asdict

from agents.executors import spawn
from agents.executors.base import Limits, Unavailable
from agents.executors.engine_log import EngineLog, LoggedRun
from agents.executors.systemd_bus import Bus, Refusal, connect
from agents.executors.systemd_control import Control
from agents.executors.systemd_end import read_record
from agents.executors.systemd_groups import find_hierarchies
from agents.executors.systemd_run import LOOK_EVERY_S, UnitRun
from agents.executors.systemd_unit import (
    INFINITY,
    is_unit_of,
    record_path,
    uid_and_token,
    unit_name,
)
from agents.executors.systemd_units import Units

AGAIN_S = (0.1, 2.0)  # between attempts to connect: at first, and at most


class Engine:
    def __init__(self, node: str, folder: str, bus: str, log: EngineLog) -> None:
        self.bus_name = bus
        self.log = log
        self.units = Units(node, folder, log)
        self.control = Control(self.units)
        self._wake = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._serving = asyncio.ensure_future(self._serve())

    async def _serve(self) -> None:
        self.units.spawn(self._watch_output())
        pause_s = AGAIN_S[0]
        while True:
            self._wake.clear()
            bus = await self._connect()
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)
            self._waiting.clear()
            if bus is not None:
                pause_s = AGAIN_S[0]
                await bus.lost.wait()
                await self._lose(bus, "the connection to systemd broke")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), pause_s)
            pause_s = min(pause_s * 2, AGAIN_S[1])

    async def up(self) -> None:
        """Return once connected. Raises Unavailable when an attempt failed just now."""
        if not self.units.compared.is_set():
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            self._wake.set()
            await waiting
        self.units.connected()

    async def close(self) -> None:
        """Let go of the connection for good."""
        while not self._serving.done():  # a wait that is over swallows a cancellation
            self._serving.cancel()
            await asyncio.wait({self._serving}, timeout=0.1)
        if (bus := self.units.bus) is not None:
            await self._lose(bus, "closed")

    async def _connect(self) -> Bus | None:
        try:
            bus = await connect(self.bus_name, self.units.hear)
        except Unavailable as error:
            self.units.trouble = str(error)
            return None
        try:
            await self._look_around(bus)
            self.units.bus = bus
            await self._reconcile(bus)
            self.units.compared.set()
        except BaseException as error:
            await self._lose(bus, f"systemd does not answer as it should: {error}")
            if not isinstance(error, Exception):
                raise  # cancelled
            return None  # whatever it is, the next attempt may do better
        return bus

    async def _lose(self, bus: Bus, trouble: str) -> None:
        self.units.compared.clear()
        self.units.bus, self.units.trouble = None, trouble
        bus.close()
        await bus.closed()

    async def _look_around(self, bus: Bus) -> None:
        manager = await bus.manager()
        units = self.units
        units.root = manager["ControlGroup"].rstrip("/")
        units.inherited = [one.partition("=")[0] for one in manager["Environment"]]
        units.hierarchies = find_hierarchies(units.root)
        units.is_users = await bus.is_users()
        if not units.is_users and os.geteuid() != 0:
            units.user = pwd.getpwuid(os.geteuid()).pw_name

    # -- after a connect --------------------------------------------------------------

    async def _reconcile(self, bus: Bus) -> None:
        pattern = f"kos-{self.units.node}-*.service"
        [listed] = await bus.call("ListUnitsByPatterns", "asas", [], [pattern])
        names = {row[0] for row in listed}
        for name in names:
            await self._meet(name)
        for run in list(self.units.runs.values()):
            if run.unit not in names and not run.is_over:
                self._miss(run)
        for logged in list(self.log.runs.values()):
            if unit_name(self.units.node, logged.uid, logged.token) not in names:
                self._settle(logged)

    async def _meet(self, name: str) -> None:
        """systemd has this unit: follow it, if its end is not told yet."""
        whose = uid_and_token(self.units.node, name)
        run = self.units.runs.get(name)
        if run is None and whose is not None:
            logged = self.log.run(*whose)
            if logged is None and self.log.over.get(whose[0], -1) >= whose[1]:
                return self.units.spawn(self._drop(name))
            if logged is None:
                await self._adopt(name, *whose)
                logged = self.log.run(*whose)
            if logged is not None:
                run = self._hold(name, logged)
        if run is not None:
            run.asked = None
            await self.units.learn(run)
            await self.control.resume(run)

    def _hold(self, name: str, logged: LoggedRun) -> UnitRun:
        run = self.units.hold(name, logged.uid, logged.token, logged.facts)
        if logged.started:
            run.has_begun = run.has_run = True
            run.settled.set()
        return run

    async def _adopt(self, name: str, uid: str, token: int) -> None:
        """A unit of ours that our log knows nothing of: somebody deleted the log."""
        service = await self.units.connected().properties(name, "Service")
        if not is_unit_of(service, uid, token):
            return
        folder = os.path.dirname(service.get("WorkingDirectory", "")) or "/"
        limit_us = service.get("RuntimeMaxUSec", INFINITY)
        self.log.ask(
            uid,
            token,
            {
                "folder": folder,
                "limits": asdict(Limits()),
                "time_limit_s": None if limit_us == INFINITY else limit_us / 1e6,
                "grace_s": service.get("TimeoutStopUSec", 0) / 1e6,
                "boot": self.units.boot,
            },
        )

    async def _drop(self, name: str) -> None:
        """Its end is in the log, so whoever wrote that died before this."""
        with contextlib.suppress(Refusal, Unavailable):
            await self.units.connected().call("StopUnit", "ss", name, "replace")
        await self.units.forget(name)

    def _miss(self, run: UnitRun) -> None:
        """systemd has no unit of this run, which we follow."""
        if run.asked is not None and not os.path.exists(run.record):
            self.units.spawn(self.units.ask(run))  # it was never heard
        else:
            run.has_begun = True
            self.units.finish(run)

    def _settle(self, logged: LoggedRun) -> None:
        """systemd has no unit of this run, which an earlier process asked for."""
        name = unit_name(self.units.node, logged.uid, logged.token)
        if name in self.units.runs:
            return
        folder = logged.facts["folder"]
        if logged.started or read_record(record_path(folder, logged.token)):
            run = self._hold(name, logged)
            run.has_begun = True
            self.units.finish(run)
        elif logged.facts.get("boot") == self.units.boot:
            self.log.forget(logged.uid, logged.token)  # systemd never heard of it
            spawn.unmark_attempt(folder, logged.token)
        elif os.path.exists(f"{folder}/attempt-{logged.token}"):
            self.units.lose(logged.uid, logged.token)
        else:
            self.log.forget(logged.uid, logged.token)

    # -- all the time -----------------------------------------------------------------

    async def _watch_output(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = asyncio.get_running_loop().time()
            for run in list(self.units.runs.values()):
                run.look_at_output(now)
