"""A real systemd for tests, and how its processes are seen from outside of it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from agents.executors.systemd import SystemdExecutor
from tests.executors.harness import WITHIN_S, Bench
from tests.waiting import wait_for

BOOT = Path(__file__).with_name("boot_systemd")
ENDS_WITH_US = ["setpriv", "--pdeathsig", "KILL"]
CGROUPS = Path("/sys/fs/cgroup")


def what_is_missing() -> str:
    """Why no systemd can be booted here; "" when it can."""
    if os.geteuid() != 0:
        return "only root may boot a systemd in a namespace"
    lacks = [name for name in ("systemd", "dbus-daemon") if not shutil.which(name)]
    if not Path("/lib/systemd/systemd").exists() and "systemd" not in lacks:
        lacks.append("systemd")
    return f"not installed: {', '.join(lacks)}" if lacks else ""


class SystemdHost:
    """One booted systemd. `bus` is what the executor is given."""

    def __init__(self, folder: Path, mode: str = "hybrid") -> None:
        self.folder = folder
        self.socket = folder / "run" / "dbus" / "system_bus_socket"
        self.bus = f"unix:path={self.socket}"
        folder.mkdir(parents=True)
        with (folder / "said").open("wb") as said:
            self.booted = subprocess.Popen(
                [*ENDS_WITH_US, str(BOOT), str(folder), mode],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        wait_for(self._answers, timeout_s=WITHIN_S)

    def _answers(self) -> bool:
        assert self.booted.poll() is None, (self.folder / "said").read_text()
        if not self.socket.exists():
            return False
        executor = SystemdExecutor(self.folder / "first", bus=self.bus)
        with contextlib.suppress(Exception):
            executor.ensure()
            executor.close()
            return True
        executor.close()
        return False

    @property
    def cgroup(self) -> str:
        return (self.folder / "cgroup").read_text().strip()

    def processes(self) -> list[int]:
        """Its own and all it started, as numbered out here."""
        found: set[int] = set()
        for home in self._homes():
            for group, _, _ in os.walk(home):
                with contextlib.suppress(OSError):
                    procs = Path(group, "cgroup.procs").read_text()
                    found |= {int(pid) for pid in procs.split()}
        return sorted(found - {self.booted.pid})

    def named(self, name: str) -> list[int]:
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text().strip() == name:
                    found.append(pid)
        return found

    def outer(self, pid: int) -> int:
        """What a process that it numbers `pid` is out here; 0 when it is gone."""
        for candidate in self.processes():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{candidate}/status").read_text()
                numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
                if len(numbers) > 1 and int(numbers[-1]) == pid:
                    return candidate
        return 0

    def end(self) -> None:
        """SIGKILL to its process 1 takes everything with it."""
        for pid in [self.outer(1), self.booted.pid]:
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.booted.wait(WITHIN_S)
        wait_for(self._is_swept, timeout_s=WITHIN_S)

    def _is_swept(self) -> bool:
        for home in self._homes():
            for group, _, _ in os.walk(home, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(group)
        return not self._homes()

    def _homes(self) -> list[Path]:
        places = [CGROUPS, *CGROUPS.iterdir()]
        return [
            place / self.cgroup for place in places if (place / self.cgroup).is_dir()
        ]


def boot_or_skip(folder: Path, mode: str = "hybrid") -> SystemdHost:
    """Outside of CI a machine may lack it: then the reason is printed."""
    if why := what_is_missing():
        if os.environ.get("CI"):
            pytest.fail(f"systemd: {why}")
        pytest.skip(f"systemd: {why}")
    return SystemdHost(folder, mode)


class SystemdBench(Bench):
    """A bench whose process ids are those of out here."""

    def __init__(self, host: SystemdHost, executor: SystemdExecutor, runs: Path):
        super().__init__(executor, runs, environment="systemd")
        self.host = host

    def pid(self, uid: str) -> int:
        return self.host.outer(super().pid(uid))


def end_runs(executor: SystemdExecutor) -> None:
    """End what a test left running."""
    executor.ensure()
    for uid in executor.alive():
        executor.stop(uid, grace_s=0)
    wait_for(lambda: not executor.alive(), timeout_s=WITHIN_S)
    executor.close()
