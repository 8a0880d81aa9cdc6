"""What runs wild is contained, told for what it was, and leaves nothing. In every
environment the same."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from agents.executors.base import Limits
from tests.executors.harness import Bench, processes_of
from tests.executors.programs import CORE, DAEMON, FILLS, MIB, cpu_seconds, spend_time


def test_two_gigabytes_under_a_cap_end_the_run_and_are_told_from_a_kill(
    real_bench: Bench,
) -> None:
    bench = real_bench.needs("memory")
    eats = "held = []\nfor _ in range(2048): held.append(bytearray(b'x' * (1 << 20)))"
    ended = bench.ended(bench.python(eats, limits=Limits(memory_bytes=256 * MIB)))
    assert (ended.signal, ended.oom_killed) == (signal.SIGKILL, True)
    if ended.peak_memory_bytes is not None:
        assert ended.peak_memory_bytes <= 300 * MIB
    killed = bench.run("sh", "-c", "kill -9 $$", limits=Limits(memory_bytes=256 * MIB))
    assert (killed.signal, killed.oom_killed) == (signal.SIGKILL, False)


def test_a_child_that_took_too_much_memory_is_told_though_its_parent_went_on(
    real_bench: Bench,
) -> None:
    bench = real_bench.needs("memory")
    script = "python3 -S -c 'held = bytearray(400 << 20)'; exit 3"
    ended = bench.run("sh", "-c", script, limits=Limits(memory_bytes=128 * MIB))
    assert (ended.exit_code, ended.oom_killed) == (3, True)


def test_a_fork_bomb_is_contained_and_ended_whole(real_bench: Bench) -> None:
    bench = real_bench.needs("pids")
    uid = bench.python(FILLS, limits=Limits(pids=50))
    bench.says(uid, "stopped at")
    assert bench.executor.usage(uid).processes <= 50
    bench.executor.stop(uid, grace_s=0.2)
    bench.ended(uid)
    assert processes_of({uid}) == {}


def test_a_fork_bomb_that_keeps_forking_is_frozen_and_ended(real_bench: Bench) -> None:
    bench = real_bench.needs("pids", "freeze", "kill_all")
    code = (
        "import os\nprint('up', flush=True)\n"
        "while True:\n try: os.fork()\n except OSError: pass"
    )
    uid = bench.python(code, limits=Limits(pids=64, cpu_millis=500))
    bench.says(uid, "up")
    bench.executor.freeze(uid)
    frozen_at = cpu_seconds(bench, uid)
    spend_time(bench)
    assert cpu_seconds(bench, uid) == pytest.approx(frozen_at, abs=0.001)
    bench.executor.stop(uid, grace_s=0)
    assert bench.ended(uid).stopped
    assert processes_of({uid}) == {}


@pytest.mark.parametrize("line_end", ["\\n", "x"])
def test_a_flood_of_output_is_cut_and_says_where(
    real_bench: Bench, line_end: str
) -> None:
    bench = real_bench.needs("output")
    code = (
        f"import os\nline = b'%07d' + b'x' * 1016 + b'{line_end}'\n"
        "for i in range(100 * 1024): os.write(1, line % i)"
    )
    cap = 2 * MIB
    uid = bench.python(code, limits=Limits(output_bytes=cap))
    assert bench.ended(uid).exit_code == 0
    path = bench.folder / uid / "out"
    cut = json.loads(path.with_suffix(".cut").read_text())
    content = path.read_bytes()
    assert len(content) == 100 * MIB  # the size tells every byte written
    assert on_disk(path) <= cap + 64 * 1024
    kept = content[: cut["from"]] + content[cut["to"] :]
    assert len(kept) >= cap - 16 * 1024
    assert b"\0" not in kept
    assert content[-1024:-1017] == b"%07d" % (100 * 1024 - 1)


def on_disk(path: Path) -> int:
    return path.stat().st_blocks * 512


def test_open_files_run_out_at_their_limit(real_bench: Bench) -> None:
    bench = real_bench.needs("open_files")
    code = (
        "import errno\nheld = []\ntry:\n"
        " while True: held.append(open('/dev/null'))\n"
        "except OSError as error:\n print(error.errno == errno.EMFILE, len(held) < 64)"
    )
    uid = bench.python(code, limits=Limits(open_files=64))
    bench.ended(uid)
    assert bench.text(uid) == "True True\n"


def test_a_thousand_zombies_end_with_their_parent(real_bench: Bench) -> None:
    code = (
        "import os, time\n"
        "for _ in range(1000):\n"
        "    os.fork() or os._exit(0)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    uid = real_bench.python(code, limits=CORE)
    real_bench.says(uid, "up")
    real_bench.executor.stop(uid, grace_s=5)
    assert real_bench.ended(uid).signal == signal.SIGTERM
    assert processes_of({uid}) == {}


@pytest.mark.parametrize("ending", ["by itself", "by a stop"])
def test_a_daemon_of_two_forks_and_sessions_is_gone_with_its_run(
    real_bench: Bench, ending: str
) -> None:
    bench = real_bench.needs("kill_all")
    lives_s = 0.3 if ending == "by itself" else 600
    uid = bench.python(DAEMON.format(does="time.sleep(60)", lives_s=lives_s))
    bench.says(uid, "up")
    if ending == "by a stop":
        bench.executor.stop(uid, grace_s=5)
    ended = bench.ended(uid)
    assert (ended.exit_code, ended.signal) in ((0, None), (None, signal.SIGTERM))
    assert processes_of({uid}) == {}
