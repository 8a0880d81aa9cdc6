"""What became of containers, and how it gets into the log: each thing once.

Whoever looks (a start, an event, a reconcile) brings what the engine says now; what is
missing in the log is written, and only then is the container taken away.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agents.executors import children, docker_box, output_cap, spawn
from agents.executors.base import Ended, NotStarted, Started
from agents.executors.docker_box import Status
from agents.executors.docker_engine import TOKEN, UID, Engine, Json
from agents.executors.engine_log import EngineLog, LoggedRun
from agents.executors.held import Run
from agents.executors.jail_init import explain

KILLED = 137  # what Docker says when the init itself was killed: 128 + SIGKILL
Key = tuple[str, int]


class Runs:
    """The runs of one node, by log and engine. Any thread may call any method."""

    def __init__(self, log: EngineLog, engine: Engine, node: str) -> None:
        self.log = log
        self.engine = engine
        self.node = node
        self.starting: set[Key] = set()  # a thread of ours is at it
        self.settling = threading.RLock()
        self.outputs: dict[Key, Run] = {}  # for output_cap
        self.tidy: Callable[[str], None] = self.take_away

    # -- looking ----------------------------------------------------------------------

    def reconcile(self) -> None:
        """Bring log and engine together. Raises Unavailable."""
        asked = {(run.uid, run.token) for run in list(self.log.runs.values())}
        asked -= self.starting
        found = {}
        for container in self.engine.listed(self.node):
            key = key_of(container.get("Labels") or {})
            if self.log.run(*key) is None:
                self.tidy(container["Id"])
            elif key in asked:
                found[key] = container
        for key in asked:
            if key not in self.starting:
                self._settle(key, found.get(key))

    def _settle(self, key: Key, container: Json | None) -> None:
        run = self.log.run(*key)
        if run is None:
            return
        unused = container is not None and container["State"] == "created"
        if container and unused and self.engine.remove(container["Id"]):
            return self._never_began(run)
        seen = self.engine.inspect(container["Id"]) if container else None
        if seen is None:
            return self.gone(run)
        self.see(run, seen)

    def look(self, key: Key, container: str) -> None:
        """An event spoke of it. Raises Unavailable."""
        run = self.log.run(*key)
        if run is None or key in self.starting:
            return
        seen = self.engine.inspect(container)
        if seen is None:
            self.gone(run)
        else:
            self.see(run, seen)

    def see(self, run: LoggedRun, seen: Json) -> None:
        """Write what is new about a run whose container the engine knows."""
        with self.settling:
            state, status = seen["State"], docker_box.read_status(folder_of(run))
            if status.stage == "failed":
                self.refuse(run, _why_failed(run, status), seen["Id"])
            elif not run.started and status.stage:
                self._began(run, seen, status)
            elif not run.started and not is_alive(state):
                said = state.get("Error") or f"it ended with {state.get('ExitCode')}"
                self.refuse(run, f"its init did not start: {said}", seen["Id"])
            if run.started and not is_alive(state):
                removing = state.get("Status") in ("removing", "dead")
                self._over(run, None if removing else state)
                self.tidy(seen["Id"])

    def gone(self, run: LoggedRun) -> None:
        """There is no container of it (any more)."""
        with self.settling:
            status = docker_box.read_status(folder_of(run))
            if not run.started and not status.stage:
                return self._never_began(run)
            if status.stage == "failed":
                return self.refuse(run, _why_failed(run, status))
            if not run.started:
                self.log.say(Started(run.uid, run.token, time.time_ns(), {}))
            self._over(run, None)

    # -- writing ----------------------------------------------------------------------

    def refuse(self, run: LoggedRun, reason: str, container: str = "") -> None:
        """It did not start and never will with this token."""
        said = " ".join(reason.split())
        self.log.say(NotStarted(run.uid, run.token, time.time_ns(), said))
        if container:
            self.tidy(container)

    def _never_began(self, run: LoggedRun) -> None:
        """Whoever was to start it was killed before: it may be asked for again."""
        spawn.unmark_attempt(str(folder_of(run)), run.token)
        self.log.forget(run.uid, run.token)

    def _began(self, run: LoggedRun, seen: Json, status: Status) -> None:
        handle = _handle(seen)
        limit_s = run.facts.get("time_limit_s")
        mono = time.monotonic()
        self.log.note(
            run.uid,
            run.token,
            container=seen["Id"],
            init=seen["State"].get("Pid", 0),
            cpu_before_s=status.cpu_s or 0.0,
            limit_at=None if limit_s is None else mono + limit_s,
        )
        at_ns = _moment_ns(seen["State"].get("StartedAt"))
        self.log.say(Started(run.uid, run.token, at_ns, handle))

    def _over(self, run: LoggedRun, state: Json | None) -> None:
        """Its container has ended; None: it is gone, and only the init can tell."""
        folder = folder_of(run)
        status = docker_box.read_status(folder)
        self.cut_output(run)
        self.outputs.pop((run.uid, run.token), None)
        self.log.say(_ended(run, status, state))

    def cut_output(self, run: LoggedRun) -> None:
        """Keep what it wrote under its cap."""
        key = (run.uid, run.token)
        held = self.outputs.get(key)
        if held is None:
            held = Run(uid=run.uid, token=run.token, folder=str(folder_of(run)))
            self.outputs[key] = held
        held.output_bytes = run.facts.get("output_bytes", 0)
        output_cap.enforce(held)

    def take_away(self, container: str) -> None:
        """Nothing in it is needed any more. What fails now is done by a reconcile."""
        with contextlib.suppress(Exception):
            self.engine.remove(container, force=True)


def key_of(labels: Json) -> Key:
    token = str(labels.get(TOKEN, ""))
    return str(labels.get(UID, "")), int(token) if token.isdecimal() else -1


def folder_of(run: LoggedRun) -> Path:
    return Path(run.facts["folder"])


def is_alive(state: Json) -> bool:
    return bool(state.get("Running")) or state.get("Status") in ("running", "paused")


def _handle(seen: Json) -> dict[str, str | int]:
    """The program is the init's first child."""
    init = int(seen["State"].get("Pid") or 0)
    below = children.below(init) if init else []
    pid = below[0] if below else init
    stat = children.stat(pid) if pid else None
    return {
        "pid": pid,
        "begun": stat.begun if stat else 0,
        "init": init,
        "container": str(seen["Id"]),
    }


def _why_failed(run: LoggedRun, status: Status) -> str:
    program = str(run.facts.get("program", ""))
    if status.what == docker_box.A_FOLDER:
        return f"is a folder, not a program: {program}"
    error = OSError(status.errno, os.strerror(status.errno))
    if isinstance(error, FileNotFoundError) and status.what == docker_box.NOTHING_FOUND:
        return f"no such program: {program}"
    if isinstance(error, PermissionError):
        return f"not executable: {program}"
    return explain(error, program)


def _ended(run: LoggedRun, status: Status, state: Json | None) -> Ended:
    """The init's word first; then the engine's, which cannot tell 128 + n apart."""
    code = number = None
    was_oom = False
    told = {} if status.stage == "ended" else run.facts
    if status.stage == "ended":
        result = os.waitstatus_to_exitcode(status.wait_status)
        code, number = (result, None) if result >= 0 else (None, -result)
        was_oom = bool(_ooms(status, state)) and result != 0
    elif state is not None and state.get("ExitCode") == KILLED:
        number = 9  # the init does not end so by itself: all of it was killed
        was_oom = bool(state.get("OOMKilled"))
    return Ended(
        run.uid,
        run.token,
        _moment_ns((state or {}).get("FinishedAt")),
        exit_code=code,
        signal=number,
        oom_killed=was_oom,
        timed_out=bool(told.get("timed_out", status.timed_out)),
        stopped=bool(run.facts.get("stopped")),
        lost=code is None and number is None,
        cpu_seconds=status.cpu_s if status.stage == "ended" else None,
        peak_memory_bytes=status.peak_bytes,
    )


def _ooms(status: Status, state: Json | None) -> int:
    if status.ooms is not None:
        return status.ooms
    return int(bool(state and state.get("OOMKilled")))


def _moment_ns(said: object) -> int:
    """The engine's time of it; now, when it has none."""
    try:
        at = datetime.fromisoformat(str(said)[:26].rstrip("Z") + "+00:00")
    except ValueError:
        return time.time_ns()
    return int(at.timestamp() * 1e9) if at.year > 1 else time.time_ns()
