"""Where programs say how they are: bound datagram sockets, one for each live run.

A socket lies in a folder of its own, so that a jail or container can be shown that
folder and nothing else, and sees the new socket when a later holder binds it again.
Sockets are made in quiet moments and used again: a start only takes one.

Two places: below the holder's folder (0700) for programs of the node's own user and for
what is mounted into jails; and one below /tmp that can be entered, for programs of
another user and where the first is too deep for an address.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import stat
from collections.abc import Callable
from typing import Any

STOCK = 256  # made ahead
MOST_KEPT = 512  # of those that were used
MOST_PATH = 107  # of a socket's address
NAME = "socket"
OPEN = "open-"  # how names of the second place begin


class Slot:
    """A bound socket. `folder` is where it lies, `path` how a program here finds it."""

    __slots__ = ("folder", "name", "owner", "socket", "voice")

    def __init__(self, name: str, folder: str, *, fresh: bool) -> None:
        self.voice: Any = None  # notifying.Voice of the run that has it
        self.name = name
        self.folder = folder
        self.owner = os.geteuid()
        self.socket = _bound(folder, fresh=fresh)

    @property
    def path(self) -> str:
        return f"{self.folder}/{NAME}"

    def give_to(self, owner: int) -> None:
        """Let this user write to it, and nobody else (but root)."""
        if owner != self.owner:
            os.chown(self.path, owner, -1, follow_symlinks=False)
            self.owner = owner


def _bound(folder: str, *, fresh: bool) -> socket.socket:
    """A new socket in `folder`, at a path of any length."""
    place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    mask = os.umask(0o177)
    try:
        if not fresh:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(NAME, dir_fd=place)
        made.bind(f"/proc/self/fd/{place}/{NAME}")
    except BaseException:
        made.close()
        raise
    finally:
        os.umask(mask)
        os.close(place)
    return made


class NotifySockets:
    def __init__(
        self,
        folder: str,
        listen: Callable[[Slot], None],
        let_go: Callable[[Slot], None],
    ) -> None:
        self.listen, self.let_go = listen, let_go
        self.near = f"{folder}/notify"
        self.link = f"{folder}/notify-open"  # leads to the second place
        self.stock: list[Slot] = []
        self.count = 0
        self.wanted = False  # nothing is made before the first run

    def take(self, owner: int, *, by_path: bool) -> Slot:
        """A socket for a run of `owner`; `by_path`: its program finds it by its path
        here, not in a jail. Raises OSError."""
        self.wanted = True
        if by_path and (owner != os.geteuid() or not self._is_short()):
            return self._make(open_=True, owner=owner)
        slot = self.stock.pop() if self.stock else self._make()
        slot.give_to(owner)
        return slot

    def again(self, name: str, owner: int) -> Slot:
        """The socket of a run that our forerunner had. Raises OSError."""
        self.wanted = True
        number = int(name.removeprefix(OPEN))
        self.count = max(self.count, number)
        return self._make(name, owner=owner)

    def give_back(self, slot: Slot) -> None:
        if slot.name.startswith(OPEN) or len(self.stock) >= MOST_KEPT:
            self._end(slot)
        else:
            self.stock.append(slot)

    def discard(self, slot: Slot) -> None:
        """Use a free one no more."""
        if slot in self.stock:
            self.stock.remove(slot)
            self._end(slot)

    def _end(self, slot: Slot) -> None:
        self.let_go(slot)
        slot.socket.close()
        shutil.rmtree(slot.folder, ignore_errors=True)

    @property
    def is_full(self) -> bool:
        return not self.wanted or len(self.stock) >= STOCK

    def make_one(self) -> None:
        try:
            self.stock.append(self._make())
        except OSError:  # for the next start to tell
            self.wanted = False

    def _make(self, name: str = "", *, open_: bool = False, owner: int = -1) -> Slot:
        if not name:
            self.count += 1
            name = f"{OPEN if open_ else ''}{self.count}"
        place = self._open_place() if name.startswith(OPEN) else near_place(self.near)
        folder = f"{place}/{name}"
        try:
            os.mkdir(folder, 0o711)
            fresh = True
        except FileExistsError:
            fresh = False
        slot = Slot(name, folder, fresh=fresh)
        if owner >= 0:
            slot.give_to(owner)
        self.listen(slot)
        return slot

    def _is_short(self) -> bool:
        return len(os.fsencode(f"{self.near}/99999999/{NAME}")) <= MOST_PATH

    def _open_place(self) -> str:
        """Below /tmp, under a name nobody could have taken before us."""
        with contextlib.suppress(OSError):
            place = os.readlink(self.link)
            seen = os.lstat(place)
            if stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid():
                return place
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.link)
        place = f"/tmp/kos-{os.urandom(8).hex()}"
        os.mkdir(place, 0o711)
        os.symlink(place, self.link)
        return place

    def tidy(self, used: set[str]) -> None:
        """What an earlier holder left and no run uses."""
        for place in (self.near, self.link):
            for name in _listed(place):
                if name not in used:
                    shutil.rmtree(f"{place}/{name}", ignore_errors=True)

    def dissolve(self) -> None:
        """Nothing runs any more."""
        with contextlib.suppress(OSError):
            shutil.rmtree(os.readlink(self.link), ignore_errors=True)
            os.unlink(self.link)
        shutil.rmtree(self.near, ignore_errors=True)


def near_place(place: str) -> str:
    with contextlib.suppress(FileExistsError):
        os.mkdir(place, 0o700)
    return place


def _listed(place: str) -> list[str]:
    try:
        return os.listdir(place)
    except OSError:
        return []
