"""kill -9 of the holder, its guard, and both, at any moment.

The judge is outside: each program appends its uid to a file with O_APPEND, and what is
left running is found by scanning /proc.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors.base import Ended, ExecutorError, LaunchSpec
from agents.executors.process import ProcessExecutor
from tests.executors.harness import Bench, clean_up, is_alive, processes_of
from tests.waiting import wait_for

RUNS = 120
ROUNDS = 4


class Judge:
    """A node, its bench, and the file that its programs write to."""

    def __init__(self, folder: Path) -> None:
        self.executor = ProcessExecutor(folder / "node")
        self.executor.ensure()
        self.bench = Bench(self.executor, folder / "runs")
        self.file = folder / "ran"
        self.file.touch()
        self.gate = folder / "gate"

    def spec(self, number: int, then: str = "") -> LaunchSpec:
        """A program that says it ran, and ends with a code of its own."""
        uid = f"run-{number}"
        code = f"exit {number % 100}" if number % 10 else "kill -9 $$"
        script = f"echo {uid} >> {self.file}; {then} {code}"
        return self.bench.spec("sh", "-c", script, uid=uid)

    def waiting(self, number: int) -> LaunchSpec:
        """One that goes on only when the gate is open."""
        wait = f"while [ ! -e {self.gate} ]; do sleep 0.02; done;"
        return self.spec(number, then=wait)

    def ask(self, specs: list[LaunchSpec]) -> None:
        """As a launcher does: again with the same tokens until it was heard."""

        def heard() -> bool:
            with contextlib.suppress(ExecutorError):
                self.executor.start(specs)
                return True
            return False

        wait_for(heard, timeout_s=30)

    def ran(self) -> Counter[str]:
        return Counter(self.file.read_text().split())

    def wrong_codes(self, specs: list[LaunchSpec]) -> list[Ended]:
        wrong = []
        for spec in specs:
            number = int(spec.uid.split("-")[1])
            want = (number % 100, None) if number % 10 else (None, 9)
            ended = self.bench.ended(spec.uid)
            if (ended.exit_code, ended.signal) != want:
                wrong.append(ended)
        return wrong

    def kill(self, *who: str) -> None:
        about = self.executor.about()
        pids = {"holder": about["pid"], "guard": about["guard"]}
        for name in who:
            os.kill(pids[name], signal.SIGKILL)
        wait_for(lambda: not any(is_alive(pids[name]) for name in who))


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[Judge]:
    judge = Judge(tmp_path)
    yield judge
    clean_up(judge.executor)


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_holder_killed_while_it_starts_programs_starts_each_once(
    judge: Judge, round_: int
) -> None:
    specs = [judge.spec(number) for number in range(RUNS)]
    holder = judge.executor.about()["pid"]
    after = random.Random(round_).randrange(1, RUNS)
    asking = threading.Thread(target=judge.ask, args=(specs,))
    asking.start()
    wait_for(lambda: len(judge.ran()) >= after, every_s=0)
    os.kill(holder, signal.SIGKILL)
    asking.join()
    assert judge.wrong_codes(specs) == []
    assert judge.ran() == Counter({spec.uid: 1 for spec in specs})
    assert judge.executor.alive() == {}
    assert processes_of({spec.uid for spec in specs}) == {}


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_a_holder_killed_again_and_again_loses_no_exit_code(
    judge: Judge, round_: int
) -> None:
    specs = [judge.spec(number, then="sleep 0.2;") for number in range(RUNS)]
    chance = random.Random(round_)
    asking = threading.Thread(target=judge.ask, args=(specs,))
    asking.start()
    for _ in range(3):
        after = len(judge.ran()) + chance.randrange(1, RUNS // 4)
        wait_for(lambda after=after: len(judge.ran()) >= min(after, RUNS), every_s=0)
        judge.kill("holder")
    asking.join()
    assert judge.wrong_codes(specs) == []
    assert judge.ran() == Counter({spec.uid: 1 for spec in specs})
    assert processes_of({spec.uid for spec in specs}) == {}


def test_a_dead_holder_disturbs_no_program(judge: Judge) -> None:
    specs = [judge.waiting(number) for number in range(20)]
    judge.ask(specs)
    pids = {spec.uid: judge.bench.pid(spec.uid) for spec in specs}
    judge.kill("holder")
    assert judge.executor.alive() == {spec.uid: 1 for spec in specs}
    assert all(is_alive(pid) for pid in pids.values())
    judge.gate.touch()
    assert judge.wrong_codes(specs) == []


def test_a_dead_guard_is_replaced_and_no_exit_code_is_lost(judge: Judge) -> None:
    specs = [judge.waiting(number) for number in range(40)]
    judge.ask(specs)
    before = judge.executor.about()
    judge.kill("guard")
    wait_for(lambda: judge.executor.about()["guard"] == before["pid"])
    assert judge.executor.about()["pid"] != before["pid"]
    judge.gate.touch()
    assert judge.wrong_codes(specs) == []
    assert judge.ran() == Counter({spec.uid: 1 for spec in specs})


def test_after_a_dead_guard_a_dead_holder_still_loses_nothing(judge: Judge) -> None:
    specs = [judge.waiting(number) for number in range(20)]
    judge.ask(specs)
    before = judge.executor.about()
    judge.kill("guard")
    wait_for(lambda: judge.executor.about()["guard"] == before["pid"])
    judge.kill("holder")
    judge.gate.touch()
    assert judge.wrong_codes(specs) == []
    assert judge.ran() == Counter({spec.uid: 1 for spec in specs})


def test_a_dead_holder_and_later_a_dead_guard_disturb_no_program(judge: Judge) -> None:
    specs = [judge.waiting(number) for number in range(20)]
    judge.ask(specs)
    pids = [judge.bench.pid(spec.uid) for spec in specs]
    for who in ("holder", "guard", "holder", "guard"):
        before = judge.executor.about()
        judge.kill(who)
        wait_for(lambda before=before: judge.executor.about() != before)
    assert all(is_alive(pid) for pid in pids)
    assert judge.executor.alive() == {spec.uid: 1 for spec in specs}
    judge.gate.touch()
    assert judge.wrong_codes(specs) == []
    assert judge.ran() == Counter({spec.uid: 1 for spec in specs})
    assert processes_of({spec.uid for spec in specs}) == {}


def test_with_holder_and_guard_dead_runs_are_lost_and_their_programs_ended(
    judge: Judge,
) -> None:
    specs = [
        judge.spec(number, then="setsid sleep 600 & sleep 600;") for number in (1, 2, 3)
    ]
    judge.ask(specs)
    wait_for(lambda: len(judge.ran()) == 3)
    judge.kill("guard", "holder")
    judge.executor.ensure()
    ends = [judge.bench.ended(spec.uid) for spec in specs]
    assert [(e.lost, e.exit_code, e.signal) for e in ends] == [(True, None, None)] * 3
    assert processes_of({spec.uid for spec in specs}) == {}
    again = [judge.spec(number) for number in (4, 5)]
    judge.ask(again)
    assert judge.wrong_codes(again) == []


def test_what_ended_while_holder_and_guard_were_dead_is_lost_too(judge: Judge) -> None:
    spec = judge.spec(1, then="sleep 0.5;")
    judge.ask([spec])
    pid = judge.bench.pid(spec.uid)
    judge.kill("guard", "holder")
    wait_for(lambda: not is_alive(pid))
    judge.executor.ensure()
    ended = judge.bench.ended(spec.uid)
    assert (ended.lost, ended.exit_code) == (True, None)


def test_a_new_holder_keeps_the_deadlines_of_the_old(judge: Judge) -> None:
    limited = judge.bench.start("sleep", "60", time_limit_s=1.0)
    stubborn = judge.bench.start(
        "sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"
    )
    judge.bench.says(stubborn, "up")
    judge.executor.stop(stubborn, grace_s=1.0)
    judge.kill("holder")
    assert judge.bench.ended(limited).timed_out
    ended = judge.bench.ended(stubborn)
    assert (ended.signal, ended.stopped) == (signal.SIGKILL, True)
    assert processes_of({stubborn, limited}) == {}


def test_a_new_holder_keeps_the_time_limits_that_were_moved(judge: Judge) -> None:
    longer = judge.bench.start("sleep", "4", time_limit_s=3)
    shorter = judge.bench.start("sleep", "60", time_limit_s=60)
    for uid in (longer, shorter):
        judge.bench.started(uid)
    judge.executor.retime(longer, at=time.time() + 60)
    judge.executor.retime(shorter, at=time.time() + 1)
    judge.kill("holder")
    assert judge.bench.ended(shorter).timed_out
    assert judge.bench.ended(longer).exit_code == 0


def test_a_stop_after_the_holders_death_reaches_the_program(judge: Judge) -> None:
    uid = judge.bench.start("sleep", "60")
    judge.bench.started(uid)
    judge.kill("holder")
    judge.executor.stop(uid, grace_s=5)
    ended = judge.bench.ended(uid)
    assert (ended.signal, ended.stopped) == (signal.SIGTERM, True)


def test_a_program_that_died_with_its_holder_leaves_no_daemon(judge: Judge) -> None:
    uid = judge.bench.start("sh", "-c", "setsid sleep 600 & echo up; sleep 600")
    judge.bench.says(uid, "up")
    pid = judge.bench.pid(uid)
    os.kill(judge.executor.about()["pid"], signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    ended = judge.bench.ended(uid)
    assert (ended.signal, ended.lost) == (signal.SIGKILL, False)
    assert processes_of({uid}) == {}


def test_all_output_is_kept_when_everything_above_dies(judge: Judge) -> None:
    script = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); sleep 0.002; done"
    uid = judge.bench.start("sh", "-c", script)
    judge.bench.says(uid, "line 20")
    judge.kill("holder")
    judge.bench.says(uid, "line 100")
    judge.kill("guard")
    judge.bench.ended(uid)
    assert judge.bench.text(uid).splitlines() == [f"line {i}" for i in range(300)]


def test_a_token_that_ran_stays_refused_after_every_restart(judge: Judge) -> None:
    spec = judge.spec(7)
    judge.ask([spec])
    judge.bench.ended(spec.uid)
    for _ in range(3):
        judge.kill("holder")
        judge.ask([spec])
    judge.kill("guard", "holder")
    judge.ask([spec])
    judge.bench.run("true")
    assert judge.ran() == Counter({spec.uid: 1})


def test_a_log_damaged_at_its_end_is_gone_on_from(judge: Judge) -> None:
    first = judge.spec(3)
    judge.ask([first])
    judge.bench.ended(first.uid)
    newest = max((judge.executor.folder / "log").iterdir())
    judge.kill("guard", "holder")
    with newest.open("ab") as log:
        log.write(b"E run-4 1 17\0\0\0")  # half a line, as a power loss leaves it
    second = judge.spec(5)
    judge.ask([second])
    assert judge.wrong_codes([first, second]) == []
    assert judge.ran() == Counter({first.uid: 1, second.uid: 1})


@pytest.mark.parametrize("anew", [False, True])
def test_a_node_whose_folder_was_deleted_ends_its_programs_and_goes(
    tmp_path: Path, anew: bool
) -> None:
    judge = Judge(tmp_path)
    spec = judge.waiting(1)
    judge.ask([spec])
    pid = judge.bench.pid(spec.uid)
    before = judge.executor.about()
    judge.executor.close()
    shutil.rmtree(judge.executor.folder)
    if anew:  # another node begins under the same name
        fresh = Judge(tmp_path)
        assert fresh.executor.about()["guard"] != before["guard"]
        uid = fresh.bench.start("sh", "-c", f"while [ ! -e {judge.gate} ]; do :; done")
    wait_for(lambda: not is_alive(before["guard"]), timeout_s=30)
    assert not is_alive(pid)
    if anew:
        assert fresh.executor.alive() == {uid: 1}
        judge.gate.touch()
        assert fresh.bench.ended(uid).exit_code == 0
        clean_up(fresh.executor)
