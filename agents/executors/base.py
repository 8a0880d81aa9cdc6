"""What it means to run an agent somewhere.

An executor is asked to start and to stop programs; what then happens it writes to a
durable log of *happenings*, which a reader takes from an offset it keeps in its own
database, in the same transaction as what it did with them. So each happening counts
exactly once however often the reader is killed, and the executor needs no memory of
ours: a Handle is plain JSON that finds the program again from any process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps of one run. None: not capped (the node's own bound still holds)."""

    cpu_millis: int | None = None  # hard quota, 1000 = one core
    cpu_weight_millis: int = 100  # share when the machine is busy
    memory_bytes: int | None = None
    pids: int = 4096
    open_files: int = 4096
    output_bytes: int = 64 * 2**20  # per stream; what is beyond is cut and counted


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    uid: str  # unique per attempt; names folder, container, unit
    token: int  # fencing token: a lower or equal one than seen for this uid is refused
    argv: tuple[str, ...]
    folder: Path  # the run's own folder (0700): out, err, result, work/
    env: Mapping[str, str] = field(default_factory=dict)  # complete: nothing inherited
    limits: Limits = Limits()
    time_limit_s: float | None = None  # enforced by the holder, node process or not
    grace_s: float = 10.0  # between SIGTERM and the end of the whole cgroup
    run_as: str | None = None  # user name; None: the node's own user


@dataclass(frozen=True, slots=True)
class Started:
    uid: str
    token: int
    at_ns: int  # wall clock, just after the program was started
    handle: Mapping[str, str | int]  # e.g. {"pid": …, "begun": …, "cgroup": …}


@dataclass(frozen=True, slots=True)
class NotStarted:
    """The program never ran and never will with this token."""

    uid: str
    token: int
    at_ns: int
    reason: str  # for people: "no such program: /no/such"


@dataclass(frozen=True, slots=True)
class Ended:
    uid: str
    token: int
    at_ns: int
    exit_code: int | None  # None: ended by a signal, or nobody saw how
    signal: int | None
    oom_killed: bool = False
    timed_out: bool = False  # the time limit ended it
    stopped: bool = False  # a stop was asked for before it ended
    lost: bool = False  # it is gone and how it ended is unknown
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None


Happening = Started | NotStarted | Ended


class ExecutorError(Exception):
    """Base. `retryable` says whether the same call may succeed later."""

    retryable = False


class Unavailable(ExecutorError):
    """The environment itself is down: no holder, no Docker socket, no systemd."""

    retryable = True


class BadSpec(ExecutorError):
    """This spec can never start here: missing image, unknown binary, bad path."""


class Executor(Protocol):
    name: ClassVar[str]

    def ensure(self) -> None:
        """Make sure programs can be started; starts the holder when none runs."""
        ...

    def start(self, specs: Sequence[LaunchSpec]) -> None:
        """Ask for programs to be started and return at once.

        Each answers with Started or NotStarted in the log. One (uid, token) starts
        one program however often it is asked for. Raises Unavailable; what was asked
        may then have been heard, so ask again with the same token.
        """
        ...

    def stop(self, uid: str, *, grace_s: float) -> None:
        """Ask politely; after grace_s end everything of the run. Idempotent.

        The holder counts the grace, so it also passes while we are dead.
        """
        ...

    def signal(self, uid: str, number: int) -> None:
        """Send a signal to the run's processes. Silent when it is over."""
        ...

    def alive(self) -> dict[str, int]:
        """uid -> token of every run whose program has not ended."""
        ...

    def read(self, offset: int, *, most_bytes: int) -> tuple[list[Happening], int]:
        """Happenings after `offset` and the offset behind the last whole one."""
        ...

    def wait(self, timeout_s: float) -> None:
        """Return when the log has grown since the last call, or after timeout_s."""
        ...
