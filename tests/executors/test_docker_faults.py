"""Engine, executor and containers are killed in turn: each thing is told once, true."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.executors.base import Ended, Limits, Started, Unavailable
from agents.executors.docker import DockerExecutor
from tests.executors.docker_bench import DockerBench, end_all
from tests.executors.docker_daemon import Daemon, make_images, need
from tests.executors.harness import is_alive, processes_of
from tests.waiting import wait_for

MIB = 1 << 20
ROOT = Path(__file__).parents[2]
AT_THE_GATE = "echo up; while ! [ -e gate ]; do sleep 0.02; done; "
FLOOD = """
import os
line = b'%07d' + b'x' * 1016 + b'\\n'
block = b''.join(line % i for i in range(1024))
for _ in range({mib}): os.write(1, block)
os.write(1, b'the end')
"""


def open_gate(bench: DockerBench, uid: str) -> None:
    (bench.folder / uid / "work" / "gate").touch()


def kinds(bench: DockerBench, uid: str) -> list[type]:
    return [type(one) for one in bench.seen if one.uid == uid]


def memory_of(pid: int | str) -> int:
    """Bytes in use by a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [resident] = [line for line in lines if line.startswith("VmRSS:")]
    return int(resident.split()[1]) * 1024


def on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512


@pytest.fixture
def reopened(
    docker_bench: DockerBench, dockerd: Daemon
) -> Iterator[Callable[[], DockerBench]]:
    """A function that gives the folder to a new executor, as a new process would."""
    benches: list[DockerBench] = []

    def reopen() -> DockerBench:
        folder = docker_bench.executor.folder
        executor = DockerExecutor(
            folder, base_url=dockerd.base_url, allowed_roots=("/usr",)
        )
        executor.ensure()
        bench = DockerBench(executor, docker_bench.folder, environment="docker")
        benches.append(bench)
        return bench

    yield reopen
    for bench in benches:
        end_all(bench.executor)


# -- the executor is away -------------------------------------------------------------


def test_runs_that_end_while_nobody_looks_are_told_with_code_and_output(
    docker_bench: DockerBench, reopened: Callable[[], DockerBench]
) -> None:
    endings = {
        "code": "exit 137",
        "signal": "kill -9 $$",
        "lines": "echo a; echo b >&2",
    }
    for uid, script in endings.items():
        docker_bench.start("sh", "-c", AT_THE_GATE + script, uid=uid)
        docker_bench.says(uid, "up")
    pids = [docker_bench.pid(uid) for uid in endings]
    docker_bench.executor.close()
    for uid in endings:
        open_gate(docker_bench, uid)
    wait_for(lambda: not any(is_alive(pid) for pid in pids))
    again = reopened()
    assert again.ended("code").exit_code == 137
    assert again.ended("signal").signal == 9
    assert again.ended("lines").exit_code == 0
    assert (again.text("lines"), again.text("lines", "err")) == ("up\na\n", "b\n")
    assert all(kinds(again, uid) == [Started, Ended] for uid in endings)


def test_the_time_limit_and_the_grace_hold_while_nobody_looks(
    docker_bench: DockerBench, reopened: Callable[[], DockerBench]
) -> None:
    deaf = "trap '' TERM; echo up; while :; do sleep 0.02; done"
    limited = docker_bench.start("sh", "-c", deaf, time_limit_s=1.5, grace_s=0.2)
    stopped = docker_bench.start("sh", "-c", deaf)
    pids = [docker_bench.pid(uid) for uid in (limited, stopped)]
    docker_bench.says(stopped, "up")
    docker_bench.executor.stop(stopped, grace_s=1)
    docker_bench.executor.close()
    wait_for(lambda: not any(is_alive(pid) for pid in pids))
    again = reopened()
    ended = again.ended(limited)
    assert (ended.signal, ended.timed_out, ended.stopped) == (9, True, False)
    ended = again.ended(stopped)
    assert (ended.signal, ended.timed_out, ended.stopped) == (9, False, True)


def test_a_flood_while_nobody_looks_does_not_fill_the_disk(
    docker_bench: DockerBench, reopened: Callable[[], DockerBench]
) -> None:
    code = "import os, time\nwhile not os.path.exists('gate'): time.sleep(.01)\n"
    limits = Limits(output_bytes=MIB)
    uid = docker_bench.python(code + FLOOD.format(mib=400), limits=limits)
    pid = docker_bench.pid(uid)
    docker_bench.executor.close()
    open_gate(docker_bench, uid)
    out, most = docker_bench.folder / uid / "out", [0]

    def is_over() -> bool:
        most.append(on_disk(out))
        return not is_alive(pid)

    wait_for(is_over, timeout_s=60)
    assert out.stat().st_size == 400 * MIB + 7
    again = reopened()
    assert again.ended(uid).exit_code == 0
    assert on_disk(out) <= MIB + 64 * 1024
    with out.open("rb") as file:
        file.seek(-7, 2)
        assert file.read() == b"the end"


def test_a_container_removed_while_nobody_looks_is_lost(
    docker_bench: DockerBench, dockerd: Daemon, reopened: Callable[[], DockerBench]
) -> None:
    uid = docker_bench.start("sleep", "60")
    container = docker_bench.started(uid).handle["container"]
    docker_bench.executor.close()
    dockerd.remove(container)
    ended = reopened().ended(uid)
    assert (ended.lost, ended.exit_code, ended.signal) == (True, None, None)


def test_a_container_removed_by_hand_is_told_at_once(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    uid = docker_bench.start("sleep", "60")
    dockerd.remove(docker_bench.started(uid).handle["container"])
    ended = docker_bench.ended(uid)
    assert ended.lost or ended.signal == 9  # as much as was seen of it
    assert ended.exit_code is None
    assert docker_bench.executor.alive() == {}


# -- the executor's process is killed -------------------------------------------------


@pytest.fixture
def victim(
    docker_bench: DockerBench, dockerd: Daemon
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts a process which owns the executor of the bench's folder
    and is killed at a step."""
    docker_bench.executor.close()
    started = []

    def start(step: str, uid: str, *argv: str) -> subprocess.Popen[str]:
        places = [docker_bench.executor.folder, docker_bench.folder, dockerd.base_url]
        command = ["-m", "tests.executors.docker_victim", *map(str, places), step, uid]
        process = subprocess.Popen(
            [sys.executable, *command, *argv],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.mark.parametrize("step", ["create", "start", "started", "remove"])
def test_killed_at_any_step_one_program_is_started_and_told_once(
    victim: Callable[..., subprocess.Popen[str]],
    reopened: Callable[[], DockerBench],
    dockerd: Daemon,
    step: str,
) -> None:
    argv = ("sh", "-c", "echo ran; exit 5")
    assert victim(step, "once", *argv).wait(60) == -signal.SIGKILL
    again = reopened()
    again.start(*argv, uid="once")
    assert again.ended("once").exit_code == 5
    again.start(*argv, uid="once")
    again.run("true")
    assert kinds(again, "once") == [Started, Ended]
    assert again.text("once") == "ran\n"
    wait_for(lambda: dockerd.containers() == [])


def test_killed_with_a_live_container_it_is_found_again_and_can_be_ended(
    victim: Callable[..., subprocess.Popen[str]], reopened: Callable[[], DockerBench]
) -> None:
    process = victim("", "live", "sh", "-c", "echo up; exec sleep 600")
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.kill()
    process.wait(10)
    again = reopened()
    assert again.executor.alive() == {"live": 1}
    again.executor.stop("live", grace_s=10)
    ended = again.ended("live")
    assert (ended.signal, ended.stopped) == (signal.SIGTERM, True)
    assert processes_of({"live"}) == {}


# -- the engine is killed or restarted ------------------------------------------------


@pytest.fixture
def own_dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """An engine that this test may end."""
    need()
    daemon = Daemon(tmp_path_factory.mktemp("own"), "--bridge=none", "--iptables=false")
    daemon.start()
    make_images(daemon, tmp_path_factory.mktemp("images"))
    yield daemon
    daemon.clean_up()


@pytest.fixture
def own_bench(own_dockerd: Daemon, tmp_path: Path) -> Iterator[DockerBench]:
    executor = DockerExecutor(
        tmp_path / "node", base_url=own_dockerd.base_url, allowed_roots=("/usr",)
    )
    executor.ensure()
    yield DockerBench(executor, tmp_path / "runs", environment="docker")
    end_all(executor)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_runs_live_through_a_restart_of_the_engine(
    own_bench: DockerBench, own_dockerd: Daemon, number: signal.Signals
) -> None:
    scripts = {"during": "exit 137", "after": "kill -9 $$", "stopped": "exit 1"}
    for uid, script in scripts.items():
        own_bench.start("sh", "-c", AT_THE_GATE + script, uid=uid)
        own_bench.says(uid, "up")
    pids = {uid: own_bench.pid(uid) for uid in scripts}
    own_dockerd.end(number)
    wait_for(lambda: not own_dockerd.is_up())
    with pytest.raises(Unavailable, match="systemctl start docker"):
        own_bench.executor.start([own_bench.spec("true")])
    assert all(is_alive(pid) for pid in pids.values())
    open_gate(own_bench, "during")
    own_bench.executor.stop("stopped", grace_s=20)
    wait_for(lambda: not is_alive(pids["during"]) and not is_alive(pids["stopped"]))
    own_dockerd.start()
    assert own_bench.ended("during").exit_code == 137
    assert own_bench.ended("stopped").signal == signal.SIGTERM
    open_gate(own_bench, "after")
    assert own_bench.ended("after").signal == 9
    assert all(kinds(own_bench, uid) == [Started, Ended] for uid in scripts)
    assert own_bench.run("true").exit_code == 0


def test_starts_under_way_when_the_engine_is_killed_are_finished_once(
    own_bench: DockerBench, own_dockerd: Daemon
) -> None:
    script = "echo ran; exit 3"
    uids = [own_bench.start("sh", "-c", script) for _ in range(12)]
    own_bench.started(uids[0])
    own_dockerd.end(signal.SIGKILL)
    own_dockerd.start()
    assert [own_bench.ended(uid).exit_code for uid in uids] == [3] * 12
    assert all(own_bench.text(uid) == "ran\n" for uid in uids)
    assert all(kinds(own_bench, uid) == [Started, Ended] for uid in uids)


# -- a flood while all is well --------------------------------------------------------


def test_a_gigabyte_of_output_fills_neither_disk_nor_memory(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    docker_bench.run("true")
    before = {pid: memory_of(pid) for pid in ("self", dockerd.pid)}
    limits = Limits(output_bytes=4 * MIB, memory_bytes=256 * MIB)
    uid = docker_bench.python(FLOOD.format(mib=1024), limits=limits)
    ended = docker_bench.ended(uid)
    assert (ended.exit_code, ended.oom_killed) == (0, False)
    out = docker_bench.folder / uid / "out"
    assert out.stat().st_size == 1024 * MIB + 7
    assert on_disk(out) <= 4 * MIB + 64 * 1024
    assert out.with_suffix(".cut").exists()
    for pid, bytes_before in before.items():
        assert memory_of(pid) - bytes_before < 20 * MIB
    logs = (dockerd.folder / "data" / "containers").rglob("*.log*")
    assert sum(path.stat().st_size for path in logs) == 0
