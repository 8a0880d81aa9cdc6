"""The init of our containers: one file of C, built on the machine it is for.

It needs a compiler once and no library, not even C's. What was built is kept by the
content of its source, since containers outlive our updates.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from agents.executors.base import Unavailable

SOURCE = Path(__file__).with_name("init.c")
COMPILERS = ("cc", "gcc", "clang")
OPTIONS = (
    *("-Os", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-fno-pie", "-no-pie", "-s"),
    *("-fno-tree-loop-distribute-patterns", "-Wl,--build-id=none"),
    "-Wl,-z,noexecstack",
)
BUILT_WITHIN_S = 60.0


def install(folder: Path) -> Path:
    """The built init in `folder`. Raises Unavailable, saying what to do."""
    source = SOURCE.read_bytes()
    built = folder / f"init-{hashlib.sha256(source).hexdigest()[:12]}"
    if built.exists():
        return built
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise Unavailable(
            "the init of our containers has to be built once, and there is no C "
            "compiler here: apt-get install gcc"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = folder / f"init.{os.getpid()}"
    command = [compiler, *OPTIONS, "-o", str(fresh), str(SOURCE)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=BUILT_WITHIN_S)
    except subprocess.CalledProcessError as failed:
        said = failed.stderr.decode(errors="replace").strip().splitlines()
        why = said[-1] if said else "it said nothing"
        raise Unavailable(
            f"the init of our containers cannot be built: {why}"
        ) from None
    fresh.chmod(0o755)
    fresh.rename(built)
    return built
