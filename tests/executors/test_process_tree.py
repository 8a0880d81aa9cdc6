"""Whatever a program left behind, children, daemons and zombies, ends with its run."""

from __future__ import annotations

import signal

from tests.executors.harness import Bench, is_alive, processes_of
from tests.executors.programs import DETACHED


def test_a_signal_reaches_the_program_and_its_children(bench: Bench) -> None:
    code = (
        "trap 'echo parent' USR1; "
        "sh -c 'trap \"echo child; exit\" USR1; echo up; while :; do :; done' & "
        "wait; wait; exit 4"
    )
    uid = bench.start("sh", "-c", code)
    bench.says(uid, "up")
    bench.executor.signal(uid, signal.SIGUSR1)
    assert bench.ended(uid).exit_code == 4
    assert sorted(bench.text(uid).split()) == ["child", "parent", "up"]


def test_a_daemon_of_two_forks_and_sessions_is_gone_when_the_run_ended(
    bench: Bench,
) -> None:
    uid = bench.python(DETACHED)
    ended = bench.ended(uid)
    assert ended.exit_code == 0
    assert not is_alive(int(bench.text(uid)))
    assert processes_of({uid}) == {}


def test_a_daemon_is_gone_after_a_stop_too(bench: Bench) -> None:
    uid = bench.python(DETACHED.replace("while not", "time.sleep(600)\nwhile not"))
    bench.says(uid, "\n")
    bench.executor.stop(uid, grace_s=5)
    assert bench.ended(uid).signal == signal.SIGTERM
    assert processes_of({uid}) == {}


def test_a_thousand_zombies_and_their_parent_end(bench: Bench) -> None:
    code = (
        "import os, time\n"
        "for _ in range(1000):\n"
        "    os.fork() or os._exit(0)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    uid = bench.python(code)
    bench.says(uid, "up")
    bench.executor.stop(uid, grace_s=5)
    assert bench.ended(uid).signal == signal.SIGTERM
