"""The sink that writes a file below an allowed folder.

A path that ends with / is a folder, and each run a file in it; one that ends with
.jsonl or .ndjson gets a line for each run; any other holds the newest run alone. Each
part of the way is opened by itself and is never a link, a file appears whole or not at
all, and a line is written in one piece.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import PurePosixPath

from agents import names
from scheduling.sinks.parcel import NotDelivered, Parcel

LINES = (".jsonl", ".ndjson")
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


async def deliver(parcel: Parcel) -> str:
    """Write it; where. Raises NotDelivered."""
    return await asyncio.to_thread(write, parcel)


def write(parcel: Parcel) -> str:
    target = parcel.target
    path = target + f"{parcel.run}.json" if target.endswith("/") else target
    root = next((r for r in parcel.rules.file_roots if names.is_under(path, (r,))), "")
    if not root:
        raise NotDelivered(f"{path} is not under results.file_roots")
    try:
        folder = _folder(root, PurePosixPath(path).relative_to(root).parts[:-1])
        try:
            if path.endswith(LINES):
                _append(folder, os.path.basename(path), parcel.body)
            else:
                _replace(folder, os.path.basename(path), parcel.body)
        finally:
            os.close(folder)
    except OSError as error:
        raise NotDelivered(f"cannot write {path}: {error.strerror}") from None
    return f"written to {path}"


def _folder(root: str, parts: tuple[str, ...]) -> int:
    """A descriptor of the folder below the root, made where it is not there."""
    folder = os.open(root, FOLDER)
    for part in parts:
        try:
            with suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=folder)
            inner = os.open(part, FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


def _append(folder: int, name: str, body: bytes) -> None:
    """Add a line, mending one that was torn by a power loss or a full disk."""
    fd = os.open(name, APPEND | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(0, "it is not a plain file")
        fcntl.flock(fd, fcntl.LOCK_EX)
        size = os.fstat(fd).st_size
        torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
        line = (b"\n" if torn else b"") + body + b"\n"
        if os.write(fd, line) != len(line):
            os.ftruncate(fd, size)
            raise OSError(0, "the disk is full")
        os.fsync(fd)
    finally:
        os.close(fd)


def _replace(folder: int, name: str, body: bytes) -> None:
    fresh = f".{name}.{os.getpid()}"
    with suppress(FileNotFoundError):
        os.unlink(fresh, dir_fd=folder)
    fd = os.open(fresh, FRESH, 0o600, dir_fd=folder)
    with os.fdopen(fd, "wb") as file:
        file.write(body + b"\n")
        file.flush()
        os.fsync(fd)
    os.rename(fresh, name, src_dir_fd=folder, dst_dir_fd=folder)
