"""Old output on the disk: made small, and at last removed. Both may be interrupted at
any point, by us or by a crash: what is there is readable, and the next turn goes on.

An output becomes gzip members, written beside it with their index; only when both are
complete on the disk and have their names does the plain file go. Folders are taken
apart without recursion, however deep an agent nested them.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from monitor.log_files import GZIP, MEMBER_BYTES, RECORD, regular

LEAST_BYTES = 16 * 2**10  # smaller ones stay: two more files would be no gain
LEVEL = 5
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
WRITE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Deadline:
    """When this turn's work must stop."""

    def __init__(self, budget_s: float) -> None:
        self.until = time.monotonic() + budget_s

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.until


def is_large(folder: Path, stream: str) -> bool:
    """Whether there is a plain output worth making small."""
    try:
        seen = os.lstat(folder / stream)
    except OSError:
        return False
    return seen.st_blocks * 512 >= LEAST_BYTES and seen.st_size >= LEAST_BYTES


def compress(folder: Path, stream: str, deadline: Deadline) -> bool:
    """Make an ended run's output small; whether it is done. Raises OSError."""
    with ExitStack() as stack:
        parent = os.open(folder, FOLDER)
        stack.callback(os.close, parent)
        source = regular(parent, stream)
        if source is None:
            return True
        stack.callback(os.close, source)
        packed = os.open(f"{stream}.gz.part", WRITE, 0o600, dir_fd=parent)
        stack.callback(os.close, packed)
        index = os.open(f"{stream}.index.part", WRITE, 0o600, dir_fd=parent)
        stack.callback(os.close, index)
        if not _pack(source, packed, index, deadline):
            return False
        seen = os.fstat(source)
        os.utime(packed, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        os.fsync(packed)
        os.fsync(index)
        for name in (f"{stream}.index", f"{stream}.gz"):
            os.rename(f"{name}.part", name, src_dir_fd=parent, dst_dir_fd=parent)
        os.fsync(parent)
        os.unlink(stream, dir_fd=parent)
    return True


def _pack(source: int, packed: int, index: int, deadline: Deadline) -> bool:
    """Go on from the last whole member that the index tells of."""
    size = os.fstat(source).st_size
    at, end = _where_it_stopped(packed, index)
    for start, length in _members(source, at, size):
        if deadline.is_over:
            return False
        squeeze = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP)
        data = os.pread(source, length, start)
        member = squeeze.compress(data) + squeeze.flush()
        os.pwrite(packed, member, end)
        os.write(index, RECORD.pack(start, len(data), end, len(member)))
        end += len(member)
    os.write(index, RECORD.pack(size, 0, end, 0))
    return True


def _where_it_stopped(packed: int, index: int) -> tuple[int, int]:
    """The offsets to go on at, in the output and in the .gz. Cuts off what is half."""
    count = os.fstat(index).st_size // RECORD.size
    at = end = 0
    while count:
        data = os.pread(index, RECORD.size, (count - 1) * RECORD.size)
        start, length, place, size = RECORD.unpack(data)
        if size and place + size <= os.fstat(packed).st_size:
            at, end = start + length, place + size
            break
        count -= 1
    os.ftruncate(index, count * RECORD.size)
    os.ftruncate(packed, end)
    os.lseek(index, 0, os.SEEK_END)
    return at, end


def _members(source: int, at: int, size: int) -> Iterator[tuple[int, int]]:
    """What is to go into a member each: the data, without the holes between."""
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
            hole = os.lseek(source, at, os.SEEK_HOLE)
        except OSError:  # nothing but a hole up to the end
            return
        while at < hole:
            length = min(MEMBER_BYTES, hole - at)
            yield at, length
            at += length


def remove(folder: Path, deadline: Deadline) -> bool:
    """Remove a run's folder with all that is in it; whether it is gone.

    What is nested is first moved up, so that no path gets long and no call deep.
    """
    try:
        top = os.open(folder, FOLDER)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        number = 0
        while names := os.listdir(top):
            for name in names:
                if deadline.is_over:
                    return False
                number = _take_away(top, name, number)
    except OSError:
        return False  # not ours to remove; tried again another time
    finally:
        os.close(top)
    with suppress(OSError):
        folder.rmdir()
        return True
    return False


def _take_away(top: int, name: str, number: int) -> int:
    """Remove an entry; of a folder first move up its own folders."""
    try:
        os.unlink(name, dir_fd=top)
        return number
    except (IsADirectoryError, PermissionError):
        pass  # a folder; which of the two is told depends on the system
    inner = _entered(top, name)
    try:
        for entry in os.listdir(inner):
            try:
                os.unlink(entry, dir_fd=inner)
            except (IsADirectoryError, PermissionError):
                moved, number = f".{number}.kos", number + 1
                while os.path.lexists(f"/proc/self/fd/{top}/{moved}"):
                    moved, number = f".{number}.kos", number + 1
                os.close(_entered(inner, entry))  # moving it writes its ".."
                os.rename(entry, moved, src_dir_fd=inner, dst_dir_fd=top)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)
    return number


def _entered(parent: int, name: str) -> int:
    """A descriptor of a folder in there that we may change. Root may as it is, and
    changes no rights: what stands there may be swapped for a link meanwhile."""
    if os.geteuid():
        os.chmod(name, 0o700, dir_fd=parent)
    return os.open(name, FOLDER, dir_fd=parent)
