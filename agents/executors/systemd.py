"""The `systemd` executor: each run is a transient service, held by systemd itself.

systemd keeps the caps, the time limit and the grace, and ends all of a run, whether
this process lives or not. This side only asks and listens over D-Bus, in its own
thread.
"""

from __future__ import annotations

import asyncio
import os
import threading
import zlib
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from agents.executors import engine_log, reclaim
from agents.executors.base import (
    BadSpec,
    Capabilities,
    Happening,
    LaunchSpec,
    Limits,
    Reclaimed,
    Unavailable,
    Usage,
)
from agents.executors.engine_log import EngineLog
from agents.executors.guests import Guests
from agents.executors.jail_init import Refused
from agents.executors.spawn import user_number
from agents.executors.systemd_bus import tell_trouble
from agents.executors.systemd_engine import Engine
from agents.executors.systemd_groups import Hierarchies
from agents.executors.systemd_launch import check
from agents.executors.systemd_units import RUN_AS_NEEDS

T = TypeVar("T")
ANSWER_WITHIN_S = 60.0
WITHOUT = {
    "disk": "a unit has no disk of its own: use docker or sandbox",
    "usage_network": "a unit shares the machine's network: use docker or sandbox",
    "rate_network": "a unit shares the machine's network: use docker or sandbox",
    "private_network": "a unit shares the machine's network: use docker or sandbox",
    "private_files": "a unit sees the machine's files: use docker or sandbox",
    "gpus": "a unit sees every device of its user: use docker or sandbox",
}


class SystemdExecutor:
    """Runs of one node as units of one systemd.

    `folder` is the executor's own; runs live elsewhere. `bus` is "system" (the
    machine's systemd: the node must be root, or allowed to manage units), "user" (that
    of the node's own user) or an address: "unix:path=/run/dbus/system_bus_socket".
    """

    name: ClassVar[str] = "systemd"
    environments: ClassVar[tuple[str, ...]] = ("systemd",)

    def __init__(
        self, folder: Path, *, bus: str = "system", guests: Guests | None = None
    ) -> None:
        """`guests`: where programs say how they are; None: nowhere."""
        self.folder = Path(folder).absolute()
        self.bus = bus
        self.guests = guests
        self._lock = threading.RLock()
        self._log: EngineLog | None = None
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._read_up_to = 0

    # -- the executor -----------------------------------------------------------------

    def ensure(self) -> None:
        with self._lock:
            if self._thread is None:
                self._begin()
            engine = self._engine
        assert engine is not None
        self._do(engine.up())

    def capabilities(self) -> Mapping[str, Capabilities]:
        """Absent while there is no connection."""
        engine = self._engine
        if engine is None or engine.units.bus is None:
            return {}
        is_system = not engine.units.is_users
        return {"systemd": _capabilities(engine.units.hierarchies, is_system)}

    def absent(self) -> Mapping[str, str]:
        return {}  # ensure() says why, when it raises

    def start(self, specs: Sequence[LaunchSpec]) -> None:
        for spec in specs:
            check(spec)
        self._do(self._start([self._with_voice(spec) for spec in specs]))

    def stop(self, uid: str, *, grace_s: float) -> None:
        self._do(self._up().control.stop(uid, grace_s))

    def signal(self, uid: str, number: int) -> None:
        self._do(self._up().control.signal(uid, int(number)))

    def freeze(self, uid: str) -> None:
        self._do(self._up().control.freeze(uid))
        if self.guests is not None:
            self.guests.rest(uid, on=True)

    def reclaim(self, uid: str) -> Reclaimed | None:
        group = self._do(self._up().control.memory_group(uid))
        return None if group is None else reclaim.reclaim(group)

    def thaw(self, uid: str) -> None:
        self._do(self._up().control.thaw(uid))
        if self.guests is not None:
            self.guests.rest(uid, on=False)

    def relimit(self, uid: str, limits: Limits) -> None:
        self._do(self._up().control.relimit(uid, limits))

    def retime(self, uid: str, *, at: float) -> None:
        if uid in self.alive():
            raise BadSpec("systemd keeps the time limit that a unit began with")

    def usage(self, uid: str) -> Usage | None:
        return self._do(self._up().control.usage(uid))

    def alive(self) -> dict[str, int]:
        return self._up().log.alive()

    def read(self, offset: int, *, most_bytes: int) -> tuple[list[Happening], int]:
        self._read_up_to = max(self._read_up_to, offset)
        return engine_log.read(self.folder, offset, most_bytes=most_bytes)

    def wait(self, timeout_s: float) -> None:
        log = self._log
        if log is None:
            raise Unavailable("the systemd executor was not started: call ensure()")
        log.acknowledge(self._read_up_to)
        log.wait(timeout_s)

    # -- beyond the protocol ----------------------------------------------------------

    def close(self) -> None:
        """Let go of systemd and of the log. Nothing that runs is touched."""
        with self._lock:
            loop, thread, log = self._loop, self._thread, self._log
            self._loop = self._thread = self._log = self._engine = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
        if log is not None:
            log.close()

    # -- the thread -------------------------------------------------------------------

    def _begin(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        node = f"{zlib.crc32(os.fsencode(self.folder)):08x}"
        log = EngineLog(self.folder)
        if self.guests is not None:
            log.ended = self.guests.close
            self.guests.keep(log.alive())
        loop = asyncio.new_event_loop()
        made: Future[Engine] = Future()
        thread = threading.Thread(
            target=self._live, args=(loop, node, log, made), name="systemd", daemon=True
        )
        thread.start()
        self._engine, self._loop, self._thread = made.result(), loop, thread
        self._log = log

    def _live(
        self,
        loop: asyncio.AbstractEventLoop,
        node: str,
        log: EngineLog,
        made: Future[Engine],
    ) -> None:
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(tell_trouble)
        engine = loop.run_until_complete(self._make_engine(node, log))
        made.set_result(engine)
        loop.run_forever()
        loop.run_until_complete(engine.close())
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()

    async def _make_engine(self, node: str, log: EngineLog) -> Engine:
        return Engine(node, str(self.folder), self.bus, log)

    def _up(self) -> Engine:
        engine = self._engine
        if engine is None:
            raise Unavailable("the systemd executor was not started: call ensure()")
        return engine

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it done in the loop's thread. Raises what it raises, and Unavailable."""
        loop = self._loop
        if loop is None:
            work.close()
            raise Unavailable("the systemd executor was not started: call ensure()")
        try:
            return asyncio.run_coroutine_threadsafe(work, loop).result(ANSWER_WITHIN_S)
        except TimeoutError:
            raise Unavailable("systemd does not answer") from None

    def _with_voice(self, spec: LaunchSpec) -> LaunchSpec:
        """With the way to its socket in its environment."""
        log = self._log
        if self.guests is None or log is None:
            return spec
        if log.over.get(spec.uid, -1) >= spec.token:
            return spec  # it will not be started
        try:
            user = spec.run_as or self._up().units.user
            owner = os.geteuid() if user is None else user_number(user)
        except Refused:
            return spec  # the start says why
        voice = self.guests.open(spec, owner=owner, by_path=True)
        return replace(spec, env={**spec.env, "NOTIFY_SOCKET": voice["path"]})

    async def _start(self, specs: Sequence[LaunchSpec]) -> None:
        units = self._up().units
        units.connected()
        try:
            for spec in specs:
                units.start(spec)
        except OSError as error:
            raise Unavailable(f"the log cannot be written: {error}") from error


def _capabilities(groups: Hierarchies, is_system: bool) -> Capabilities:
    can_cap = {
        name: groups.has(name) and (is_system or name not in groups.v1)
        for name in ("memory", "cpu", "pids")
    }
    is_root = os.geteuid() == 0
    can_freeze = bool(groups.unified) and (is_root or not is_system)  # else not ours
    why_no_cap = "systemd here cannot limit it: no control group of this kind for us"
    missing_caps = [name for name, can in can_cap.items() if not can]
    missing = dict.fromkeys(missing_caps, why_no_cap)
    missing |= WITHOUT
    if missing_caps:
        missing["relimit"] = f"not all limits hold: without {', '.join(missing_caps)}"
    if not can_freeze:
        missing["freeze"] = (
            "it needs control groups v2, and root or a systemd of one's own"
        )
    if not (is_root and is_system):
        missing["run_as"] = RUN_AS_NEEDS
    if why := reclaim.why_not(has_group=can_cap["memory"]):
        missing["reclaim"] = why
    return Capabilities(
        reclaim=not why,
        memory=can_cap["memory"],
        cpu=can_cap["cpu"],
        pids=can_cap["pids"],
        open_files=True,
        output=True,
        freeze=can_freeze,
        relimit=not missing_caps,
        kill_all=True,
        run_as=is_root and is_system,
        offline_limit=True,
        missing=missing,
    )
