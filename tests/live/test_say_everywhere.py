"""Ready, status, progress and watchdogs in all four environments of one fleet."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tests.live.four_environments import in_each_python
from tests.live.harness import Product
from tests.waiting import wait_for

SAYS_READY = """
import os, socket, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
while not os.path.exists("go"): time.sleep(0.02)
say("READY=1\\nSTATUS=up\\nX_KOS_PROGRESS=40%")
"""
BEATS = 'while True: say("WATCHDOG=1"); time.sleep(0.2)'


def running_in_each(
    fleet: Product, name: str, code: str, **more: Any
) -> dict[str, str]:
    """Environment -> uid of a run of the code, waiting at its gate."""
    agents = in_each_python(fleet, name, SAYS_READY + code, **more)
    found = {where: fleet.spawn(agent)[0] for where, agent in agents.items()}
    for uid in found.values():
        wait_for(lambda uid=uid: fleet.run(uid)["state"] == "running", timeout_s=60)
    return found


def gate_of(fleet: Product, uid: str) -> Path:
    """Once that file is there, the run goes on."""
    (work,) = fleet.var.glob(f"**/{uid}/work")
    return work / "go"


def test_what_programs_say_while_the_node_is_down_is_known_afterwards(
    fleet: Product,
) -> None:
    runs = running_in_each(
        fleet, "ready", BEATS, readiness={"notify": True}, watchdog="20s"
    )
    assert [fleet.run(uid)["ready_at"] for uid in runs.values()] == [None] * 4
    gates = [gate_of(fleet, uid) for uid in runs.values()]
    os.kill(fleet.pid("node"), signal.SIGKILL)  # another takes a second to come …
    for gate in gates:
        gate.touch()  # … and they look every 20 ms
    for uid in runs.values():
        told = wait_for(
            lambda uid=uid: fleet.run(uid)["ready_at"] and fleet.run(uid), timeout_s=60
        )
        assert (told["status_text"], told["progress"]) == ("up", 0.4)
    for uid in runs.values():
        assert fleet.run(uid)["state"] == "running"
        fleet.post(f"runs/{uid}/stop/", status=200)
        fleet.wait_for_end(uid)


def test_a_missed_watchdog_ends_a_run_everywhere(fleet: Product) -> None:
    rules = {"watchdog": "3s", "grace_period": 2}
    runs = running_in_each(fleet, "silent", "time.sleep(300)", **rules)
    for uid in runs.values():
        gate_of(fleet, uid).touch()
    for environment, uid in runs.items():
        run = fleet.wait_for_end(uid, timeout_s=60)
        assert run["state"] == "failed", environment
        assert run["reason"].startswith("missed its watchdog: silent for ")
