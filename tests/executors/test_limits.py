"""Limits hold: memory, CPU, processes, open files, output. And what is not enforced is
said."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors.base import Limits
from agents.executors.process import ProcessExecutor
from tests.executors.harness import Bench, clean_up, is_alive, processes_of
from tests.executors.programs import DETACHED, FILLS
from tests.waiting import wait_for

MIB = 1 << 20
GROUPS = Path("/sys/fs/cgroup")
SHOUT = """
import os
line = b'%07d' + b'x' * 1016 + b'\\n'
for i in range({mib} * 1024):
    os.write(1, line % i)
"""


@pytest.fixture
def limited(bench: Bench) -> Bench:
    """The bench, on a machine that lets us limit."""
    return bench.needs("memory", "cpu", "pids", "kill_all")


def group_file(bench: Bench, uid: str, *names: str) -> Path:
    """The first of the files `names` in the run's control groups."""
    slot = bench.started(uid).handle["cgroup"]
    pid = bench.started(uid).handle["pid"]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        path = line.split(":", 2)[2]
        if path.endswith(f"/{slot}"):
            for place in [GROUPS, *GROUPS.iterdir()]:
                for name in names:
                    if (file := Path(f"{place}{path}/{name}")).exists():
                        return file
    raise AssertionError(f"no {names} for {uid}")


def test_too_much_memory_ends_the_run_and_is_told_from_a_kill(limited: Bench) -> None:
    eats = "held = bytearray(300 << 20)"
    uid = limited.python(eats, limits=Limits(memory_bytes=64 * MIB))
    ended = limited.ended(uid)
    assert (ended.signal, ended.oom_killed) == (9, True)
    killed = limited.run("sh", "-c", "kill -9 $$", limits=Limits(memory_bytes=64 * MIB))
    assert (killed.signal, killed.oom_killed) == (9, False)


def test_a_child_that_took_too_much_memory_is_told_too(limited: Bench) -> None:
    script = "python3 -S -c 'held = bytearray(300 << 20)'; exit 3"
    ended = limited.run("sh", "-c", script, limits=Limits(memory_bytes=64 * MIB))
    assert (ended.exit_code, ended.oom_killed) == (3, True)


def test_a_program_within_its_memory_is_left_alone(limited: Bench) -> None:
    ended = limited.ended(
        limited.python(
            "held = bytearray(40 << 20)", limits=Limits(memory_bytes=96 * MIB)
        )
    )
    assert (ended.exit_code, ended.oom_killed) == (0, False)


def test_a_fork_bomb_is_contained_and_ended(limited: Bench) -> None:
    uid = limited.python(FILLS, limits=Limits(pids=50))
    limited.says(uid, "stopped at")
    assert len(processes_of({uid})) <= 50
    limited.executor.stop(uid, grace_s=0.2)
    limited.ended(uid)
    assert processes_of({uid}) == {}


def test_a_fork_bomb_that_keeps_forking_is_ended_whole(limited: Bench) -> None:
    code = (
        "import os\nprint('up', flush=True)\n"
        "while True:\n try: os.fork()\n except OSError: pass"
    )
    uid = limited.python(code, limits=Limits(pids=64, cpu_millis=300))
    limited.says(uid, "up")
    limited.executor.stop(uid, grace_s=0)
    assert limited.ended(uid).stopped
    assert processes_of({uid}) == {}


def test_a_cpu_quota_slows_a_busy_program(limited: Bench) -> None:
    code = (
        "import time\nend = time.monotonic() + 1.5\n"
        "while time.monotonic() < end: pass\nprint(time.process_time())"
    )
    uid = limited.python(code, limits=Limits(cpu_millis=200))
    limited.ended(uid)
    assert float(limited.text(uid)) < 0.6


def test_a_tiny_cpu_need_never_throttles_below_a_tenth_of_a_core(
    limited: Bench,
) -> None:
    uid = limited.start("sleep", "60", limits=Limits(cpu_millis=1))
    slot = group_file(limited, uid, "cpu.cfs_quota_us", "cpu.max")
    wait_for(lambda: re.match(r"10000\b", slot.read_text()))


def test_the_weight_follows_the_need(limited: Bench) -> None:
    uid = limited.start("sleep", "60", limits=Limits(cpu_weight_millis=500))
    shares = group_file(limited, uid, "cpu.shares", "cpu.weight")
    assert shares.read_text().strip() in ("512", "50")


def test_a_recycled_group_holds_the_limits_of_its_new_run(limited: Bench) -> None:
    tight = Limits(memory_bytes=32 * MIB, pids=5, cpu_millis=100)
    limited.run("true", limits=tight)
    uid = limited.start("sleep", "60", limits=Limits(memory_bytes=96 * MIB, pids=70))
    names = ("memory.limit_in_bytes", "memory.max")
    assert group_file(limited, uid, *names).read_text() == f"{96 * MIB}\n"
    assert group_file(limited, uid, "pids.max").read_text() == "70\n"
    quota = group_file(limited, uid, "cpu.cfs_quota_us", "cpu.max").read_text()
    assert quota.split()[0] in ("-1", "max")


def test_groups_are_used_again_and_gone_with_the_holder(tmp_path: Path) -> None:
    executor = ProcessExecutor(tmp_path / "node")
    executor.ensure()
    bench = Bench(executor, tmp_path / "runs")
    if not executor.capabilities()["subprocess"].kill_all:
        clean_up(executor)
        pytest.skip("no control groups here")
    slots = set()
    for _ in range(5):
        uid = bench.start("true")
        slots.add(bench.started(uid).handle["cgroup"])
        bench.ended(uid)
    group = Path(f"/proc/{executor.about()['pid']}/cgroup").read_text()
    home = re.search(r"(/kos-[0-9a-f]{8})/holder", group)
    assert home is not None
    clean_up(executor)
    assert len(slots) == 1
    wait_for(lambda: not list(Path("/sys/fs/cgroup").glob(f"*{home[1]}")))


def test_open_files_are_limited_and_no_core_is_dumped(bench: Bench) -> None:
    uid = bench.start("sh", "-c", "ulimit -Sn; ulimit -c", limits=Limits(open_files=64))
    bench.ended(uid)
    assert bench.text(uid).split() == ["64", "0"]


def test_the_limit_of_open_files_cannot_be_raised(bench: Bench) -> None:
    code = (
        "import resource, time\n"
        "while resource.getrlimit(resource.RLIMIT_NOFILE)[1] != 64: pass\n"
        "files = [open('/dev/null') for _ in range(61 - 5)]"
    )
    uid = bench.python(code, limits=Limits(open_files=64))
    assert bench.ended(uid).exit_code == 0


def test_endless_output_is_cut_marked_and_small_on_disk(bench: Bench) -> None:
    cap = 4 * MIB
    uid = bench.python(SHOUT.format(mib=200), limits=Limits(output_bytes=cap))
    bench.ended(uid)
    path = bench.folder / uid / "out"
    cut = json.loads((bench.folder / uid / "out.cut").read_text())
    content = path.read_bytes()
    assert len(content) == 200 * MIB  # the size tells every byte written
    assert path.stat().st_blocks * 512 <= cap + 64 * 1024
    assert cut["from"] == cap // 2
    assert cut["to"] == 200 * MIB - cap // 2
    lines = content[cut["to"] :].splitlines()
    assert lines[-1].startswith(b"%07d" % (200 * 1024 - 1))
    assert b"\0" not in content[: cut["from"]] + content[cut["to"] :]


def test_output_is_cut_while_the_program_runs(bench: Bench) -> None:
    cap = MIB
    code = SHOUT.format(mib=64) + "\nimport time; time.sleep(600)"
    uid = bench.python(code, limits=Limits(output_bytes=cap))
    path = bench.folder / uid / "out"
    wait_for(lambda: path.exists() and path.stat().st_size == 64 * MIB, timeout_s=30)
    wait_for(lambda: path.stat().st_blocks * 512 <= cap + 64 * 1024)


def test_output_under_the_cap_is_not_touched(bench: Bench) -> None:
    uid = bench.python(SHOUT.format(mib=3), limits=Limits(output_bytes=4 * MIB))
    bench.ended(uid)
    assert (bench.folder / uid / "out").stat().st_size == 3 * MIB
    assert not (bench.folder / uid / "out.cut").exists()


def test_a_symlink_in_place_of_the_output_is_not_followed(
    bench: Bench, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"v" * 4 * MIB)
    code = f"import os; os.unlink('../out'); os.symlink({str(victim)!r}, '../out')"
    uid = bench.python(code, limits=Limits(output_bytes=MIB))
    bench.ended(uid)
    assert victim.read_bytes() == b"v" * 4 * MIB


# -- without control groups, and with those of version 2 alone ------------------------


@pytest.fixture(params=["none", "v2"])
def plain(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    monkeypatch.setenv("KOS_CGROUPS", request.param)
    executor = ProcessExecutor(tmp_path / "node")
    executor.ensure()
    yield Bench(executor, tmp_path / "runs")
    clean_up(executor)


def test_what_is_not_enforced_is_said(plain: Bench) -> None:
    can = plain.executor.capabilities()["subprocess"]
    if os.environ["KOS_CGROUPS"] == "none":
        held = (can.memory, can.cpu, can.pids, can.kill_all, can.freeze, can.relimit)
        assert not any(held)
        assert "control group" in can.missing["freeze"]
        assert can.open_files
    assert plain.run("sh", "-c", "exit 3").exit_code == 3


def test_a_daemon_is_found_and_ended_all_the_same(plain: Bench) -> None:
    uid = plain.python(DETACHED)
    assert plain.ended(uid).exit_code == 0
    assert not is_alive(int(plain.text(uid)))


def test_a_daemon_with_an_empty_environment_is_found_too(plain: Bench) -> None:
    code = DETACHED.replace(
        "time.sleep(600)\n    os._exit",
        "os.execve('/bin/sleep', ['s', '600'], {})\n    os._exit",
    )
    uid = plain.python(code)
    assert plain.ended(uid).exit_code == 0
    pid = int(plain.text(uid))
    assert not is_alive(pid)


def test_a_stop_reaches_everything_all_the_same(plain: Bench) -> None:
    uid = plain.start("sh", "-c", "setsid sleep 600 & echo up; wait")
    plain.says(uid, "up")
    plain.executor.stop(uid, grace_s=0.3)
    ended = plain.ended(uid)
    assert (ended.signal, ended.stopped) == (15, True)
    assert processes_of({uid}) == {}


def test_cpu_and_memory_come_from_the_kernels_own_count(plain: Bench) -> None:
    code = "import time\nx = bytearray(50 << 20)\nwhile time.process_time() < .2: pass"
    ended = plain.ended(plain.python(code))
    assert ended.cpu_seconds is not None
    assert 0.2 <= ended.cpu_seconds < 1
    assert ended.peak_memory_bytes is not None
    assert 50 * MIB <= ended.peak_memory_bytes < 90 * MIB
