"""A machine whose control groups are those of version 2 alone, and without controllers:
systemd freezes by itself, and what cannot be capped is said."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors.systemd import SystemdExecutor
from tests.executors.harness import processes_of
from tests.executors.systemd_host import (
    SystemdBench,
    SystemdHost,
    boot_or_skip,
    end_runs,
)
from tests.executors.test_systemd import show
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def unified_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdHost]:
    host = boot_or_skip(tmp_path_factory.mktemp("unified") / "host", "unified")
    yield host
    host.end()


@pytest.fixture
def bench(
    unified_host: SystemdHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SystemdBench]:
    monkeypatch.setenv("KOS_CGROUPS", "v2")  # as that systemd sees the machine
    executor = SystemdExecutor(tmp_path / "node", bus=unified_host.bus)
    executor.ensure()
    yield SystemdBench(unified_host, executor, tmp_path / "runs")
    end_runs(executor)


def cpu_ticks(pid: int) -> int:
    """Its cgroup has another path out here, so what it uses is asked of the process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_ends_are_told_though_nothing_can_be_capped(bench: SystemdBench) -> None:
    assert bench.run("sh", "-c", "exit 7").exit_code == 7
    assert bench.run("sh", "-c", "kill -9 $$").signal == signal.SIGKILL
    can = bench.executor.capabilities()["systemd"]
    assert (can.memory, can.cpu, can.pids, can.relimit) == (False,) * 4
    assert "no control group" in can.missing["memory"]
    assert can.missing["relimit"]


def test_systemd_itself_freezes_and_thaws(bench: SystemdBench) -> None:
    uid = bench.start("sh", "-c", "echo up; while :; do :; done")
    bench.says(uid, "up")
    unit, pid = str(bench.started(uid).handle["unit"]), bench.pid(uid)
    wait_for(lambda: cpu_ticks(pid) > 5)
    bench.executor.freeze(uid)
    frozen_at = cpu_ticks(pid)
    assert show(bench.host, unit, "Unit")["FreezerState"] == "frozen"
    bench.ended(bench.python("import time\nwhile time.process_time() < .2: pass"))
    assert cpu_ticks(pid) == frozen_at
    bench.executor.thaw(uid)
    wait_for(lambda: cpu_ticks(pid) > frozen_at)
    assert show(bench.host, unit, "Unit")["FreezerState"] == "running"


def test_a_frozen_unit_is_stopped(bench: SystemdBench) -> None:
    uid = bench.start("sh", "-c", "trap '' TERM; echo up; while :; do :; done")
    bench.says(uid, "up")
    bench.executor.freeze(uid)
    bench.executor.stop(uid, grace_s=0.2)
    ended = bench.ended(uid)
    assert (ended.signal, ended.stopped) == (signal.SIGKILL, True)
    assert processes_of({uid}) == {}


def test_the_time_limit_of_a_frozen_unit_goes_on(bench: SystemdBench) -> None:
    uid = bench.start("sleep", "60", time_limit_s=1.0, grace_s=0.2)
    bench.started(uid)
    bench.executor.freeze(uid)
    ended = bench.ended(uid)
    assert (ended.signal, ended.timed_out) == (signal.SIGTERM, True)
