"""The runs a node has with systemd: asked for, started, heard of, told as ended.

Used in the event loop's thread only. It may be killed at any moment: a unit goes on
without it, and how it ended stays with systemd or in the run's folder until the log has
it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from functools import partial
from typing import Any

from agents.executors import spawn
from agents.executors.base import Ended, LaunchSpec, NotStarted, Unavailable
from agents.executors.engine_log import EngineLog
from agents.executors.holder_log import boot_id
from agents.executors.jail_init import Refused
from agents.executors.systemd_bus import Bus, Changed, Event, JobOver, Refusal, Removed
from agents.executors.systemd_groups import Group, Hierarchies
from agents.executors.systemd_launch import hand_over, program_of
from agents.executors.systemd_run import OVER, UnitRun
from agents.executors.systemd_unit import (
    SLICE,
    Launch,
    is_unit_of,
    properties,
    unit_name,
)

AT_ONCE = 32  # starts that systemd works on; more would only queue there
SAY_AGAIN_S = 1.0  # after the disk refused the log
RUN_AS_NEEDS = "only root's systemd runs programs as another user"
MAY_NOT = frozenset({"AccessDenied", "InteractiveAuthorizationRequired"})


class Units:
    """`bus` is None while there is no connection; `trouble` says why."""

    def __init__(self, node: str, folder: str, log: EngineLog) -> None:
        self.node = node
        self.folder = folder
        self.log = log
        self.bus: Bus | None = None
        self.trouble = "not connected to systemd yet"
        self.compared = asyncio.Event()  # systemd and log, over this connection
        self.boot = boot_id()
        self.hierarchies = Hierarchies()
        self.root = ""  # the manager's own control group
        self.inherited: list[str] = []  # names in the environment it would pass on
        self.user: str | None = None  # whom runs belong to unless they say
        self.is_users = False  # a user's systemd, not the machine's
        self.runs: dict[str, UnitRun] = {}  # by unit
        self.ending: Callable[[UnitRun], None] = lambda run: None  # see Control
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    def connected(self) -> Bus:
        """Raises Unavailable."""
        if self.bus is None:
            raise Unavailable(self.trouble)
        return self.bus

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def find(self, uid: str) -> UnitRun | None:
        """The run of this uid that is not over."""
        logged = self.log.runs.get(uid)
        if logged is None:
            return None
        return self.runs.get(unit_name(self.node, uid, logged.token))

    # -- starting ---------------------------------------------------------------------

    def start(self, spec: LaunchSpec) -> None:
        """Have it started, or say why not; silent when this attempt was dealt with."""
        if not self._is_due(spec):
            return
        folder = str(spec.folder)
        try:
            is_new = spawn.make_folder(folder)
            if not is_new and spawn.highest_attempt(folder) > spec.token:
                return self._refuse(spec, "a later attempt was started here")
            self._begin(spec)
        except spawn.RanAlready:  # and our log has forgotten how it ended
            self.lose(spec.uid, spec.token)
        except (Refused, OSError, ValueError) as error:
            self._refuse(spec, str(error))

    def _is_due(self, spec: LaunchSpec) -> bool:
        return self.log.is_due(spec.uid, spec.token, partial(self._refuse, spec))

    def _begin(self, spec: LaunchSpec) -> None:
        unit = unit_name(self.node, spec.uid, spec.token)
        user = spec.run_as or self.user
        facts: dict[str, Any] = {
            "folder": str(spec.folder),
            "limits": asdict(spec.limits),
            "time_limit_s": spec.time_limit_s,
            "grace_s": spec.grace_s,
            "user": user,
            "boot": self.boot,
            "program": "",
        }
        refused: Exception | None = None
        try:
            facts["program"] = program_of(spec)
            if spec.run_as and (self.is_users or self.user is not None):
                raise Refused(f"cannot run as {spec.run_as}: {RUN_AS_NEEDS}")
            hand_over(spec, user)
        except (Refused, OSError) as error:
            refused = error  # once we know that it is not an old attempt
        self.log.ask(spec.uid, spec.token, facts)
        fence = f"{self.folder}/attempt"
        spawn.mark_attempt(str(spec.folder), spec.token, fence=fence, durable=False)
        if refused is not None:
            raise refused
        run = self.hold(unit, spec.uid, spec.token, facts)
        launch = Launch(
            unit, spec, facts["program"], user, run.group.counters(), self.inherited
        )
        run.asked = properties(launch)
        self.spawn(self.ask(run))

    def hold(self, unit: str, uid: str, token: int, facts: dict[str, Any]) -> UnitRun:
        group = Group(self.hierarchies, f"{self.root}/{SLICE}/{unit}")
        run = self.runs[unit] = UnitRun(unit, uid, token, facts, group)
        return run

    async def ask(self, run: UnitRun) -> None:
        """Have systemd start it. When the connection breaks over it, connecting again
        finds out what became of it."""
        async with self._turn:
            await self.compared.wait()
            if run.is_over or run.asked is None:
                return
            if run.is_stopped:
                return self.never(run, "stopped before it was started")
            bus = self.bus
            try:
                await self.connected().start_unit(run.unit, run.asked)
            except Unavailable:
                if bus is not None:
                    bus.close()
                return
            except Refusal as refusal:
                if refusal.name != "UnitExists":
                    return self.never(run, _why_refused(refusal))
                run.asked = None
                return await self._meet(run)
            run.asked = None

    async def _meet(self, run: UnitRun) -> None:
        """Its name is taken: by its own unit, whose start we did not hear of?"""
        with contextlib.suppress(Refusal, Unavailable):
            service = await self.connected().properties(run.unit, "Service")
            if not is_unit_of(service, run.uid, run.token):
                return self.never(run, f"another unit has the name {run.unit}")
        await self.learn(run)

    async def learn(self, run: UnitRun, *, has_job: bool = False) -> None:
        """Take in what systemd knows of a unit we did not follow. One that neither
        lives nor has a job is over, however little is known of it."""
        try:
            for interface in ("Unit", "Service"):
                run.take(await self.connected().properties(run.unit, interface))
            has_job = has_job or run.seen.get("Job", [0])[0] != 0
        except Refusal:  # it went meanwhile
            run.take({"ActiveState": "inactive"})
            has_job = False
        except Unavailable:
            return  # the next connect learns it
        if run.seen.get("ActiveState") in OVER and not has_job:
            run.has_begun = True
        self.look(run)

    # -- hearing ----------------------------------------------------------------------

    def hear(self, event: Event) -> None:
        run = self.runs.get(event.unit)
        if run is None:
            return
        match event:
            case Changed(_, changed):
                run.take(changed)
                if "ActiveState" in changed:
                    self.look(run)
            case JobOver(_, result):
                self._see_job(run, result)
            case Removed():  # a reload says so of every unit: ask
                self.spawn(self.learn(run))

    def _see_job(self, run: UnitRun, result: str) -> None:
        """A start, or a stop that came before it, was dealt with."""
        if result == "done" and not run.has_ended:
            run.has_begun = run.has_run = True
            self._say(run)
        elif result == "assert":  # its record is there: it ended long ago
            run.has_begun = True
            self.finish(run)
        elif not run.has_begun:
            self.spawn(self._see_no_start(run, result))

    async def _see_no_start(self, run: UnitRun, result: str) -> None:
        """A job came to nothing, and as far as we heard its program never began."""
        await self.learn(run, has_job=True)
        if not run.is_over and not run.has_begun:
            self.never(run, _why_no_job(run, result))

    def look(self, run: UnitRun) -> None:
        """Do what the unit's state asks for."""
        if run.is_over:
            return
        if run.has_ended:
            return self.finish(run)
        if run.has_run:
            self._say(run)
        if run.seen.get("ActiveState") == "deactivating":
            self.ending(run)

    def finish(self, run: UnitRun) -> None:
        """Write its end and let systemd forget it. When the disk refuses: later."""
        if run.is_over:
            return
        try:
            run.tell_end(self.log)
        except OSError:
            return self._later(self.finish, run)
        self.runs.pop(run.unit, None)
        self.spawn(self.forget(run.unit, run.record))

    def never(self, run: UnitRun, reason: str) -> None:
        try:
            run.tell_never(self.log, reason)
        except OSError:
            asyncio.get_running_loop().call_later(
                SAY_AGAIN_S, lambda: self.never(run, reason)
            )
            return
        self.runs.pop(run.unit, None)

    def lose(self, uid: str, token: int) -> None:
        self.log.say(Ended(uid, token, time.time_ns(), None, None, lost=True))

    def note(self, run: UnitRun, **facts: Any) -> None:
        run.facts.update(facts)
        with contextlib.suppress(OSError):  # the log is full: we know it, at least
            self.log.note(run.uid, run.token, **facts)

    async def forget(self, unit: str, record: str | None = None) -> None:
        """The log has its end: nobody else need keep it."""
        with contextlib.suppress(Refusal, Unavailable):
            await self.connected().call("ResetFailedUnit", "s", unit)
        if record is not None:
            with contextlib.suppress(OSError):
                os.unlink(record)

    def _say(self, run: UnitRun) -> None:
        """That it started."""
        if not run.settled.is_set():
            try:
                run.tell_started(self.log)
            except OSError:
                return self._later(self._say, run)
            run.group.cap_swap(run.limits.memory_bytes)

    def _refuse(self, spec: LaunchSpec, reason: str) -> None:
        said = " ".join(reason.split())
        self.log.say(NotStarted(spec.uid, spec.token, time.time_ns(), said))

    def _later(self, step: Callable[[UnitRun], None], run: UnitRun) -> None:
        asyncio.get_running_loop().call_later(SAY_AGAIN_S, step, run)


def _why_no_job(run: UnitRun, result: str) -> str:
    if run.is_stopped:
        return "stopped before it was started"
    return f"systemd did not start it: {result}"


def _why_refused(refusal: Refusal) -> str:
    if refusal.name in MAY_NOT:
        return (
            f"systemd does not let this user start units ({refusal}): run the node as "
            "root, or with the user's own systemd"
        )
    return f"systemd refused it: {refusal}"
