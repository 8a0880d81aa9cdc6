"""The guard: waits above the holder, starts it again, sees the exits it left behind.

As a child subreaper it inherits the programs of a holder that died. It writes how they
end to `strays` before it reaps them, and pokes the holder. It knows nothing else, so
there is little it could die of; if it does, its holder takes its place.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from agents.executors import cgroup_trees, children, strays
from agents.executors.holder_folder import is_ours, node_name
from agents.executors.strangers import HANDED_ON

IGNORED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGTERM,  # a holder with runs stays for them, and so do we
    signal.SIGPIPE,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
MOST_PAUSE_S = 1.0  # between restarts of a holder that keeps dying


def start(folder: str, lock_fd: int) -> None:
    """Guard in a process and session of its own; the caller's child ends at once."""
    if os.fork():
        os._exit(0)
    os.setsid()
    run(folder, lock_fd)


def run(folder: str, lock_fd: int) -> None:
    """Guard until the holder says that it is done (exit status 0)."""
    children.reset_signals(IGNORED, lambda *_: None)
    children.become_subreaper()
    os.chdir("/")
    node = node_name(folder, lock_fd)
    cgroup_trees.settle_in(node, os.environ.get("KOS_CGROUPS", ""))
    watch(folder, lock_fd)
    cgroup_trees.clear_out(node)


def watch(folder: str, lock_fd: int) -> None:
    name = strays.path(folder)
    holder, pause_s, started_at = 0, 0.0, 0.0
    while True:
        if not holder:
            time.sleep(pause_s)
            strays.trim(name)
            fd = strays.open_to_write(name if is_ours(folder, lock_fd) else os.devnull)
            holder, started_at = start_holder(folder, lock_fd), time.monotonic()
        seen = children.peek(block=True)
        if seen is None:
            continue  # interrupted
        if seen.pid != holder:
            strays.write(fd, seen)
            children.reap(seen.pid)
            os.kill(holder, signal.SIGUSR1)
            continue
        children.reap(holder)
        holder = 0
        os.close(fd)
        if seen.status == 0:
            return
        lived_s = time.monotonic() - started_at
        pause_s = 0.0 if lived_s > 5 else min(max(pause_s * 2, 0.01), MOST_PAUSE_S)


def start_holder(folder: str, lock_fd: int) -> int:
    os.set_inheritable(lock_fd, True)
    main = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    command = [sys.executable, "-S", "-E", "-X", "utf8", main, "holder"]
    return os.posix_spawn(
        sys.executable,
        [*command, folder, str(lock_fd)],
        environment(),
        setsid=True,
        setsigmask=signal.valid_signals(),  # until it has its handlers
    )


def environment() -> dict[str, str]:
    """Ours alone: no secret of the node reaches a process that lives so long."""
    kept = ("PATH", "KOS_CGROUPS", "KOS_JAIL", "KOS_CRASH_AT", HANDED_ON)
    return {k: v for k, v in os.environ.items() if k in kept} | {
        "KOS_HOLDER": str(os.getpid())
    }
