"""A simulated world in a process and a database of its own, so that nothing of the
real one is touched: no row, no Redis, no node.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from scheduling.simulation import policies
from scheduling.simulation.report import Outcome, Report, summarise
from scheduling.simulation.trace import Job, Machine, Trace

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
OURS = ("KOS_", "DJANGO_", "REDIS_URL", "DATABASE_URL")


class SimulationFailed(Exception):
    """The child's own last words."""


def replay(trace: Trace, policy: str, *, seed: int) -> Report:
    """Replay the trace under the policy. Raises SimulationFailed."""
    asked = {"trace": asdict(trace), "policy": policy, "seed": seed}
    with tempfile.TemporaryDirectory(prefix="kos-sim-") as folder:
        done = subprocess.run(
            [sys.executable, str(MANAGE), "simulate", "--inside", "-"],
            input=orjson.dumps(asked),
            capture_output=True,
            env=environment(folder),
            check=False,
        )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()
        raise SimulationFailed(said.rpartition("\n")[2] or f"exit {done.returncode}")
    answer = orjson.loads(done.stdout)
    outcomes = [Outcome(**one) for one in answer["outcomes"]]
    cpu_millis = sum(machine.cpu_millis for machine in trace.machines)
    return summarise(policy, outcomes, cpu_millis=cpu_millis, took_s=answer["took_s"])


def environment(folder: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(OURS)}
    return {
        **kept,
        "KOS_VAR": folder,
        "KOS_PROCESS": "simulation",
        "KOS_SQLITE_SYNC": "off",
        "REDIS_URL": f"unix://{folder}/no-redis",
        "DJANGO_SETTINGS_MODULE": "kos_scheduler.settings",
    }


def inside(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What the child does: make the tables, run the world, tell what became of it."""
    from django.core.management import call_command

    from scheduling.simulation.world import World

    call_command("migrate", interactive=False, verbosity=0)
    said = asked["trace"]
    trace = Trace(
        tuple(Job(**job) for job in said["jobs"]),
        tuple(Machine(**machine) for machine in said["machines"]),
    )
    config = policies.config_of(asked["policy"])
    began_s = time.monotonic()
    outcomes = World(trace, config, asked["seed"]).run()
    took_s = time.monotonic() - began_s
    return {"outcomes": [asdict(one) for one in outcomes], "took_s": took_s}
