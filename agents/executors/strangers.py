"""Programs that are nobody's children here any more, watched by pidfd.

When the guard dies, the programs it had inherited go to init. Nobody disturbs them: a
pidfd that was opened while a program lived still tells how it ended (Linux 6.15), and
so does its zombie until init reaps it. The pidfds are handed from holder to guard to
holder as open files.
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
from collections.abc import Iterable

from agents.executors import children
from agents.executors.held import Run

HANDED_ON = "KOS_PIDFDS"  # "uid=fd uid=fd" in the environment of guard and holder
GET_INFO = 0xC040FF0B  # PIDFD_GET_INFO, with the first form of its struct: 64 bytes
WITH_EXIT = 1 << 3


def open_pidfd(run: Run) -> int:
    """A pidfd of the run's program; -1 when it is gone or the kernel has none."""
    try:
        fd = os.pidfd_open(run.pid)
    except OSError:
        return -1
    seen = children.stat(run.pid)
    if seen is not None and seen.begun == run.begun:
        return fd
    os.close(fd)
    return -1


def hand_on(runs: Iterable[Run]) -> None:
    """Keep the pidfds of these runs open through the next exec."""
    said = []
    for run in runs:
        if run.pidfd >= 0:
            os.set_inheritable(run.pidfd, True)
            said.append(f"{run.uid}={run.pidfd}")
    os.environ[HANDED_ON] = " ".join(said)


def handed_on() -> dict[str, int]:
    """uid -> pidfd as the process before us left them; no program inherits them."""
    found = {}
    for entry in os.environ.get(HANDED_ON, "").split():
        uid, _, fd = entry.partition("=")
        found[uid] = int(fd)
        os.set_inheritable(int(fd), False)
    return found


def is_over(run: Run) -> bool:
    return bool(select.select([run.pidfd], [], [], 0)[0])


def status_of(run: Run) -> int | None:
    """The wait status of a program that is over; None when nobody can tell."""
    info = bytearray(64)
    struct.pack_into("Q", info, 0, WITH_EXIT)
    try:
        fcntl.ioctl(run.pidfd, GET_INFO, info)
        (said,) = struct.unpack_from("Q", info)
        if said & WITH_EXIT:
            return int(struct.unpack_from("i", info, 60)[0])
    except OSError:
        pass  # an older kernel
    seen = children.stat(run.pid)
    if seen is not None and seen.state == "Z" and seen.begun == run.begun:
        return seen.exit_status
    return None
