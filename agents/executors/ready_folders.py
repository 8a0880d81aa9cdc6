"""Run folders made in quiet moments, so that a start only renames one into place.

Making a folder, its work/ and a file costs a file system more than the rest of a start
costs us. `out` is left to the program's own child: that it exists says that the
program was about to begin.
"""

from __future__ import annotations

import os
import shutil

MOST = 256
MAKING = ".new"


class ReadyFolders:
    """A stock below the holder's own folder. What cannot be used costs only time."""

    def __init__(self, folder: str) -> None:
        self.place = f"{folder}/ready"
        self.count = 0
        self.names: list[str] = []
        self.wanted = False  # nothing is made before the first run asks

    def take(self, folder: str) -> bool:
        """Put a ready one at `folder`. False: there is none, or it cannot be moved."""
        if not self.wanted:
            self.wanted = True
            self._find()
        while self.names:
            try:
                os.rename(f"{self.place}/{self.names[-1]}", folder)
            except FileNotFoundError:
                if os.path.isdir(os.path.dirname(folder)):
                    self.names.pop()  # somebody took it away
                    continue
                os.makedirs(os.path.dirname(folder), 0o700, exist_ok=True)
            except OSError:  # it exists already, or lies on another file system
                return False
            else:
                self.names.pop()
                return True
        return False

    @property
    def is_full(self) -> bool:
        return not self.wanted or len(self.names) >= MOST

    def make_one(self) -> None:
        self.count += 1
        name = f"{self.place}/{self.count}"
        try:
            os.mkdir(f"{name}{MAKING}", 0o700)
            os.mkdir(f"{name}{MAKING}/work", 0o700)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            os.close(os.open(f"{name}{MAKING}/err", flags, 0o600))
            os.rename(f"{name}{MAKING}", name)
        except OSError:  # a full disk is for the next start to tell
            self.wanted = False
            return
        self.names.append(str(self.count))

    def _find(self) -> None:
        """What an earlier holder left: whole ones are used, halves thrown away."""
        try:
            os.makedirs(self.place, 0o700, exist_ok=True)
            found = os.listdir(self.place)
        except OSError:
            self.wanted = False
            return
        for name in found:
            if name.endswith(MAKING):
                shutil.rmtree(f"{self.place}/{name}", ignore_errors=True)
        self.names = [name for name in found if name.isdecimal()]
        self.count = max(map(int, self.names), default=0)
