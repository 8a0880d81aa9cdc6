"""The process that asked is killed with -9: its units go on under their limits, and
whoever comes next tells how each ended, once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.executors.base import Ended, Happening, Started
from agents.executors.systemd import SystemdExecutor
from tests.executors.harness import ENV, is_alive, processes_of
from tests.executors.systemd_host import SystemdBench, SystemdHost, end_runs
from tests.executors.test_systemd import units
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
MIB = 1 << 20
OWNER = """
import json, os, sys
from pathlib import Path
from agents.executors.base import Limits, LaunchSpec, Started
from agents.executors.systemd import SystemdExecutor
asked = json.load(sys.stdin)
executor = SystemdExecutor(Path(asked['node']), bus=asked['bus'])
executor.ensure()
specs = [
    LaunchSpec(uid, 1, tuple(argv), Path(asked['runs'], uid), asked['env'],
               limits=Limits(memory_bytes=128 << 20), **more)
    for uid, (argv, more) in asked['programs'].items()
]
executor.start(specs)
offset, begun = 0, 0
while asked['waits'] and begun < len(specs):
    executor.wait(1)
    found, offset = executor.read(offset, most_bytes=1 << 20)
    begun += sum(isinstance(one, Started) for one in found)
for line in asked['then']:
    exec(line)
os.kill(os.getpid(), 9)
"""


class Heirs:
    """A node folder whose owners are killed, one after the other."""

    def __init__(self, host: SystemdHost, folder: Path) -> None:
        self.host = host
        self.node = folder / "node"
        self.runs = folder / "runs"
        self.bench: SystemdBench | None = None

    def die(self, programs: dict[str, Any], *then: str, waits: bool = True) -> None:
        """Start these programs (uid -> argv, or argv and more of the spec) and be
        killed once they are up."""
        full = {
            uid: what if isinstance(what, tuple) else (what, {})
            for uid, what in programs.items()
        }
        asked = {
            "node": str(self.node),
            "runs": str(self.runs),
            "bus": self.host.bus,
            "env": ENV,
            "programs": full,
            "waits": waits,
            "then": then,
        }
        owner = subprocess.run(
            [sys.executable, "-c", OWNER],
            input=json.dumps(asked).encode(),
            cwd=ROOT,
            check=False,
        )
        assert owner.returncode == -signal.SIGKILL

    def adopt(self) -> SystemdBench:
        executor = SystemdExecutor(self.node, bus=self.host.bus)
        executor.ensure()
        self.bench = SystemdBench(self.host, executor, self.runs)
        return self.bench

    def says(self, uid: str, text: str) -> None:
        path = self.runs / uid / "out"
        wait_for(lambda: path.exists() and text in path.read_text(), timeout_s=30)

    def are_gone(self, *uids: str) -> None:
        """Wait until nothing of these runs lives."""
        wait_for(lambda: not processes_of(set(uids)), timeout_s=30)


@pytest.fixture
def heirs(systemd_host: SystemdHost, tmp_path: Path) -> Iterator[Heirs]:
    made = Heirs(systemd_host, tmp_path)
    yield made
    if made.bench is not None:
        end_runs(made.bench.executor)


def gated(gate: Path, then: str) -> list[str]:
    return ["sh", "-c", f"echo up; while [ ! -e {gate} ]; do sleep 0.02; done; {then}"]


def settled(bench: SystemdBench, count: int) -> list[Happening]:
    """Every happening, once so many runs have ended."""
    wait_for(lambda: sum(isinstance(o, Ended) for o in bench.read()) == count)
    return bench.seen


def test_runs_that_end_while_nobody_owns_them_tell_their_true_codes(
    heirs: Heirs, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    how = {
        "well": "exit 0",
        "badly": "exit 3",
        "killed": "kill -9 $$",
        "told": "kill -15 $$",
        "like-a-kill": "exit 137",
    }
    heirs.die({uid: gated(gate, then) for uid, then in how.items()})
    gate.touch()
    heirs.are_gone(*how)
    bench = heirs.adopt()
    ended = {uid: bench.ended(uid) for uid in how}
    assert {uid: (e.exit_code, e.signal) for uid, e in ended.items()} == {
        "well": (0, None),
        "badly": (3, None),
        "killed": (None, 9),
        "told": (None, 15),
        "like-a-kill": (137, None),
    }
    assert not any(e.lost or e.stopped or e.timed_out for e in ended.values())
    assert all(e.cpu_seconds for e in ended.values())
    counts = Counter((type(one).__name__, one.uid) for one in settled(bench, 5))
    assert set(counts.values()) == {1}
    assert len(counts) == 10


def test_what_was_adopted_is_let_go_and_not_told_again(
    heirs: Heirs, tmp_path: Path
) -> None:
    heirs.die({"well": ["true"], "badly": ["false"]}, waits=False)
    bench = heirs.adopt()
    bench.executor.start([bench.spec("true", uid="well")])
    bench.executor.start([bench.spec("false", uid="badly")])
    assert (bench.ended("well").exit_code, bench.ended("badly").exit_code) == (0, 1)
    bench.executor.close()
    again = heirs.adopt()
    assert again.executor.alive() == {}
    told = Counter(type(one) for one in settled(again, 2))
    assert told == {Started: 2, Ended: 2}
    node = str(again.started("well").handle["unit"]).split("-")[1]
    wait_for(lambda: not units(heirs.host, f"kos-{node}-*"))


def test_a_run_that_ran_out_of_memory_unowned_is_told_from_a_kill(
    heirs: Heirs, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    eats = f"import os\nwhile not os.path.exists({str(gate)!r}): pass\n"
    eats += "held = bytearray(400 << 20)"
    heirs.die(
        {
            "eats": ["python3", "-S", "-c", eats],
            "killed": gated(gate, "kill -9 $$"),
        }
    )
    gate.touch()
    heirs.are_gone("eats", "killed")
    bench = heirs.adopt()
    eaten, killed = bench.ended("eats"), bench.ended("killed")
    assert (eaten.signal, eaten.oom_killed) == (9, True)
    assert (killed.signal, killed.oom_killed) == (9, False)
    assert eaten.peak_memory_bytes is not None
    assert eaten.peak_memory_bytes > 100 * MIB


def test_the_time_limit_holds_while_nobody_owns_the_run(heirs: Heirs) -> None:
    late = {"time_limit_s": 0.6, "grace_s": 0.1}
    deaf = ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
    neat = ["sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.05; done"]
    heirs.die(
        {
            "late": (["sleep", "600"], late),
            "deaf": (deaf, late),
            "neat": (neat, late),
            "own": (["sh", "-c", "exit 5"], {"time_limit_s": 600}),
        }
    )
    heirs.are_gone("late", "deaf", "neat", "own")
    bench = heirs.adopt()
    found = {uid: bench.ended(uid) for uid in ("late", "deaf", "neat", "own")}
    assert {u: (e.exit_code, e.signal, e.timed_out) for u, e in found.items()} == {
        "late": (None, 15, True),
        "deaf": (None, 9, True),
        "neat": (4, None, True),
        "own": (5, None, False),
    }


def test_a_frozen_run_without_an_owner_is_ended_by_its_time_limit(
    heirs: Heirs,
) -> None:
    late = {"time_limit_s": 1.0, "grace_s": 0.1}
    heirs.die({"cold": (["sleep", "600"], late)}, "executor.freeze('cold')")
    heirs.are_gone("cold")
    ended = heirs.adopt().ended("cold")
    assert (ended.signal, ended.timed_out, ended.lost) == (15, True, False)


def test_a_daemon_left_by_an_unowned_run_is_ended_and_is_no_time_out(
    heirs: Heirs, tmp_path: Path
) -> None:
    leaves = "setsid sh -c \"trap '' TERM; echo up; while :; do sleep 1; done\" & "
    script = f"{leaves} while [ ! -s ../out ]; do sleep 0.01; done; exit 6"
    limits = {"grace_s": 0.1, "time_limit_s": 600}
    heirs.die({"leaves": (["sh", "-c", script], limits)})
    heirs.are_gone("leaves")
    ended = heirs.adopt().ended("leaves")
    assert (ended.exit_code, ended.signal) == (6, None)
    assert (ended.timed_out, ended.lost) == (False, False)


def test_a_stop_goes_on_when_whoever_asked_for_it_died(heirs: Heirs) -> None:
    deaf = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"]
    heirs.die(
        {"deaf": (deaf, {"grace_s": 0.5})},
        "import time",
        "while not Path(asked['runs'], 'deaf', 'out').read_bytes(): time.sleep(.01)",
        "executor.stop('deaf', grace_s=0.4)",
    )
    heirs.are_gone("deaf")
    ended = heirs.adopt().ended("deaf")
    assert (ended.signal, ended.stopped, ended.timed_out) == (9, True, False)


def test_a_longer_grace_than_its_own_is_counted_on_by_the_next_owner(
    heirs: Heirs,
) -> None:
    deaf = ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 1; done"]
    heirs.die(
        {"deaf": (deaf, {"grace_s": 0.1})},
        "import time",
        "while not Path(asked['runs'], 'deaf', 'out').read_bytes(): time.sleep(.01)",
        "executor.stop('deaf', grace_s=3)",
    )
    assert processes_of({"deaf"}) != {}
    ended = heirs.adopt().ended("deaf")
    assert (ended.signal, ended.stopped) == (9, True)


def test_what_lives_on_can_be_stopped_and_measured_by_the_next_owner(
    heirs: Heirs,
) -> None:
    heirs.die({"lives": ["sleep", "600"]})
    bench = heirs.adopt()
    assert bench.executor.alive() == {"lives": 1}
    used = bench.executor.usage("lives")
    assert used is not None
    assert used.processes == 1
    bench.start("true", uid="lives", token=2)
    assert bench.not_started("lives").reason == "its attempt 1 is still alive"
    bench.executor.stop("lives", grace_s=5)
    ended = bench.ended("lives")
    assert (ended.signal, ended.stopped) == (signal.SIGTERM, True)


def test_whenever_the_owner_dies_a_program_runs_once_when_asked_again(
    heirs: Heirs, tmp_path: Path
) -> None:
    """Killed at moments that differ: before systemd heard, while it starts, after."""
    ran = tmp_path / "ran"
    for attempt in range(8):
        uid = f"run{attempt}"
        program = ["sh", "-c", f"echo {uid} >> {ran}; exit {attempt}"]
        pause = f"import time; time.sleep({attempt} * 0.002)"
        heirs.die({uid: program}, pause, waits=False)
        bench = heirs.adopt()
        bench.executor.start([bench.spec(*program, uid=uid)])
        assert bench.ended(uid).exit_code == attempt
        bench.executor.close()
    assert ran.read_text().split() == [f"run{n}" for n in range(8)]
    heirs.adopt()


def test_output_written_while_nobody_watched_is_cut_on_adoption(
    heirs: Heirs, tmp_path: Path
) -> None:
    shouts = "import os\nfor _ in range(80): os.write(1, b'x' * (1 << 20))"
    heirs.die({"shouts": ["python3", "-S", "-c", shouts]})
    heirs.are_gone("shouts")
    heirs.adopt().ended("shouts")
    out = heirs.runs / "shouts" / "out"
    assert out.stat().st_size == 80 * MIB
    assert out.stat().st_blocks * 512 <= 64 * MIB + 64 * 1024
    assert (heirs.runs / "shouts" / "out.cut").exists()


def test_a_log_that_was_deleted_is_begun_again_with_what_systemd_has(
    heirs: Heirs,
) -> None:
    heirs.die({"lives": ["sleep", "600"]})
    for file in (heirs.node / "log").iterdir():
        file.unlink()
    bench = heirs.adopt()
    assert bench.executor.alive() == {"lives": 1}
    assert is_alive(bench.pid("lives"))
    bench.executor.stop("lives", grace_s=5)
    assert bench.ended("lives").signal == signal.SIGTERM


def test_the_attempt_file_fences_a_run_that_the_log_has_forgotten(
    heirs: Heirs,
) -> None:
    (heirs.runs / "old").mkdir(parents=True)
    (heirs.runs / "old" / "attempt-3").touch()
    bench = heirs.adopt()
    bench.start("true", uid="old", token=3)
    assert bench.ended("old").lost
    bench.start("true", uid="old", token=2)
    assert "a later attempt" in bench.not_started("old").reason
    bench.start("true", uid="old", token=4)
    codes = {
        one.token: one.exit_code for one in settled(bench, 2) if type(one) is Ended
    }
    assert codes == {3: None, 4: 0}
