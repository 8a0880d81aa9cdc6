"""What runs wild on a real product: contained in every environment, told for what it
was, felt by no process of ours, and gone."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.executors.harness import processes_of
from tests.executors.programs import DAEMON
from tests.live.four_environments import ENVIRONMENTS, in_each_python
from tests.live.harness import Product
from tests.waiting import wait_for

MIB = 1 << 20
GROWS_MOST = 20 * MIB
FORKS = (
    "import os\nprint('up', flush=True)\n"
    "while True:\n try: os.fork()\n except OSError: pass"
)
EATS = "held = []\nfor _ in range(2048): held.append(bytearray(b'x' * (1 << 20)))"
SHOUTS = "import os\nline = {line}\nfor _ in range(1 << 14): os.write(1, line)"
DEAF = (
    "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('up', flush=True)\nwhile True: time.sleep(1)"
)
ZOMBIES = (
    "import os, time\nfor _ in range(1000):\n    os.fork() or os._exit(0)\n"
    "print('up', flush=True); time.sleep(600)"
)


class Ours:
    """The processes of the product, and how much each has grown at most."""

    def __init__(self, fleet: Product) -> None:
        named = {name: fleet.pid(name) for name in ("web", "scheduler", "node")}
        held = {
            f"{command.split()[-2]} {pid}": pid
            for pid, command in fleet.processes().items()
            if "agents.executors" in command
        }
        self.pids = named | held
        for pid in self.pids.values():
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # its peak is now
        self.before = {name: peak(pid) for name, pid in self.pids.items()}

    def grown(self) -> dict[str, int]:
        return {name: peak(p) - self.before[name] for name, p in self.pids.items()}


def peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def says(fleet: Product, uid: str, text: str) -> bool:
    return text in fleet.output(uid)


Told = Callable[[str], None]


@pytest.fixture
def told(record_property: Any) -> Told:
    return lambda line: record_property("kos-report", f"bomb: {line}")


def let_loose(
    fleet: Product, told: Told, name: str, code: str, *, stop: str = "", **more: Any
) -> dict[str, Any]:
    """One run of the code in each environment, one after the other; each as it ended.

    With `stop`, each is stopped once its output says so.
    """
    ended = {}
    agents = in_each_python(fleet, name, code, cpu=1, grace_period=1, **more)
    for environment, agent in agents.items():
        ours = Ours(fleet)
        (uid,) = fleet.spawn(agent)
        if stop:
            wait_for(partial(says, fleet, uid, stop), timeout_s=60)
            fleet.post(f"runs/{uid}/stop/", status=200)
        run = ended[environment] = fleet.wait_for_end(uid, timeout_s=120)
        grown = ours.grown()
        assert max(grown.values()) < GROWS_MOST, grown
        assert processes_of({uid}) == {}
        how = run["reason"] or f"exit code {run['exit_code']}"
        told(
            f"{name} in {environment}: {run['state']}, {how}; server processes grew "
            f"{max(grown.values()) / MIB:.1f} MiB at most, 0 processes left"
        )
    return ended


def states(ended: dict[str, Any]) -> dict[str, str]:
    return {environment: run["state"] for environment, run in ended.items()}


def test_a_fork_bomb(fleet: Product, told: Told) -> None:
    ended = let_loose(fleet, told, "forks", FORKS, stop="up", memory="256MB")
    assert set(states(ended).values()) <= {"cancelled", "failed"}  # memory is soon used


def test_two_gigabytes_under_a_cap_of_256_mb(fleet: Product, told: Told) -> None:
    ended = let_loose(fleet, told, "eats", EATS, memory="256MB")
    assert states(ended) == dict.fromkeys(ENVIRONMENTS, "failed")
    for run in ended.values():
        assert (run["oom_killed"], run["signal"]) == (True, 9)
        assert "memory" in run["reason"]


@pytest.mark.parametrize("ending", ["in lines", "in one line"])
def test_a_gigabyte_of_output(fleet: Product, told: Told, ending: str) -> None:
    line = "b'x' * 65535 + b'\\n'" if ending == "in lines" else "b'x' * 65536"
    name = "shouts" if ending == "in lines" else "hums"
    ended = let_loose(fleet, told, name, SHOUTS.format(line=line))
    assert states(ended) == dict.fromkeys(ENVIRONMENTS, "succeeded")
    for run in ended.values():
        folder = fleet.var / "runs" / run["uid"][:2] / run["uid"]
        out = (folder / "out").stat()
        assert (out.st_size, (folder / "out.cut").exists()) == (1 << 30, True)
        assert out.st_blocks * 512 <= 65 * MIB


def test_one_that_ignores_sigterm(fleet: Product, told: Told) -> None:
    ended = let_loose(fleet, told, "deaf", DEAF, stop="up")
    assert states(ended) == dict.fromkeys(ENVIRONMENTS, "cancelled")
    assert {run["signal"] for run in ended.values()} == {9}


def test_a_daemon_of_two_forks_and_sessions(fleet: Product, told: Told) -> None:
    code = DAEMON.format(does="time.sleep(60)", lives_s=0.3)
    ended = let_loose(fleet, told, "daemon", code)
    assert states(ended) == dict.fromkeys(ENVIRONMENTS, "succeeded")


def test_a_thousand_zombies(fleet: Product, told: Told) -> None:
    ended = let_loose(fleet, told, "zombies", ZOMBIES, stop="up", memory="256MB")
    assert states(ended) == dict.fromkeys(ENVIRONMENTS, "cancelled")
