"""An agent that bears witness: what it saw goes to a file of its own.

    witness.py FILE SECONDS EXIT_CODE

One JSON line at its start and one at its end, each one write with O_APPEND. On the
way it prints a numbered line ten times a second.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TextIO

LINE_EVERY_S = 0.1


def note(path: str, moment: str, **more: object) -> None:
    line = {
        "moment": moment,
        "at": time.time(),
        "pid": os.getpid(),
        "run": os.environ.get("KOS_RUN_UID", ""),
        "occurrence": os.environ.get("KOS_OCCURRENCE_ID", ""),
        "attempt": os.environ.get("KOS_ATTEMPT", ""),
        **more,
    }
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, json.dumps(line).encode() + b"\n")
    os.close(file)


def say(stream: TextIO, line: str) -> None:
    stream.write(line + "\n")
    stream.flush()


def main(path: str, seconds: str, exit_code: str) -> int:
    note(path, "start")
    end_s = time.monotonic() + float(seconds)
    lines = 0
    while time.monotonic() < end_s:
        say(sys.stdout, f"line {lines}")
        lines += 1
        time.sleep(max(0.0, min(LINE_EVERY_S, end_s - time.monotonic())))
    say(sys.stderr, f"{lines} lines")
    note(path, "end", lines=lines)
    return int(exit_code)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
