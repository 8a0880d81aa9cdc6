"""A frozen run while holder or guard are killed, whichever control group freezes it;
and many jails asked for at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors.base import Limits
from tests.executors.conftest import held
from tests.executors.harness import Bench, is_alive, processes_of
from tests.waiting import wait_for

MIB = 1 << 20


@pytest.fixture(params=["all", "v1", "v2"])
def freezing(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """With the control groups of the machine, or those of one version alone."""
    monkeypatch.setenv("KOS_CGROUPS", request.param)
    for bench in held(tmp_path):
        yield bench.needs("freeze")


def kill(bench: Bench, who: str) -> None:
    pid = bench.executor.about()[who]
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(pid))


def groups_of(bench: Bench, uid: str) -> list[Path]:
    """The run's control groups, in whichever hierarchy."""
    group = Path(f"/proc/{bench.executor.about()['pid']}/cgroup").read_text()
    home = next(part for part in group.split("/") if part.startswith("kos-"))
    slot = bench.started(uid).handle["cgroup"]
    return list(Path("/sys/fs/cgroup").glob(f"**/{home}/{slot}"))


@pytest.mark.parametrize("who", ["pid", "guard"])
def test_a_frozen_run_stays_frozen_when_its_holder_or_guard_dies(
    freezing: Bench, who: str
) -> None:
    uid = freezing.start("sh", "-c", "echo up; while :; do (:); done")
    freezing.says(uid, "up")
    freezing.executor.freeze(uid)
    kill(freezing, who)
    used = freezing.executor.usage(uid)
    assert used.frozen
    assert freezing.executor.usage(uid).cpu_seconds == used.cpu_seconds
    freezing.executor.thaw(uid)
    wait_for(lambda: freezing.executor.usage(uid).cpu_seconds > used.cpu_seconds)
    freezing.executor.freeze(uid)
    freezing.executor.stop(uid, grace_s=10)
    assert freezing.ended(uid).signal == signal.SIGTERM
    assert processes_of({uid}) == {}


def test_a_frozen_program_that_is_killed_from_outside_is_told(freezing: Bench) -> None:
    uid = freezing.start("sh", "-c", "echo up; sleep 600 & sleep 600")
    freezing.says(uid, "up")
    freezing.executor.freeze(uid)
    freezing.executor.signal(uid, signal.SIGKILL)
    freezing.executor.thaw(uid)
    assert freezing.ended(uid).signal == signal.SIGKILL
    assert processes_of({uid}) == {}


def test_only_a_run_that_was_frozen_has_a_group_for_it(freezing: Bench) -> None:
    uid = freezing.start("sleep", "60")
    before = len(groups_of(freezing, uid))
    freezing.executor.freeze(uid)
    assert before <= len(groups_of(freezing, uid)) <= before + 1
    freezing.executor.stop(uid, grace_s=5)
    freezing.ended(uid)
    assert len(groups_of(freezing, uid)) == before


def test_other_limits_outlive_the_holder(tmp_path: Path) -> None:
    for bench in held(tmp_path):
        shout = "import os\nfor _ in range(8): os.write(1, b'x' * (1 << 20))\n"
        wait = "import time\nwhile not os.path.exists('gate'): time.sleep(.01)\n"
        uid = bench.python(f"import os\n{wait}{shout}")
        bench.started(uid)
        bench.executor.relimit(uid, Limits(output_bytes=MIB))
        kill(bench, "pid")
        (bench.folder / uid / "work" / "gate").touch()
        assert bench.ended(uid).exit_code == 0
        path = bench.folder / uid / "out"
        assert path.stat().st_size == 8 * MIB
        assert path.stat().st_blocks * 512 <= MIB + 64 * 1024


def test_many_jails_at_once_let_a_plain_program_pass(tmp_path: Path) -> None:
    for bench in held(tmp_path, "sandbox"):
        jails = [bench.spec("true") for _ in range(60)]
        asking = threading.Thread(target=bench.executor.start, args=(jails,))
        asking.start()
        bench.started(jails[0].uid)
        plain = bench.start("true", environment="subprocess")
        assert all(bench.ended(spec.uid).exit_code == 0 for spec in jails)
        asking.join()
        assert bench.ended(plain).exit_code == 0
        assert bench.started(plain).at_ns < bench.started(jails[-1].uid).at_ns
        assert processes_of({spec.uid for spec in jails}) == {}
