"""Jails when the holder or its guard is killed over them, and what a jail costs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.executors.harness import Bench, is_alive, processes_of, shared
from tests.waiting import wait_for

ROUNDS = 3


def kill(bench: Bench, *who: str) -> None:
    about = bench.executor.about()
    pids = [about[name] for name in who]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not any(map(is_alive, pids)))


def script(number: int) -> str:
    end = f"exit {number}" if number % 5 else "kill -9 $$"
    wait = "while [ ! -e /shared/gate ]; do sleep 0.05; done"
    return f"echo {number} >> /shared/ran; {wait}; {end}"


def wrong(bench: Bench, uids: dict[str, int]) -> list[object]:
    ends = {uid: bench.ended(uid) for uid in uids}
    want = {uid: (n, None) if n % 5 else (None, 9) for uid, n in uids.items()}
    return [e for uid, e in ends.items() if (e.exit_code, e.signal) != want[uid]]


@pytest.mark.parametrize("who", [("pid",), ("guard",), ("pid", "guard", "pid")])
def test_a_dead_holder_or_guard_disturbs_no_jail_and_loses_no_exit(
    jail: Bench, tmp_path: Path, who: tuple[str, ...]
) -> None:
    mounts = (shared(tmp_path),)
    uids = {jail.start("sh", "-c", script(n), mounts=mounts): n for n in range(1, 11)}
    pids = [jail.pid(uid) for uid in uids]
    for name in who:
        kill(jail, name)
        assert jail.executor.alive() == dict.fromkeys(uids, 1)
    assert all(map(is_alive, pids))
    (tmp_path / "shared" / "gate").touch()
    assert wrong(jail, uids) == []


def test_runs_that_end_while_there_is_no_holder_are_told_as_they_ended(
    jail: Bench, tmp_path: Path
) -> None:
    mounts = (shared(tmp_path),)
    uids = {jail.start("sh", "-c", script(n), mounts=mounts): n for n in range(1, 11)}
    pids = [jail.pid(uid) for uid in uids]
    guard = jail.executor.about()["guard"]
    os.kill(guard, signal.SIGSTOP)  # it cannot start another holder
    kill_holder = jail.executor.about()["pid"]
    os.kill(kill_holder, signal.SIGKILL)
    (tmp_path / "shared" / "gate").touch()
    wait_for(lambda: not any(map(is_alive, pids)), timeout_s=30)
    os.kill(guard, signal.SIGCONT)
    assert wrong(jail, uids) == []


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_holder_killed_while_it_makes_jails_starts_each_program_once(
    jail: Bench, tmp_path: Path, round_: int
) -> None:
    mount = shared(tmp_path)
    (tmp_path / "shared" / "gate").touch()
    ran = tmp_path / "shared" / "ran"
    ran.touch()
    ran.chmod(0o666)
    specs = [jail.spec("sh", "-c", script(n), mounts=(mount,)) for n in range(1, 25)]
    asking = threading.Thread(target=jail.executor.start, args=(specs,))
    asking.start()
    wait_for(lambda: len(ran.read_text().split()) > 3 * round_, every_s=0)
    kill(jail, "pid")
    asking.join()
    jail.executor.start(specs)  # as a launcher does that cannot know who was heard
    assert wrong(jail, {spec.uid: n for n, spec in enumerate(specs, 1)}) == []
    assert sorted(map(int, ran.read_text().split())) == list(range(1, 25))
    assert processes_of({spec.uid for spec in specs}) == {}


def test_holder_and_guard_dead_at_once_leave_no_jail_behind(jail: Bench) -> None:
    uids = {jail.start("sleep", "60") for _ in range(3)}
    for uid in uids:
        jail.started(uid)
    kill(jail, "guard", "pid")
    assert all(jail.ended(uid).exit_code is None for uid in uids)
    assert processes_of(uids) == {}


def test_the_cost_of_a_jail_is_told(
    jail: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    took_ms = []
    for _ in range(10):
        began = time.perf_counter()
        assert jail.run("true").exit_code == 0
        took_ms.append((time.perf_counter() - began) * 1000)
    with capsys.disabled():
        tool = os.environ["KOS_JAIL"]
        middle, least = sorted(took_ms)[5], min(took_ms)
        cost = f"{tool}: `true` takes {middle:.0f} ms, at least {least:.0f}"
        sys.stderr.write(f"\n{cost}\n")
