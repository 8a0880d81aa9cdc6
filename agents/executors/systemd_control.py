"""What is asked of a live unit: to end, to freeze, to live with other limits."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from dataclasses import asdict

from agents.executors.base import BadSpec, Limits, Usage
from agents.executors.systemd_bus import Refusal
from agents.executors.systemd_run import UnitRun
from agents.executors.systemd_unit import caps
from agents.executors.systemd_units import Units

KILL_AGAIN_S = 1.0  # should anything have slipped through
APPLIED_WITHIN_S = 2.0  # systemd sets a limit in its next round, some ms later
BEGUN_WITHIN_S = 20.0


class Control:
    def __init__(self, units: Units) -> None:
        self.units = units
        units.ending = self.see_ending

    async def stop(self, uid: str, grace_s: float) -> None:
        """systemd counts a grace up to the run's own; a longer one is counted here."""
        self.units.connected()
        run = self.units.find(uid)
        if run is None:
            return
        kill_at = asyncio.get_running_loop().time() + max(grace_s, 0.0)
        first = not (run.is_stopped or run.is_timed_out)
        if run.is_stopped and run.kill_at is not None and run.kill_at <= kill_at:
            return  # asked already, and sooner
        kill_clock = time.clock_gettime(time.CLOCK_BOOTTIME) + max(grace_s, 0.0)
        self.units.note(run, stopped=True, kill_clock=kill_clock)
        self.kill_by(run, kill_at)
        if not await self._has_begun(run):
            return
        await self._thaw(run)
        if first and grace_s <= run.facts["grace_s"]:
            await self._tell(run, "StopUnit", "ss", run.unit, "replace")
        elif first:
            await self._ask_politely(run)

    async def _ask_politely(self, run: UnitRun) -> None:
        for number in (signal.SIGTERM, signal.SIGCONT):
            await self._tell(run, "KillUnit", "ssi", run.unit, "all", int(number))

    def kill_by(self, run: UnitRun, at: float) -> None:
        """End all of it at this moment of the loop's time, or sooner if so asked."""
        run.kill_at = at if run.kill_at is None else min(at, run.kill_at)
        if run.kill_timer is not None:
            run.kill_timer.cancel()
        loop = asyncio.get_running_loop()
        run.kill_timer = loop.call_at(run.kill_at, self._kill_now, run)

    async def resume(self, run: UnitRun) -> None:
        """Go on with a stop, or a grace, that an earlier process began."""
        self._count_grace(run)
        if run.is_stopped and run.seen.get("ActiveState") == "active":
            await self._thaw(run)
            await self._ask_politely(run)

    def _count_grace(self, run: UnitRun) -> None:
        clock = run.facts.get("kill_clock")
        if clock is not None and not run.is_over:
            left_s = clock - time.clock_gettime(time.CLOCK_BOOTTIME)
            self.kill_by(run, asyncio.get_running_loop().time() + max(left_s, 0.0))

    def see_ending(self, run: UnitRun) -> None:
        """systemd is ending it: for its time limit, or what its program left."""
        if run.group.is_frozen():  # and so would be its record
            self.units.spawn(self._thaw(run))
        if run.reached_its_limit and not run.is_timed_out and not run.is_stopped:
            kill_clock = time.clock_gettime(time.CLOCK_BOOTTIME) + run.facts["grace_s"]
            self.units.note(run, timed_out=True, kill_clock=kill_clock)
            self._count_grace(run)
        if run.left_something:
            self.units.spawn(self._kill(run))

    def _kill_now(self, run: UnitRun) -> None:
        if not run.is_over:
            loop = asyncio.get_running_loop()
            run.kill_timer = loop.call_later(KILL_AGAIN_S, self._kill_now, run)
            self.units.spawn(self._kill(run))

    async def _kill(self, run: UnitRun) -> None:
        """SIGKILL to all of it, unless only its record is being written."""
        if not await self._has_begun(run) or run.seen.get("SubState") == "stop-post":
            return
        run.see_counters()
        if not run.group.end_all():
            number = int(signal.SIGKILL)
            await self._tell(run, "KillUnit", "ssi", run.unit, "all", number)

    async def signal(self, uid: str, number: int) -> None:
        run = self.units.find(uid)
        if run is not None and await self._has_begun(run):
            await self._tell(run, "KillUnit", "ssi", run.unit, "all", number)

    async def freeze(self, uid: str) -> None:
        run = self.units.find(uid)
        if run is None or not await self._has_begun(run) or run.is_stopped:
            return
        if self.units.hierarchies.is_pure():
            await self._tell(run, "FreezeUnit", "s", run.unit)
        await run.group.freeze()  # systemd cannot on a mixed machine

    async def thaw(self, uid: str) -> None:
        run = self.units.find(uid)
        if run is not None and await self._has_begun(run):
            await self._thaw(run)

    async def _thaw(self, run: UnitRun) -> None:
        if self.units.hierarchies.is_pure():
            await self._tell(run, "ThawUnit", "s", run.unit)
        run.group.thaw()

    async def memory_group(self, uid: str) -> str | None:
        """Where the kernel counts its memory; None when it is over."""
        run = self.units.find(uid)
        if run is None or not await self._has_begun(run) or run.is_stopped:
            return None
        stat = run.group.file("memory", "memory.stat", "memory.stat")
        return stat.removesuffix("/memory.stat")

    async def relimit(self, uid: str, limits: Limits) -> None:
        """Raises BadSpec when the memory in use does not fit."""
        run = self.units.find(uid)
        if run is None or not await self._has_begun(run):
            return
        most, before = limits.memory_bytes, run.limits
        held = run.group.held_bytes()
        if most is not None and held > most:
            raise BadSpec(f"{held} bytes of memory are in use, more than {most}")
        await self._cap(run, limits)
        if not await self._is_capped(run, most):
            await self._cap(run, before)
            raise BadSpec(f"the kernel refuses a memory cap of {most} bytes")
        run.group.cap_swap(most)
        run.output.output_bytes = limits.output_bytes
        self.units.note(run, limits=asdict(limits))

    async def _cap(self, run: UnitRun, limits: Limits) -> None:
        run.group.cap_swap(None)
        try:
            await self.units.connected().set_properties(run.unit, caps(limits))
        except Refusal as refusal:
            if refusal.name != "NoSuchUnit":
                raise BadSpec(f"systemd refuses these limits: {refusal}") from None

    async def _is_capped(self, run: UnitRun, most_bytes: int | None) -> bool:
        until = time.monotonic() + APPLIED_WITHIN_S
        while not run.is_over and not run.group.has_memory_cap(most_bytes):
            if time.monotonic() > until:
                return False
            await asyncio.sleep(0.002)
        return True

    async def usage(self, uid: str) -> Usage | None:
        run = self.units.find(uid)
        if run is None or not await self._has_begun(run):
            return None
        return run.group.usage()

    async def _has_begun(self, run: UnitRun) -> bool:
        """Wait until systemd has started it. Returns whether it lives."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(run.settled.wait(), BEGUN_WITHIN_S)
        return not run.is_over

    async def _tell(
        self, run: UnitRun, member: str, signature: str, *body: object
    ) -> None:
        """Silent when the unit is over by now."""
        with contextlib.suppress(Refusal):
            await self.units.connected().call(member, signature, *body)
