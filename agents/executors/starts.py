"""From a request to a running program, at most once for each (uid, token)."""

from __future__ import annotations

import json
import os
import time
from typing import Any

from agents import crash_points
from agents.executors import abilities, children, sandbox, spawn
from agents.executors.endings import Endings
from agents.executors.held import Run
from agents.executors.holder_log import Log
from agents.executors.live import LIMITS, own_limits
from agents.executors.ready_folders import ReadyFolders
from agents.executors.spawn import RanAlready
from agents.executors.state import State

IN_INTENT = (
    "folder",
    "slot",
    "slot_cpu_s",
    "slot_ooms",
    "time_limit_s",
    "grace_s",
    "output_bytes",
    "open_files",
    "jailed",
    "cpu",
    "intent_at",
    "notify",
    "notify_user",
    "watchdog_s",
    "watchdog_waits",
)


MOST_SETTLING = max(8, 4 * (os.cpu_count() or 1))
FACTS: dict[str, tuple[type, ...]] = {
    "uid": (str,),
    "token": (int,),
    "argv": (list,),
    "folder": (str,),
    "work": (str,),
    "env": (dict,),
    **LIMITS,
    "time_limit_s": (int, float, type(None)),
    "grace_s": (int, float),
    "run_as": (str, type(None)),
    "environment": (str,),
    "mounts": (list,),
    "network": (str,),
    "image": (str,),
    "gpus": (list,),
    "disk": (int, type(None)),
    "watchdog_s": (int, float, type(None)),
    "watchdog_waits": (bool,),
}


def check(spec: dict[str, Any]) -> None:
    """Raises TypeError or KeyError for what could trip us later."""
    check_kinds({"work": "", **spec}, FACTS)
    if "given" in spec:
        check_kinds(spec["given"], {"env": (dict,), "files": (dict,)})
    if not spec["uid"].isascii() or len(spec["uid"].split()) != 1:
        raise TypeError(f"not a uid: {spec['uid']!r}")


def check_kinds(said: dict[str, Any], facts: dict[str, tuple[type, ...]]) -> None:
    for name, kinds in facts.items():
        if not isinstance(said[name], kinds):
            raise TypeError(f"{name} cannot be {said[name]!r}")


def owner_of(spec: dict[str, Any], euid: int) -> int:
    """The user whose program it will be, as seen from out here. Raises Refused."""
    if euid == 0 and spec["environment"] == "sandbox":
        return sandbox.USER
    if spec["run_as"] and spec["environment"] != "sandbox":
        return spawn.user_number(spec["run_as"])
    return euid


class Starts:
    def __init__(self, log: Log, state: State, endings: Endings) -> None:
        self.log = log
        self.state = state
        self.endings = endings
        self.groups = state.groups
        self.open_files = spawn.OpenFiles()
        self.ready = ReadyFolders(state.folder)

    def capabilities(self) -> dict[str, dict[str, Any]]:
        jails = self.state.jails
        jails.find_out()
        return abilities.of_environments(self.groups.capabilities(), jails.tool)

    def absent(self) -> dict[str, str]:
        """Why an environment does not work here, by its name."""
        why_not = self.state.jails.why_not
        return {"sandbox": why_not} if why_not else {}

    def must_wait(self, spec: dict[str, Any]) -> bool:
        """Whether enough jails are being made already: a thousand at once would take
        the memory and the processors from what runs."""
        full = len(self.state.settling) >= MOST_SETTLING
        return full and bool(spec["environment"] == "sandbox")

    def refuse(self, spec: dict[str, Any], reason: str) -> None:
        said = " ".join(reason.split())
        line = f"F {spec['uid']} {spec['token']} {time.time_ns()} {said}"
        self.log.note(line)

    def start(self, spec: dict[str, Any], *, durable: bool) -> None:
        """Start it, or say why not; silent when this very attempt was dealt with."""
        if not self._is_due(spec):
            return
        run = Run(
            uid=spec["uid"],
            token=spec["token"],
            folder=spec["folder"],
            time_limit_s=spec["time_limit_s"],
            grace_s=spec["grace_s"],
            output_bytes=spec["output_bytes"],
            open_files=spec["open_files"],
            jailed=spec["environment"] == "sandbox",
            cpu=spec["cpu"],
            intent_at=time.clock_gettime(time.CLOCK_BOOTTIME),
            watchdog_s=spec["watchdog_s"],
            watchdog_waits=spec["watchdog_waits"],
        )
        try:
            is_new = spawn.make_folder(run.folder, self.ready)
            if not is_new and spawn.highest_attempt(run.folder) > run.token:
                return self.refuse(spec, "a later attempt was started here")
            self._begin(run, spec, durable=durable)
        except RanAlready:  # and our log has forgotten how it ended
            self.state.forget(run)
            stamp = time.time_ns()
            self.log.note(f"E {run.uid} {run.token} {stamp} - l - -")
        except Exception as error:  # no spec may stop the starts of the others
            if run.pid:
                raise  # it runs: whoever comes after us finds it by its intent
            self.state.forget(run)
            self.refuse(spec, str(error))

    def _is_due(self, spec: dict[str, Any]) -> bool:
        uid: str = spec["uid"]
        token: int = spec["token"]
        alive = self.state.runs.get(uid)
        if alive is not None:
            if alive.token != token:
                self.refuse(spec, f"its attempt {alive.token} is still alive")
            return False
        seen = self.state.over.get(uid, -1)
        if seen > token:
            self.refuse(spec, f"a later attempt ({seen}) was started here")
        return seen < token

    def _begin(self, run: Run, spec: dict[str, Any], *, durable: bool) -> None:
        memory, pids = own_limits(run, spec)
        slot = self.groups.take(memory, spec["weight"], pids)
        run.group = slot
        if slot is not None:
            run.slot, run.slot_cpu_s, run.slot_ooms = slot.name, slot.cpu_s, slot.ooms
        try:
            self._give_voice(run, spec)
        except BaseException:
            if slot is not None:
                self.groups.give_back(slot)
            raise
        facts = json.dumps({name: getattr(run, name) for name in IN_INTENT})
        self.state.runs[run.uid] = run
        # killed inside the spawn: the next holder finds out what became of it
        self.log.note(f"I {run.uid} {run.token} {facts}")
        try:
            fence = f"{self.state.folder}/attempt"
            spawn.mark_attempt(run.folder, run.token, fence=fence, durable=durable)
            crash_points.reach("before_spawn")
            run.pid = self._spawn_inside(run, spec)
            crash_points.reach("after_spawn_before_handle")
        except BaseException:
            if slot is not None:
                self.groups.give_back(slot)
            self.state.voices.close(run.uid, run.token)
            raise
        at_ns = time.time_ns()
        seen = children.stat(run.pid)
        run.begun = seen.begun if seen else 0
        self.state.by_pid[run.pid] = run
        if run.jailed:
            self.endings.await_jail(run)
        else:
            self.endings.expect(run, at_ns)

    def _give_voice(self, run: Run, spec: dict[str, Any]) -> None:
        """Its socket, and the way to it in its environment. Raises Refused, OSError."""
        run.notify_user = owner_of(spec, self.state.euid)
        socket = self.state.voices.open(
            run.uid,
            run.token,
            run.notify_user,
            run.watchdog_s,
            waits=run.watchdog_waits,
            by_path=not run.jailed,
        )
        run.notify = socket.name
        if run.jailed:
            spec["notify"] = socket.folder
            spec["env"]["NOTIFY_SOCKET"] = sandbox.NOTIFY_SOCKET
        else:
            spec["env"]["NOTIFY_SOCKET"] = socket.path

    def _spawn_inside(self, run: Run, spec: dict[str, Any]) -> int:
        files = spec["open_files"]
        self.open_files.lend(files)
        try:
            if run.group is not None:
                self.groups.enter(run.group)
            if run.jailed:
                return self.state.jails.spawn(run, spec)
            pid = spawn.spawn(spec, run.name)
        finally:
            if run.group is not None:
                self.groups.leave()
            self.open_files.take_back()
        self.open_files.pin(pid, files)
        return pid
