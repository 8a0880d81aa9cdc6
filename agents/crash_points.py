"""Places at which a process can be told to die at once, to prove that nothing is lost.

`KOS_CRASH_AT=after_claim` ends a process with SIGKILL whenever it gets there. With the
absolute path of a file it dies at the point that the file names; the file is taken
away first, so that one file is one death, of whichever process is there first. Unset,
as always outside of tests, nothing here is reached. Knows no Django.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

VARIABLE = "KOS_CRASH_AT"
POINTS = (
    "before_occurrence",  # an instant is due; nothing of it is written
    "after_occurrence",  # its occurrence and its queued run stand
    "after_claim",  # admitted, and its node does not know
    "after_enqueue",  # its launch was sent
    "after_dequeue",  # its node has the launch
    "after_token",  # STARTING stands, its executor has not been asked
    "before_spawn",  # the executor has written that it is about to
    "after_spawn_before_handle",  # its program runs, and no line says so
    "mid_log",  # half a line of the executor's log is written
    "after_exit_before_save",  # the end was read, the database does not know
    "after_save_before_event",  # inside the transaction, between state and event
    "after_event",  # inside the transaction, before its commit
    "after_handle",  # what the executor told stands in the database
)
said = os.environ.get(VARIABLE, "")


def reach(point: str) -> None:
    """Die here if that is wanted."""
    if said and is_wanted(point):
        os.kill(os.getpid(), signal.SIGKILL)


def is_wanted(point: str) -> bool:
    """Whether this process dies here; of those at the point, one takes the file."""
    if not said.startswith("/"):
        return said == point
    with suppress(OSError):
        with open(said) as order:
            named = order.read().strip()
        if named == point:
            os.unlink(said)
            return True
    return False


def unknown() -> str | None:
    """What KOS_CRASH_AT says that is no point; None when it is in order."""
    return None if said in ("", *POINTS) or said.startswith("/") else said
