"""Files by what they contain: the node's cache of preloaded data.

A file is named by its SHA-256 and read again through it at each use, so one that was
damaged is fetched afresh. Runs that want the same file at once share one fetch. The
least recently used go when there is too much.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from agents.hooks.budget import Budget, HookFailed

log = logging.getLogger(__name__)
CHUNK = 1 << 20
PART = ".part"
LOOK_S = 0.2  # how often one who waits for another's fetch asks its budget


def digest_of(file: BinaryIO, budget: Budget) -> str:
    """The SHA-256 of all of the file, which is left at its beginning."""
    file.seek(0)
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        budget.check()
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def check_digest(file: BinaryIO, sha256: str, budget: Budget) -> None:
    """Raises HookFailed when the file is another one than was named."""
    found = digest_of(file, budget)
    if found != sha256:
        raise HookFailed(f"its sha256 is {found}, not {sha256}")


class Cache:
    """One node's. Any thread may ask."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._fetching: dict[str, tuple[threading.Lock, int]] = {}

    def tidy(self) -> None:
        """Throw away what a process before us left half done."""
        for path in self._files(PART):
            path.unlink(missing_ok=True)

    def take(
        self,
        sha256: str,
        fetch: Callable[[BinaryIO], None],
        *,
        most_bytes: int,
        budget: Budget,
    ) -> tuple[BinaryIO, bool]:
        """The file of this digest, open and checked, and whether it was there.

        Raises what `fetch` raises, and HookFailed when it brought another file.
        """
        with self._alone(sha256, budget):
            if (found := self._open(sha256, budget)) is not None:
                return found, True
            return self._fetched(sha256, fetch, most_bytes, budget), False

    def _open(self, sha256: str, budget: Budget) -> BinaryIO | None:
        path = self.folder / sha256
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return None
        try:
            if digest_of(file, budget) == sha256:
                os.utime(path)
                return file
        except BaseException:
            file.close()
            raise
        file.close()
        log.warning("a damaged file in the cache is fetched again: %s", sha256)
        path.unlink(missing_ok=True)
        return None

    def _fetched(
        self,
        sha256: str,
        fetch: Callable[[BinaryIO], None],
        most_bytes: int,
        budget: Budget,
    ) -> BinaryIO:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{uuid.uuid4().hex}{PART}"
        file = path.open("x+b")
        try:
            os.fchmod(file.fileno(), 0o600)
            fetch(file)
            file.flush()
            check_digest(file, sha256, budget)
            self._make_room(os.fstat(file.fileno()).st_size, most_bytes)
            path.rename(self.folder / sha256)
        except BaseException:
            file.close()
            path.unlink(missing_ok=True)
            raise
        return file

    def _make_room(self, size: int, most_bytes: int) -> None:
        """Let the least recently used go. A file larger than all room stays alone
        until the next one comes."""
        with self._lock:
            seen = [(p, s) for p in self._files() if (s := _stat(p)) is not None]
            total = size + sum(s.st_size for _, s in seen)
            for path, stat in sorted(seen, key=lambda one: one[1].st_mtime_ns):
                if total <= most_bytes:
                    return
                path.unlink(missing_ok=True)
                total -= stat.st_size

    def _files(self, ending: str = "") -> list[Path]:
        try:
            found = list(self.folder.iterdir())
        except FileNotFoundError:
            return []
        return [path for path in found if path.suffix == ending]

    @contextlib.contextmanager
    def _alone(self, sha256: str, budget: Budget) -> Iterator[None]:
        """One at a time for each digest; the others wait within their own time."""
        with self._lock:
            turn, waiting = self._fetching.get(sha256, (threading.Lock(), 0))
            self._fetching[sha256] = turn, waiting + 1
        try:
            while not turn.acquire(timeout=LOOK_S):
                budget.check()
            try:
                yield
            finally:
                turn.release()
        finally:
            with self._lock:
                turn, waiting = self._fetching.pop(sha256)
                if waiting > 1:
                    self._fetching[sha256] = turn, waiting - 1


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
