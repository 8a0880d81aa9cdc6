"""The one door to what runs left in $KOS_ARTEFACTS: a list, and a file by its name.

The agent made the folder's content and may have put anything there. So each part of a
way is opened by itself and never as a link, only plain files count, and a list costs
the same however much lies there. Today the local disk is read; a run of another node
will be asked for there.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings

from agents.config_sections import Artefacts
from agents.errors import NotFound
from agents.http import iso
from scheduling.run_folders import artefacts_name

UID = re.compile(r"[0-9a-f]{32}", re.ASCII)
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
DEEPEST = 32  # folders within one another
MOST_NAME_CHARS = 1_000
PIECE_BYTES = 256 * 2**10
LATEST_S = 32_503_680_000  # the year 3000: an agent may set any time of a file


@dataclass(frozen=True, slots=True)
class Artefact:
    name: str  # its way below the folder, with slashes
    size: int
    modified_at: datetime

    def told(self) -> dict[str, Any]:
        at = iso(self.modified_at)
        return {"name": self.name, "size": self.size, "modified_at": at}


@dataclass(frozen=True, slots=True)
class Listing:
    items: tuple[Artefact, ...]
    cut: str | None  # why it is not all of it


class Opened:
    """A file that is being read. Close it."""

    def __init__(self, fd: int, name: str) -> None:
        self.fd, self.name = fd, name
        self.size = os.fstat(fd).st_size

    def read(self, start: int, length: int) -> bytes:
        return os.pread(self.fd, min(length, PIECE_BYTES, self.size - start), start)

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def open(uid: str, name: str) -> Opened:
    """Raises NotFound for all that is not a plain file of this run."""
    parts = name.split("/")
    if not is_plain(name) or len(parts) > DEEPEST:
        raise _no_such(name)
    with ExitStack() as held, suppress(OSError):
        folder = _enter(uid, parts[:-1], held)
        fd = os.open(parts[-1], FILE, dir_fd=folder)
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return Opened(fd, parts[-1])
        os.close(fd)
    raise _no_such(name)


def is_plain(name: str) -> bool:
    """A way that goes only down, in characters that can be shown and sent."""
    parts = name.split("/")
    return (
        0 < len(name) <= MOST_NAME_CHARS
        and name.isprintable()
        and not any(part in ("", ".", "..") for part in parts)
    )


def listing(uid: str, limits: Artefacts) -> Listing:
    """What is there now, by name, as far as the limits go."""
    walk = _Walk(limits)
    with ExitStack() as held, suppress(OSError):
        walk.folder(_enter(uid, [], held), "", 1)
    items = tuple(sorted(walk.items, key=lambda item: item.name))
    return Listing(items, walk.why_cut())


class _Walk:
    """One look through the folder, bounded in files, bytes, depth and entries."""

    def __init__(self, limits: Artefacts) -> None:
        self.limits = limits
        self.items: list[Artefact] = []
        self.bytes = 0
        self.seen = 0
        self.odd = 0  # neither a plain file nor a folder, or of an unusable name
        self.full = ""

    def folder(self, fd: int, way: str, depth: int) -> None:
        names, has_more = self.names(fd)
        for name in names:
            if self.full:
                return
            path = f"{way}{name}"
            if not is_plain(path):
                self.odd += 1
            else:
                self.entry(fd, name, path, depth)
        if has_more and not self.full:
            self.full = "there are too many entries"

    def names(self, fd: int) -> tuple[list[str], bool]:
        """In order; of a folder of millions only as many as can count, and whether
        there are more."""
        room = self.limits.max_files * 2 + 1000 - self.seen
        with os.scandir(fd) as found:
            names = [entry.name for entry in islice(found, room + 1)]
        self.seen += len(names)
        return sorted(names[:room]), len(names) > room

    def entry(self, fd: int, name: str, path: str, depth: int) -> None:
        try:
            seen = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError:
            return  # it went meanwhile
        if stat.S_ISREG(seen.st_mode):
            self.file(path, seen)
        elif stat.S_ISDIR(seen.st_mode) and depth < DEEPEST:
            with suppress(OSError):
                inner = os.open(name, FOLDER, dir_fd=fd)
                try:
                    self.folder(inner, f"{path}/", depth + 1)
                finally:
                    os.close(inner)
        else:
            self.odd += 1

    def file(self, path: str, seen: os.stat_result) -> None:
        if len(self.items) >= self.limits.max_files:
            self.full = f"there are more than {self.limits.max_files} files"
        elif self.bytes + seen.st_size > self.limits.max_bytes:
            self.full = f"together they exceed {self.limits.max_bytes} bytes"
        else:
            self.bytes += seen.st_size
            at = datetime.fromtimestamp(min(max(seen.st_mtime, 0), LATEST_S), UTC)
            self.items.append(Artefact(path, seen.st_size, at))

    def why_cut(self) -> str | None:
        odd = f"{self.odd} entries that are not plain files are left out"
        said = [self.full] if self.full else []
        return "; ".join(said + ([odd] if self.odd else [])) or None


def _enter(uid: str, parts: list[str], held: ExitStack) -> int:
    """The folder's descriptor, held by `held`. Raises OSError, NotFound."""
    if not UID.fullmatch(uid):
        raise NotFound("there is no such run")
    way = PurePosixPath(artefacts_name(uid)).relative_to(settings.VAR).parts
    here = os.open(settings.VAR, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    held.callback(os.close, here)
    for part in (*way, *parts):
        here = os.open(part, FOLDER, dir_fd=here)
        held.callback(os.close, here)
    return here


def _no_such(name: str) -> NotFound:
    return NotFound(f"there is no artefact {name[:80]!r}")


def pieces(file: Opened, start: int, end: int) -> Iterator[bytes]:
    """The bytes from start to end. Raises OSError where the file has become shorter:
    what was promised cannot be kept, and nobody may take the rest for all of it."""
    while start < end:
        piece = file.read(start, end - start)
        if not piece:
            raise OSError("the file has become shorter")
        yield piece
        start += len(piece)
