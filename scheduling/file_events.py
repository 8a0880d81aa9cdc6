"""Files that appear fire schedules: the node looks at what its schedules wait for.

Nothing is remembered between starts. A file counts if it came, or was written, since
the rule was made, and its key is made of node, path, inode and time of writing: so a
restart fires nothing twice and misses nothing.
"""

from __future__ import annotations

import fnmatch
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from agents import live_config
from agents.hooks import beneath
from scheduling import event_watchers, triggered
from scheduling.event_watchers import Watcher
from scheduling.kinds.event import WILD
from scheduling.models import Occurrence

log = logging.getLogger(__name__)
EVERY_S = 1.0
MOST_ENTRIES = 2_000  # read of one folder
MOST_AT_ONCE = 200  # files of one schedule that fire in one look
MOST_FOLDERS = 500  # a pattern may spread over
MOST_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file as it was seen, through a descriptor of its folder."""

    path: str
    inode: int
    size: int
    written_ns: int
    changed_ns: int  # its metadata too: when it came here

    @property
    def came_ns(self) -> int:
        return max(self.written_ns, self.changed_ns)


@dataclass(slots=True)
class FileWatch:
    """What a node's process has seen of the files it watches. One thread calls look."""

    node: str
    sizes: dict[tuple[int, str], tuple[Found, float]] = field(default_factory=dict)
    done: dict[str, None] = field(default_factory=dict)  # keys known to have fired

    def look(self, *, now: datetime, clock: float) -> int:
        """One look at everything; how many schedules were fired. `clock` in seconds
        only grows."""
        watchers = [
            w
            for w in event_watchers.read("file")
            if w.what.get("node", self.node) == self.node
        ]
        seen: dict[tuple[int, str], tuple[Found, float]] = {}
        fired = 0
        for watcher in watchers:
            ready = []
            for found in self.new_files(watcher):
                mark = (watcher.schedule_id, found.path)
                before = self.sizes.get(mark)
                is_same = before is not None and before[0] == found
                first_at = before[1] if before is not None and is_same else clock
                seen[mark] = (found, first_at)
                if clock - first_at >= watcher.what["stable_for"]:
                    ready.append(found)
            fired += self.fire(watcher, ready[:MOST_AT_ONCE], now)
        self.sizes = seen
        return fired

    def new_files(self, watcher: Watcher) -> list[Found]:
        """Those that came since the rule was made, and have not fired."""
        since_ns = int(watcher.since.timestamp() * 1e9)
        roots = live_config.current().events.file_roots
        return [
            found
            for found in files_like(watcher.what["path"], roots)
            if found.came_ns >= since_ns
            and self.key_of(watcher, found) not in self.done
        ]

    def key_of(self, watcher: Watcher, found: Found) -> str:
        facts = (found.path, str(found.inode), str(found.written_ns))
        return triggered.key_for("file", str(watcher.schedule_id), self.node, *facts)

    def fire(self, watcher: Watcher, ready: Sequence[Found], now: datetime) -> int:
        keys = {self.key_of(watcher, found): found for found in ready}
        if not keys:
            return 0
        mine = Occurrence.objects.filter(schedule_id=watcher.schedule_id)
        known = set(mine.filter(key__in=keys).values_list("key", flat=True))
        fired = 0
        for key, found in keys.items():
            if key not in known:
                told = {"path": found.path, "size": found.size, "node": self.node}
                fired += triggered.fire(
                    watcher.schedule,
                    key,
                    now=now,
                    params={"event": told},
                    reason=f"{found.path} appeared on {self.node}",
                )
            self.remember(key)
        return fired

    def remember(self, key: str) -> None:
        self.done[key] = None
        if len(self.done) > MOST_REMEMBERED:
            del self.done[next(iter(self.done))]


def files_like(path: str, roots: Sequence[str]) -> Iterator[Found]:
    """The regular files that a path or pattern means, below an allowed root. No link
    on the way from the root is followed."""
    placed = beneath.root_of(path, roots)
    if placed is None:
        return
    root, parts = placed
    if not parts:
        return
    with suppress(OSError), beneath.folder(Path(root)) as top:
        for folder, way in folders_like(top, parts[:-1], root.rstrip("/")):
            try:
                yield from files_in(folder, parts[-1], way)
            finally:
                os.close(folder)


def folders_like(top: int, parts: Sequence[str], way: str) -> Iterator[tuple[int, str]]:
    """Descriptors of the folders that the parts mean, each for the caller to close."""
    here = [(os.dup(top), way)]
    for part in parts:
        below: list[tuple[int, str]] = []
        for folder, path in here:
            try:
                for name in names_like(folder, part):
                    if len(below) >= MOST_FOLDERS:
                        break
                    with suppress(OSError):
                        fd = os.open(name, beneath.FOLDER, dir_fd=folder)
                        below.append((fd, f"{path}/{name}"))
            finally:
                os.close(folder)
        here = below
    yield from here


def names_like(folder: int, part: str) -> list[str]:
    if not any(character in part for character in WILD):
        return [part]
    found = []
    with suppress(OSError), os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= MOST_ENTRIES:
                log.warning("a folder has too many entries", extra={"most": number})
                break
            if fnmatch.fnmatchcase(entry.name, part) and is_plain(entry.name):
                found.append(entry.name)
    return sorted(found)


def is_plain(name: str) -> bool:
    """Whether a name can be told to a program as text."""
    return name.isprintable() and not any("\ud800" <= c <= "\udfff" for c in name)


def files_in(folder: int, part: str, way: str) -> Iterator[Found]:
    for name in names_like(folder, part):
        with suppress(OSError):
            seen = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if stat.S_ISREG(seen.st_mode):
                yield Found(
                    f"{way}/{name}",
                    seen.st_ino,
                    seen.st_size,
                    seen.st_mtime_ns,
                    seen.st_ctime_ns,
                )
