"""How a unit ended: from what systemd says while it knows it, and from the record that
the unit wrote into its run's folder (see systemd_unit.RECORD)."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MOST_BYTES = 1 << 16  # a record has a few hundred
EXITED, KILLED, DUMPED = 1, 2, 3  # ExecMainCode, as waitid says it
# exit codes of systemd's own child, when it could not become the program
NO_START = range(200, 246)


@dataclass(slots=True)
class Record:
    """What the unit wrote at its end."""

    result: str
    exit_code: int | None
    signal: int | None
    counters: dict[str, int] = field(default_factory=dict)  # "memory.peak", …

    @property
    def ooms(self) -> int:
        return self.counters.get("oom_kill", 0)

    @property
    def cpu_seconds(self) -> float | None:
        if "usage_usec" in self.counters:
            return self.counters["usage_usec"] / 1e6
        used = self.counters.get("cpuacct.usage")
        return None if used is None else used / 1e9

    @property
    def peak_bytes(self) -> int | None:
        found = self.counters
        return found.get("memory.max_usage_in_bytes") or found.get("memory.peak")


def read_record(path: str) -> Record | None:
    """None when there is none, or it is torn. A run's folder is its own: no symlink is
    followed and nothing but a plain file is read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        lines = os.read(fd, MOST_BYTES).decode(errors="replace").splitlines()
    except OSError:
        return None
    finally:
        os.close(fd)
    try:
        return _parse(lines)
    except ValueError:
        return None


def _parse(lines: list[str]) -> Record | None:
    if len(lines) < 2 or lines[-1] != "whole":
        return None
    result, how, status = lines[0].split(" ")
    record = Record(result, None, None)
    if how == "exited":
        record.exit_code = int(status)
    elif how in ("killed", "dumped"):
        record.signal = signal_number(status)
    for line in lines[1:-1]:
        name, *values = line.split()
        if len(values) == 1 and values[0].isdigit():  # a file of one number
            record.counters[name] = int(values[0])
        elif len(values) == 2 and values[1].isdigit():  # one line of "name number"
            record.counters[values[0]] = int(values[1])
    return record


def signal_number(name: str) -> int:
    """As systemd writes it: "TERM", "RTMIN+3" or a number. Raises ValueError."""
    if name.isdigit():
        return int(name)
    if name.startswith("RTMIN"):
        return signal.SIGRTMIN + int(name[5:] or 0)
    try:
        return signal.Signals[f"SIG{name}"]
    except KeyError:
        raise ValueError(f"no such signal: {name}") from None


@dataclass(frozen=True, slots=True)
class End:
    exit_code: int | None
    signal: int | None
    timed_out: bool = False


def end_of(seen: Mapping[str, Any], time_limit_s: float | None) -> End | None:
    """What the properties of a unit say of its main program's end; None: nothing.

    systemd says "timeout" both of a time limit and of a grace that ran out, so the
    program must have run that long, too.
    """
    code, status = seen.get("ExecMainCode", 0), int(seen.get("ExecMainStatus", 0))
    if code not in (EXITED, KILLED, DUMPED):
        return None
    ran_us = seen.get("ExecMainExitTimestampMonotonic", 0) - seen.get(
        "ExecMainStartTimestampMonotonic", 0
    )
    is_late = time_limit_s is not None and ran_us >= time_limit_s * 1e6
    return End(
        exit_code=status if code == EXITED else None,
        signal=None if code == EXITED else status,
        timed_out=is_late and seen.get("Result") == "timeout",
    )


def at_ns(seen: Mapping[str, Any], name: str) -> int:
    """A wall clock stamp among the properties; 0 when not there."""
    return int(seen.get(name, 0)) * 1000
