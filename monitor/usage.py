"""What a run used over its time: a few hundred samples in a file beside its output.

Taken by the run's node while it runs. CPU and I/O are totals since the start, so that
samples can be left out later without making what lies between them wrong.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from agents.executors.base import Usage
from monitor.log_files import read_small

RECORD = struct.Struct("<ddqqq")
MOST = 600  # samples of one run; of the older half every second one goes
NAME = "usage"
UNKNOWN = -1
APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
FRESH = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK


class Taken(NamedTuple):
    at: float  # seconds since the epoch
    cpu_s: float
    memory_bytes: int
    read_bytes: int
    written_bytes: int


def taken(at: float, used: Usage) -> Taken:
    def known(value: float | None) -> float:
        return UNKNOWN if value is None else value

    return Taken(
        at,
        known(used.cpu_seconds),
        int(known(used.memory_bytes)),
        int(known(used.read_bytes)),
        int(known(used.written_bytes)),
    )


def append(folder: str, one: Taken) -> None:
    """Raises OSError where the folder is gone or something else is in its place."""
    fd = os.open(f"{folder}/{NAME}", APPEND | os.O_CLOEXEC, 0o600)
    try:
        seen = os.fstat(fd)
        if not stat.S_ISREG(seen.st_mode) or seen.st_nlink > 1:
            return  # the agent put something in its place
        if seen.st_size < MOST * RECORD.size:
            os.write(fd, RECORD.pack(*one))
            return
        kept = thinned(os.pread(fd, 2 * MOST * RECORD.size, 0))
    finally:
        os.close(fd)
    _replace(folder, kept + RECORD.pack(*one))


def thinned(records: bytes) -> bytes:
    """The newer half as it is, of the older half every second, the first one too."""
    half = len(records) // RECORD.size // 2 * RECORD.size
    step = 2 * RECORD.size
    older = (records[at : at + RECORD.size] for at in range(0, half, step))
    return b"".join(older) + records[half:]


def _replace(folder: str, records: bytes) -> None:
    fresh = f"{folder}/{NAME}.new"
    fd = os.open(fresh, FRESH | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, records)
    finally:
        os.close(fd)
    os.rename(fresh, f"{folder}/{NAME}")


def read(folder: Path) -> list[Taken]:
    """What is kept, in the order of time; of a file that is not ours, what fits."""
    found = read_small(folder, NAME, 2 * MOST * RECORD.size)
    whole = len(found) // RECORD.size * RECORD.size
    samples = [Taken(*row) for row in RECORD.iter_unpack(found[:whole])]
    return sorted(one for one in samples if 0 < one.at < 1e11)


Columns = dict[str, list[float | None]]


def shown(samples: Sequence[Taken]) -> Columns:
    """As a chart wants them: CPU in cores and I/O in bytes a second since the sample
    before, memory as it was."""
    columns: Columns = {
        name: [] for name in ("times", "cpu", "memory", "read", "written")
    }
    for number, one in enumerate(samples):
        before = samples[number - 1] if number else None
        columns["times"].append(round(one.at, 3))
        columns["memory"].append(None if one.memory_bytes < 0 else one.memory_bytes)
        columns["cpu"].append(_rate(before, one, "cpu_s", 4))
        columns["read"].append(_rate(before, one, "read_bytes", 0))
        columns["written"].append(_rate(before, one, "written_bytes", 0))
    return columns


def _rate(before: Taken | None, one: Taken, name: str, digits: int) -> float | None:
    if before is None or one.at <= before.at:
        return None
    earlier, later = getattr(before, name), getattr(one, name)
    if earlier < 0 or later < earlier:
        return None
    with suppress(OverflowError):
        return round(float(later - earlier) / (one.at - before.at), digits)
    return None
