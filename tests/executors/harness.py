"""What the executor tests share: start programs, await what happens, look outside."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Any, NoReturn

import pytest

from agents.executors.base import (
    Ended,
    Happening,
    LaunchSpec,
    Mount,
    NotStarted,
    Started,
)
from agents.executors.process import ProcessExecutor
from tests.waiting import wait_for

PYTHON = os.path.dirname(os.path.realpath(sys.executable))  # python3, and no shim of it
ENV = {"PATH": f"{PYTHON}:{os.environ['PATH']}"}
WITHIN_S = 30.0


def lacks(what: str, reason: str) -> NoReturn:
    """Skip a test for want of a part of the machine; in CI every part is there."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{what}: {reason}")


class Bench:
    """One executor, the runs a test starts on it, and what the log said so far."""

    def __init__(
        self, executor: Any, folder: Path, *, environment: str = "subprocess"
    ) -> None:
        self.executor = executor
        self.environment = environment
        self.folder = folder
        self.offset = 0
        self.seen: list[Happening] = []

    def spec(
        self, *argv: str, uid: str = "", token: int = 1, **more: Any
    ) -> LaunchSpec:
        uid = uid or uuid.uuid4().hex
        more.setdefault("env", ENV)
        more.setdefault("environment", self.environment)
        return LaunchSpec(uid, token, argv, self.folder / uid, **more)

    def needs(self, *fields: str) -> Bench:
        """Itself, where the environment can do all of that; else the test is skipped
        with the environment's own reason. In CI each can."""
        can = self.executor.capabilities()[self.environment]
        for name in fields:
            if not getattr(can, name):
                lacks(f"{self.environment}, {name}", str(can.missing.get(name)))
        return self

    def start(self, *argv: str, **more: Any) -> str:
        """Start a program and return its uid."""
        spec = self.spec(*argv, **more)
        self.executor.start([spec])
        return spec.uid

    def run(self, *argv: str, **more: Any) -> Ended:
        return self.ended(self.start(*argv, **more))

    def python(self, code: str, **more: Any) -> str:
        return self.start("python3", "-S", "-c", code, **more)

    def read(self) -> list[Happening]:
        found, self.offset = self.executor.read(self.offset, most_bytes=1 << 20)
        self.seen += found
        return self.seen

    def happened(self, kind: type, uid: str) -> Any:
        def look() -> Any:
            for one in self.read():
                if isinstance(one, kind) and one.uid == uid:
                    return one
            self.executor.wait(0.1)
            return None

        return wait_for(look, timeout_s=WITHIN_S, every_s=0)

    def started(self, uid: str) -> Started:
        found: Started = self.happened(Started, uid)
        return found

    def ended(self, uid: str) -> Ended:
        found: Ended = self.happened(Ended, uid)
        return found

    def not_started(self, uid: str) -> NotStarted:
        found: NotStarted = self.happened(NotStarted, uid)
        return found

    def pid(self, uid: str) -> int:
        return int(self.started(uid).handle["pid"])

    def text(self, uid: str, name: str = "out") -> str:
        return (self.folder / uid / name).read_text()

    def says(self, uid: str, text: str) -> None:
        """Wait until the program has written `text` to its output."""
        path = self.folder / uid / "out"
        wait_for(lambda: path.exists() and text in path.read_text(), timeout_s=WITHIN_S)


def shared(tmp_path: Path) -> Mount:
    """A folder that runs of every jail may write to."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return Mount(str(folder), "/shared", read_only=False)


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def processes_of(uids: set[str]) -> dict[int, str]:
    """pid -> uid of every living process whose environment names one of the runs."""
    found = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError):
            env = Path(f"/proc/{int(entry)}/environ").read_bytes().split(b"\0")
            names = [v[8:].decode() for v in env if v.startswith(b"KOS_RUN=")]
            if names and names[0].rpartition("/")[0] in uids and is_alive(int(entry)):
                found[int(entry)] = names[0].rpartition("/")[0]
    return found


def clean_up(executor: ProcessExecutor) -> None:
    """End what a test left running, then holder and guard; by their pids at worst."""
    about = executor.about()
    for uid in executor.alive():
        executor.stop(uid, grace_s=0)
    wait_for(lambda: not executor.alive(), timeout_s=WITHIN_S)
    executor.shut_down()
    executor.close()
    try:
        wait_for(lambda: not is_alive(about["guard"]), timeout_s=WITHIN_S)
    except AssertionError:
        for pid in (about["guard"], about["pid"]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        raise
