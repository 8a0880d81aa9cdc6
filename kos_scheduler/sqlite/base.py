"""Django's SQLite backend, with one door for all writers of a machine.

SQLite lets a writer that finds the database busy sleep 1, 2, 5, 10, 20 ms and look
again, so a transaction of a third of a millisecond costs whoever comes second up to
ten. Here write transactions queue at a lock file first and are let in within a
fraction of a millisecond. SQLite's own lock still decides: a writer who does not come
through the door, or finds it shut for too long, is only slower.
"""

from __future__ import annotations

import fcntl
import os
import time
from typing import Any

from django.db.backends.sqlite3 import base

FIRST_LOOK_S = 0.0002
LONGEST_LOOK_S = 0.002
SHUT_FOR_S = 5.0  # then try SQLite itself, which waits and says what is wrong


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection; belongs to one thread, as every connection of Django's."""

    _door = -1
    _inside = False

    def _start_transaction_under_autocommit(self) -> None:
        self._enter()
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            self._leave()
            raise

    def _commit(self) -> Any:
        try:
            return super()._commit()  # type: ignore[misc]
        finally:
            self._leave()

    def _rollback(self) -> Any:
        try:
            return super()._rollback()  # type: ignore[misc]
        finally:
            self._leave()

    def _close(self) -> Any:
        try:
            return super()._close()  # type: ignore[misc]
        finally:
            self._inside = False
            if self._door >= 0:
                os.close(self._door)
                self._door = -1

    def _enter(self) -> None:
        """Wait for our turn to write. Whoever dies inside leaves: the kernel sees to
        that."""
        if self._inside or self.is_in_memory_db():
            return
        if self._door < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._door = os.open(f"{self.settings_dict['NAME']}-door", flags, 0o600)
        until, pause_s = time.monotonic() + SHUT_FOR_S, FIRST_LOOK_S
        while not self._is_open():
            if time.monotonic() > until:
                return
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.25, LONGEST_LOOK_S)

    def _is_open(self) -> bool:
        try:
            fcntl.flock(self._door, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        self._inside = True
        return True

    def _leave(self) -> None:
        if self._inside:
            self._inside = False
            fcntl.flock(self._door, fcntl.LOCK_UN)
