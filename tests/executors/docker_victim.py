"""A process that owns a Docker executor, to be killed at a chosen step.

    python docker_victim.py NODE RUNS BASE_URL STEP UID ARGUMENT...

STEP: at the first call of this method of the engine it is killed ("create", "start",
"remove"; "remove" is called after the end was logged), or "started": when the start is
about to be logged, or "": it says "up" when the run is started, and waits.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from agents.executors.docker import DockerExecutor
from agents.executors.docker_engine import Engine
from agents.executors.docker_runs import Runs
from tests.executors.docker_bench import DockerBench


def die(*_args: Any, **_options: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def main(node: str, runs: str, base_url: str, step: str, uid: str, *argv: str) -> None:
    if step == "started":
        Runs._began = die  # type: ignore[method-assign]
    elif step:
        setattr(Engine, step, die)
    executor = DockerExecutor(Path(node), base_url=base_url, allowed_roots=("/usr",))
    executor.ensure()
    bench = DockerBench(executor, Path(runs), environment="docker")
    bench.start(*argv, uid=uid)
    if not step:
        bench.started(uid)
        os.write(1, b"up\n")
    time.sleep(600)


main(*sys.argv[1:])
