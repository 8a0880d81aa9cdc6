"""What a program learns from the scheduler, and where it leaves its result.

Everything comes in the environment: KOS_PARAMS and KOS_PARENT_RESULT are JSON,
KOS_RESULT names the file to write, and the current folder is the run's own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: stopping.set())


def params() -> dict[str, Any]:
    return json.loads(os.environ.get("KOS_PARAMS") or "{}")


def parent_result() -> dict[str, Any]:
    """The result of the run that triggered this one; {} when a person did."""
    return json.loads(os.environ.get("KOS_PARENT_RESULT") or "null") or {}


def attempt() -> int:
    return int(os.environ.get("KOS_ATTEMPT", "1"))


def occurrence() -> str:
    """The same for every retry of one piece of work."""
    return os.environ.get("KOS_OCCURRENCE_ID", "by hand")


def shared_folder() -> Path:
    """Where the demo's agents leave things for one another."""
    folder = Path(os.environ.get("DEMO_DATA", "."))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def pause(seconds: float) -> None:
    """Leave the processor to others for a while; ends the program when asked to stop.

    `pace` in the parameters stretches or shortens it; 0 is as fast as it goes.
    """
    if stopping.wait(seconds * float(params().get("pace", 1))):
        print("asked to stop: what was done so far stays", flush=True)
        sys.exit(143)


def save(path: Path, text: str) -> None:
    """Replace the file whole: a reader never sees half of it."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.replace(path)


def result(**facts: Any) -> None:
    """Leave the result of the run where the scheduler looks for it."""
    text = json.dumps(facts, indent=1)
    if path := os.environ.get("KOS_RESULT"):
        save(Path(path), text)
    print(f"result: {text if len(text) < 400 else text[:400] + ' …'}", flush=True)
