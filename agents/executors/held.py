"""One run as its holder knows it, and how it is carried from log to log."""

from __future__ import annotations

from typing import Any

NAMES = (
    "uid",
    "token",
    "folder",
    "slot",  # name of its control group, "" without
    "slot_cpu_s",  # used in that group before this run, as slot_ooms
    "slot_ooms",
    "time_limit_s",
    "grace_s",
    "output_bytes",
    "jailed",  # in a sandbox: `pid` is the tool's that made the jail
    "up",  # its program was started, and the log says so
    "open_files",
    "cpu",  # thousandths of a core it may use; None: all there are
    "intent_at",  # seconds since boot: the kernel's clock for process starts
    "pid",  # 0: not started yet, as far as the log knows
    "begun",  # start of the process in clock ticks; with the pid a name for good
    "limit_at",  # monotonic seconds, as kill_at
    "stopped",
    "timed_out",
    "kill_at",
    "status",  # wait status once it ended, else None
    "cpu_s",
    "peak_bytes",
    "lost",
    "notify",  # name of its socket (notify_sockets), "" without
    "notify_user",  # whom that belongs to
    "watchdog_s",  # silent for longer, it is ended; None: it may be
    "watchdog_waits",  # until it is ready
    "ready",  # it said so, and the log has it
)


class Run:
    """A program from its intent line to its end."""

    __slots__ = (
        *NAMES,
        "adopted",
        "ending_since",
        "group",
        "holes",
        "jail_until",
        "look_at",
        "pidfd",
        "written_bytes",
    )
    uid: str
    token: int
    folder: str
    slot: str
    slot_cpu_s: float
    slot_ooms: int
    time_limit_s: float | None
    grace_s: float
    output_bytes: int
    jailed: bool
    up: bool
    open_files: int
    cpu: int | None
    intent_at: float
    pid: int
    begun: int
    limit_at: float | None
    stopped: bool
    timed_out: bool
    kill_at: float | None
    status: int | None
    cpu_s: float
    peak_bytes: int
    lost: bool
    notify: str
    notify_user: int
    watchdog_s: float | None
    watchdog_waits: bool
    ready: bool

    def __init__(self, **facts: Any) -> None:
        self.slot = self.notify = ""
        self.notify_user = 0
        self.watchdog_s = None
        self.watchdog_waits = self.ready = False
        self.time_limit_s = self.limit_at = self.kill_at = self.status = None
        self.cpu = None
        self.jailed = self.up = False
        self.pid = self.begun = self.peak_bytes = self.slot_ooms = 0
        self.cpu_s = self.slot_cpu_s = self.intent_at = 0.0
        self.stopped = self.timed_out = self.lost = False
        self.grace_s = 10.0
        self.output_bytes = self.open_files = 0
        for name, value in facts.items():
            setattr(self, name, value)
        self.adopted = False  # a child of the guard: its exit comes from there
        self.group: Any = None  # cgroups.Slot
        self.pidfd = -1  # of an adopted program, lest the guard dies too
        self.ending_since: float | None = None  # main program over, others not yet
        self.jail_until: float | None = None  # by then its jail must be up
        self.look_at = 0.0  # when to look at what is left, or at the output, next
        # stream -> the hole in it; None: there is none yet
        self.holes: dict[str, tuple[int, int] | None] = {}
        self.written_bytes = 0  # of both streams, when last looked at

    def facts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in NAMES}

    @property
    def name(self) -> str:
        """As KOS_RUN says it in the environment of its processes."""
        return f"{self.uid}/{self.token}"
