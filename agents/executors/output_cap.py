"""Keeps a run's output on disk under its cap while the program goes on writing.

Programs append to their own files, so nothing is lost whoever dies. Of a file grown
past the cap the middle is taken out as a hole: the head and the newest part stay, the
file's size still tells every byte written, and `out.cut` says which are gone.
"""

from __future__ import annotations

import ctypes
import json
import os

from agents.executors.children import LIBC
from agents.executors.held import Run

BLOCK = 4096  # holes are cut in whole blocks
LEAST_CAP_BYTES = 8 * BLOCK
PUNCH = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
STREAMS = ("out", "err")


def enforce(run: Run) -> bool:
    """Cut what is over the cap. Returns whether the run wrote since the last time."""
    cap = max(run.output_bytes, LEAST_CAP_BYTES)
    written = 0
    for stream in STREAMS:
        try:
            size = os.lstat(f"{run.folder}/{stream}").st_size
        except OSError:
            continue
        written += size
        if size > cap:
            _cut(run, stream, size, cap)
    grew = written != run.written_bytes
    run.written_bytes = written
    return grew


def _cut(run: Run, stream: str, size: int, cap: int) -> None:
    """Keep half the cap at the head and half behind the hole. A hole only grows."""
    path = f"{run.folder}/{stream}"
    end = _down(size - cap // 2)
    if stream not in run.holes:
        run.holes[stream] = _said(f"{path}.cut", size)
    first, done = run.holes[stream] or (end, end)
    start = min(first, _down(cap // 2))
    if start >= first and end <= done:
        return
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return  # taken away by the agent
    try:
        end = max(end, done)
        _say(f"{path}.cut", start, end)  # first: zeros are never taken for output
        begin = done if start == first else start
        length = ctypes.c_int64(end - begin)
        if LIBC.fallocate64(fd, PUNCH, ctypes.c_int64(begin), length) == 0:
            run.holes[stream] = (start, end)
    finally:
        os.close(fd)


def _said(path: str, size: int) -> tuple[int, int] | None:
    """The hole as an earlier holder cut it, or None. The agent may have written it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        cut = json.loads(os.read(fd, BLOCK))
        hole = int(cut["from"]), int(cut["to"])
    except (OSError, ValueError, LookupError, TypeError):
        return None
    finally:
        os.close(fd)
    return hole if 0 <= hole[0] < hole[1] <= size else None


def _say(path: str, start: int, end: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fresh = f"{path}.new"
    fd = os.open(fresh, flags, 0o600)
    os.write(fd, json.dumps({"from": start, "to": end}).encode())
    os.close(fd)
    os.rename(fresh, path)


def _down(number: int) -> int:
    return number - number % BLOCK
