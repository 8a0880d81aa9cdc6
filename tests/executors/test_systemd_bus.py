"""The connection to systemd: not there, broken, back; and systemd itself made anew."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors.base import Ended, LaunchSpec, Started, Unavailable
from agents.executors.systemd import SystemdExecutor
from agents.executors.systemd_bus import connect
from tests.executors.harness import WITHIN_S, Bench, is_alive
from tests.executors.systemd_host import SystemdBench, SystemdHost, boot_or_skip
from tests.executors.test_systemd import bench as bench
from tests.waiting import wait_for


def test_no_bus_is_said_with_what_to_do(tmp_path: Path) -> None:
    executor = SystemdExecutor(tmp_path / "node", bus=f"unix:path={tmp_path}/no-bus")
    with pytest.raises(Unavailable, match="start systemd and D-Bus there, or run"):
        executor.ensure()
    assert executor.capabilities() == {}
    with pytest.raises(Unavailable):
        executor.start([Bench(executor, tmp_path / "runs").spec("true")])
    executor.close()


def test_a_bus_with_nobody_behind_it_is_said(tmp_path: Path) -> None:
    executor = SystemdExecutor(tmp_path / "node", bus="nonsense")
    with pytest.raises(Unavailable, match="nonsense"):
        executor.ensure()
    executor.close()


def test_a_second_process_of_the_node_is_refused(bench: SystemdBench) -> None:
    other = SystemdExecutor(bench.executor.folder, bus=bench.host.bus)
    with pytest.raises(Unavailable, match="another process of this node"):
        other.ensure()
    other.close()


@pytest.fixture
def own_bench(tmp_path: Path) -> Iterator[SystemdBench]:
    """On a systemd that nobody else uses, so that it may be harmed."""
    host = boot_or_skip(tmp_path / "host")
    executor = SystemdExecutor(tmp_path / "node", bus=host.bus)
    executor.ensure()
    yield SystemdBench(host, executor, tmp_path / "runs")
    executor.close()
    host.end()


def kill_dbus(host: SystemdHost) -> None:
    [pid] = host.named("dbus-daemon")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid))


def test_what_ended_while_the_connection_was_lost_is_told_when_it_is_back(
    own_bench: SystemdBench,
) -> None:
    gate = own_bench.folder / "gate"
    waits = f"while [ ! -e {gate} ]; do sleep 0.02; done; exit 6"
    uid = own_bench.start("sh", "-c", waits)
    lives = own_bench.start("sleep", "600")
    own_bench.started(uid)
    pid = own_bench.pid(uid)
    own_bench.started(lives)
    kill_dbus(own_bench.host)
    gate.touch()
    wait_for(lambda: not is_alive(pid))
    assert own_bench.ended(uid).exit_code == 6
    assert own_bench.executor.alive() == {lives: 1}
    after = own_bench.spec("sh", "-c", "exit 8")
    wait_for(lambda: is_asked(own_bench.executor, after), timeout_s=WITHIN_S)
    assert own_bench.ended(after.uid).exit_code == 8
    own_bench.executor.stop(lives, grace_s=5)
    assert own_bench.ended(lives).signal == signal.SIGTERM


def is_asked(executor: SystemdExecutor, spec: LaunchSpec) -> bool:
    """As a node asks: again, with the same token, until somebody hears."""
    try:
        executor.ensure()
        executor.start([spec])
    except Unavailable:
        return False
    return True


def test_starts_over_a_connection_that_breaks_run_once_each(
    own_bench: SystemdBench, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    specs = [own_bench.spec("sh", "-c", f"echo {n} >> {ran}") for n in range(60)]
    own_bench.executor.start(specs)
    wait_for(lambda: ran.exists())
    kill_dbus(own_bench.host)
    assert {own_bench.ended(spec.uid).exit_code for spec in specs} == {0}
    assert sorted(map(int, ran.read_text().split())) == list(range(60))
    kinds = [type(one) for one in own_bench.seen]
    assert (kinds.count(Started), kinds.count(Ended)) == (60, 60)


def test_runs_of_a_systemd_that_died_are_lost_and_said_so(
    own_bench: SystemdBench, tmp_path: Path
) -> None:
    uid = own_bench.start("sleep", "600")
    pid = own_bench.pid(uid)
    own_bench.host.end()
    assert not is_alive(pid)
    with pytest.raises(Unavailable):
        own_bench.executor.ensure()
    own_bench.executor.close()
    own_bench.host = boot_or_skip(tmp_path / "again")
    own_bench.executor = SystemdExecutor(tmp_path / "node", bus=own_bench.host.bus)
    try:
        own_bench.executor.ensure()
        ended = own_bench.ended(uid)
        assert (ended.lost, ended.exit_code, ended.signal) == (True, None, None)
        assert own_bench.run("true").exit_code == 0
    finally:
        own_bench.executor.close()
        own_bench.host.end()


@pytest.mark.parametrize("how", ["Reload", "Reexecute"])
def test_runs_outlive_a_systemd_that_reads_all_anew(
    own_bench: SystemdBench, how: str
) -> None:
    gate = own_bench.folder / "gate"
    hostile = "%n $HOME \"'\\ \n ${X} # ; \t é"
    waits = f'while [ ! -e {gate} ]; do sleep 0.02; done; printf %s "$1"; exit $2'
    ends = {0: "", 5: "", 9: ""}
    for code in ends:
        ends[code] = own_bench.start("sh", "-c", waits, "sh", hostile, str(code))
        own_bench.started(ends[code])
    tell(own_bench.host, how)
    after = own_bench.spec("sh", "-c", "exit 4")
    wait_for(lambda: is_asked(own_bench.executor, after), timeout_s=WITHIN_S)
    assert own_bench.ended(after.uid).exit_code == 4
    gate.touch()
    found = {
        own_bench.ended(uid).exit_code: own_bench.text(uid) for uid in ends.values()
    }
    assert found == dict.fromkeys(ends, hostile)


def tell(host: SystemdHost, what: str) -> None:
    async def told() -> None:
        bus = await connect(host.bus, lambda event: None)
        with contextlib.suppress(Unavailable):  # one that is made anew is silent
            await bus.call(what)
        bus.close()

    asyncio.run(told())
