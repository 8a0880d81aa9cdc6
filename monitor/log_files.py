"""One stream of a run as it lies on the disk: the file the program appended to, or what
was made of it later. Opened by descriptor, plain files only, read in constant memory.

An old output is kept as `out.gz`, gzip members one behind the other (`zcat` reads it),
with `out.index` telling where each begins. Offsets stay those of what was printed.
"""

from __future__ import annotations

import json
import os
import stat
import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
CUT_BYTES = 4096  # a cut file is one small JSON object
MEMBER_BYTES = 256 * 2**10  # of output in one gzip member: the price of any read
# of output: where, how much; in the .gz: where, how much. The last one tells the size.
RECORD = struct.Struct("<QIQI")
GZIP = 31  # zlib's window bits for a gzip header


@dataclass(frozen=True, slots=True)
class Cut:
    """Output that was not kept: bytes `start` to `end` of what the run printed."""

    start: int
    end: int


class Output(ABC):
    """What is kept of a stream. `close` it, or use `opened`."""

    def __init__(self, size: int, cut: Cut | None, written_at: float) -> None:
        self.size = size  # of all that was printed
        self.cut = cut
        self.written_at = written_at  # when the last of it was, seconds since the epoch

    @abstractmethod
    def pread(self, start: int, length: int) -> bytes:
        """Bytes as printed; where a hole is, zeros. Fewer only at the end."""

    @abstractmethod
    def close(self) -> None:
        """Nothing may be read after it."""


class Nothing(Output):
    """A stream without a file, or with something in its place that is none."""

    def __init__(self) -> None:
        super().__init__(0, None, 0.0)

    def pread(self, start: int, length: int) -> bytes:
        return b""

    def close(self) -> None:
        pass


class Plain(Output):
    def __init__(self, fd: int, cut: Cut | None) -> None:
        self.fd = fd
        seen = os.fstat(fd)
        super().__init__(seen.st_size, cut, seen.st_mtime)

    def pread(self, start: int, length: int) -> bytes:
        return os.pread(self.fd, length, start)

    def close(self) -> None:
        os.close(self.fd)


class Packed(Output):
    """A compressed output; holds one member unpacked at a time."""

    def __init__(self, fd: int, index: int, cut: Cut | None) -> None:
        self.fd, self.index = fd, index
        self.count = max(os.fstat(index).st_size // RECORD.size - 1, 0)
        size = self.record(self.count)[0]
        super().__init__(size, cut, os.fstat(fd).st_mtime)
        self.held: tuple[int, bytes] = (-1, b"")

    def record(self, number: int) -> tuple[int, int, int, int]:
        data = os.pread(self.index, RECORD.size, number * RECORD.size)
        if len(data) < RECORD.size:
            return 0, 0, 0, 0
        start, length, at, packed = RECORD.unpack(data)
        return start, length, at, packed

    def pread(self, start: int, length: int) -> bytes:
        end = min(start + length, self.size)
        parts, at = [], start
        number = self.member_at(start)
        while at < end and number < self.count:
            begin, size, _, _ = self.record(number)
            if begin > at:
                parts.append(bytes(min(begin, end) - at))
                at = min(begin, end)
            part = self.member(number)[at - begin : end - begin] if at < end else b""
            parts.append(part)
            at = max(at + len(part), min(begin + size, end))
            number += 1
        parts.append(bytes(max(end - at, 0)))
        return b"".join(parts)

    def member_at(self, offset: int) -> int:
        """The first member that ends behind the offset."""
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            begin, size, _, _ = self.record(middle)
            if begin + size > offset:
                high = middle
            else:
                low = middle + 1
        return low

    def member(self, number: int) -> bytes:
        if self.held[0] != number:
            _, length, at, packed = self.record(number)
            data = b""
            with suppress(zlib.error):
                raw = os.pread(self.fd, min(packed, 2 * MEMBER_BYTES), at)
                most = min(length, MEMBER_BYTES)
                data = zlib.decompressobj(GZIP).decompress(raw, most)
            self.held = number, data.ljust(min(length, MEMBER_BYTES), b"\0")
        return self.held[1]

    def close(self) -> None:
        os.close(self.fd)
        os.close(self.index)


@contextmanager
def opened(folder: Path, stream: str) -> Iterator[Output]:
    """The stream's output; what is missing, a link, a pipe or a device is empty."""
    output = _found(folder, stream)
    try:
        yield output
    finally:
        output.close()


def _found(folder: Path, stream: str) -> Output:
    try:
        parent = os.open(folder, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return Nothing()
    try:
        # the plain one first: it goes only after the packed one is complete
        if (fd := regular(parent, stream)) is not None:
            return Plain(fd, read_cut(parent, stream))
        if (fd := regular(parent, f"{stream}.gz")) is None:
            return Nothing()
        if (index := regular(parent, f"{stream}.index")) is None:
            os.close(fd)
            return Nothing()
        return Packed(fd, index, read_cut(parent, stream))
    finally:
        os.close(parent)


def regular(parent: int, name: str) -> int | None:
    """A descriptor of the name in that folder, where it is a plain file."""
    with suppress(OSError):
        file = os.open(name, OPEN, dir_fd=parent)
        if stat.S_ISREG(os.fstat(file).st_mode):
            return file
        os.close(file)
    return None


def read_small(folder: Path, name: str, most_bytes: int) -> bytes:
    """The beginning of a plain file in the folder; b"" where there is none."""
    with suppress(OSError):
        parent = os.open(folder, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            file = regular(parent, name)
        finally:
            os.close(parent)
        if file is not None:
            try:
                return os.pread(file, most_bytes, 0)
            finally:
                os.close(file)
    return b""


def cut_of(folder: Path, stream: str) -> Cut | None:
    """What was cut of a stream, as it is said now."""
    with suppress(OSError):
        parent = os.open(folder, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return read_cut(parent, stream)
        finally:
            os.close(parent)
    return None


def read_cut(parent: int, stream: str) -> Cut | None:
    file = regular(parent, f"{stream}.cut")
    if file is None:
        return None
    try:
        said = json.loads(os.pread(file, CUT_BYTES, 0))
        return Cut(int(said["from"]), int(said["to"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        return None  # half written, or not ours
    finally:
        os.close(file)
