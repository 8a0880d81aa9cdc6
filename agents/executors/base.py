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
    disk_bytes: int | None = None  # of the scratch space an environment gives


@dataclass(frozen=True, slots=True)
class Mount:
    """A path of the machine that the run sees at `target`."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class Container:
    """What only an environment with a file system of its own needs to know."""

    image: str  # by tag or digest
    pull: str = "missing"  # or "always", "never"
    network: str = "none"
    user: str | None = None  # None: an unprivileged one, never root
    workdir: str | None = None
    ports: Mapping[int, int] = field(default_factory=dict)  # inside -> on the machine
    registry_auth: Mapping[str, str] | None = field(default=None, repr=False)
    # {"username": …, "password": …}


@dataclass(frozen=True, slots=True)
class Given:
    """What a run is given besides: secrets, and a folder for what it leaves. Never
    kept by an executor, and never in what it prints."""

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)  # name -> text
    artefacts: bool = False


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
    environment: str = "subprocess"  # one of the executor's `environments`
    container: Container | None = None  # docker; of a sandbox its network alone
    mounts: tuple[Mount, ...] = ()  # docker and sandbox
    gpus: tuple[str, ...] = ()  # ids of the devices this run may use
    watchdog_s: float | None = None  # silent for longer on NOTIFY_SOCKET, it is ended
    watchdog_waits: bool = False  # until the program has said that it is ready
    work: Path | None = None  # where it works; None: in work/ of its own folder
    given: Given | None = None

    @property
    def work_folder(self) -> Path:
        return self.work or self.folder / "work"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an environment can do here. What it cannot is refused or told, never
    silently left out: `missing` says why, for people, by the field's name."""

    memory: bool = False  # a hard cap; beyond it the kernel ends the run
    cpu: bool = False
    pids: bool = False
    open_files: bool = False
    disk: bool = False
    output: bool = False
    freeze: bool = False
    reclaim: bool = False  # memory of a frozen run is written out when asked
    relimit: bool = False  # limits change while it runs
    kill_all: bool = False  # double-forked and re-sessioned processes too
    usage_network: bool = False
    rate_network: bool = False
    private_network: bool = False
    private_files: bool = False
    run_as: bool = False
    gpus: bool = False
    offline_limit: bool = False  # the time limit holds while the node process is down
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Usage:
    """What a live run uses. None: this environment cannot tell."""

    cpu_seconds: float | None = None  # since its start
    memory_bytes: int | None = None
    peak_memory_bytes: int | None = None
    processes: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    received_bytes: int | None = None  # network
    sent_bytes: int | None = None
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """Memory of a run's programs in RAM, as measured."""

    before_bytes: int
    after_bytes: int

    @property
    def given_bytes(self) -> int:
        return max(self.before_bytes - self.after_bytes, 0)


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


@dataclass(frozen=True, slots=True)
class Said:
    """What a program said of itself on its NOTIFY_SOCKET; the newest, at most a second
    old. It may come before its Started, and after the Ended of another log."""

    uid: str
    token: int
    at_ns: int
    ready: bool = False
    stopping: bool = False
    status: str | None = None  # None: nothing new
    progress: float | None = None  # 0 to 1


@dataclass(frozen=True, slots=True)
class WatchdogMissed:
    """It was silent for longer than it may; the holder ends its own runs by itself."""

    uid: str
    token: int
    at_ns: int
    silent_s: float | None  # None: it said so itself (WATCHDOG=trigger)


Happening = Started | NotStarted | Ended | Said | WatchdogMissed


class ExecutorError(Exception):
    """Base. `retryable` says whether the same call may succeed later."""

    retryable = False


class Unavailable(ExecutorError):
    """The environment itself is down: no holder, no Docker socket, no systemd."""

    retryable = True


class BadSpec(ExecutorError):
    """This spec can never start here: missing image, unknown binary, bad path."""


class Executor(Protocol):
    """Programs of one node, of one or several environments, and their one log.

    Any thread may call any method, but only one waits and reads.
    """

    name: ClassVar[str]
    environments: ClassVar[tuple[str, ...]]

    def ensure(self) -> None:
        """Make sure programs can be started. Raises Unavailable, saying what to do."""
        ...

    def capabilities(self) -> Mapping[str, Capabilities]:
        """What each environment that works here can do. One that does not is absent."""
        ...

    def absent(self) -> Mapping[str, str]:
        """Why an environment of ours does not work here, by its name, for people."""
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

    def freeze(self, uid: str) -> None:
        """Return when no process of the run is given CPU any more. Idempotent, silent
        when it is over. Its time limit goes on; a stop thaws it."""
        ...

    def reclaim(self, uid: str) -> Reclaimed | None:
        """Have memory of a frozen run written out; None when it is over. May take as
        long as the disk does. Raises BadSpec where there is nowhere to write it."""
        ...

    def thaw(self, uid: str) -> None:
        """Let a frozen run go on. Idempotent, silent when it is over."""
        ...

    def relimit(self, uid: str, limits: Limits) -> None:
        """Change the limits of a live run. Silent when it is over. Its scratch space
        keeps the size it was made with.

        Raises BadSpec where the kernel refuses, as a memory cap below what is in use.
        """
        ...

    def retime(self, uid: str, *, at: float) -> None:
        """Let the time limit of a live run be reached at this instant (seconds since
        the epoch). Idempotent, silent when it is over or was reached already.

        Raises BadSpec where the limit of a program that runs cannot be changed.
        """
        ...

    def usage(self, uid: str) -> Usage | None:
        """What the run uses now; None when it is over."""
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
