"""Programs that are only numbers: each ends when its time has come.

Speaks the happenings of a real executor, so that what reads them cannot tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil
from signal import SIGTERM

from agents.executors.base import Ended, Happening, LaunchSpec, Started

FAR = datetime.max.replace(tzinfo=UTC)
FOREVER_S = 100 * 366 * 86_400.0


@dataclass(slots=True)
class Program:
    uid: str
    token: int
    left_s: float  # of its own work
    limit_s: float | None  # of its time limit, which goes on while it is frozen
    exit_code: int
    since: datetime  # `left_s` and `limit_s` were true then
    frozen: bool = False
    ends_at: datetime | None = None  # a stop was asked for

    def due_s(self) -> tuple[float, bool]:
        """Seconds after `since` at which it ends, and whether its limit ends it."""
        own = float("inf") if self.frozen else self.left_s
        limit = float("inf") if self.limit_s is None else self.limit_s
        return (limit, True) if limit < own else (own, False)

    def move_to(self, now: datetime) -> None:
        """Bring the books up to `now`."""
        gone_s = (now - self.since).total_seconds()
        if not self.frozen:
            self.left_s = max(self.left_s - gone_s, 0.0)
        if self.limit_s is not None:
            self.limit_s = max(self.limit_s - gone_s, 0.0)
        self.since = now


class SimulatedExecutor:
    """All programs of one simulated world."""

    def __init__(self) -> None:
        self.programs: dict[str, Program] = {}

    def start(
        self, spec: LaunchSpec, *, takes_s: float, exit_code: int, now: datetime
    ) -> Started:
        program = Program(
            spec.uid, spec.token, takes_s, spec.time_limit_s, exit_code, now
        )
        self.programs[spec.uid] = program
        return Started(spec.uid, spec.token, nanoseconds(now), {"pid": 0})

    def stop(self, uid: str, at: datetime) -> None:
        """It will be gone at `at`, if it has not ended by then."""
        program = self.programs.get(uid)
        if program is not None and program.ends_at is None:
            program.ends_at = at

    def freeze(self, uid: str, now: datetime) -> None:
        if (program := self.programs.get(uid)) is not None:
            program.move_to(now)
            program.frozen = True

    def thaw(self, uid: str, now: datetime) -> None:
        if (program := self.programs.get(uid)) is not None:
            program.move_to(now)
            program.frozen = False

    def lose(self, uid: str) -> None:
        """Its machine is gone; nobody will hear of it again."""
        self.programs.pop(uid, None)

    def next_end(self) -> datetime | None:
        ends = (end_of(p) for p in self.programs.values())
        return min((at for at in ends if at is not None), default=None)

    def ended(self, now: datetime) -> Sequence[Happening]:
        """Those that are over by `now`, oldest end first."""
        over = [
            (at, program)
            for program in self.programs.values()
            if (at := end_of(program)) is not None and at <= now
        ]
        over.sort(key=lambda pair: pair[0])  # stable: else who started first
        for _, program in over:
            del self.programs[program.uid]
        return [happening(program, at) for at, program in over]


def end_of(program: Program) -> datetime | None:
    own_s, _ = program.due_s()
    own = None if own_s == float("inf") else after(program.since, own_s)
    if program.ends_at is None:
        return own
    return program.ends_at if own is None else min(own, program.ends_at)


def happening(program: Program, at: datetime) -> Ended:
    own_s, by_limit = program.due_s()
    stopped = program.ends_at is not None and after(program.since, own_s) > at
    if stopped or by_limit:
        return Ended(
            program.uid,
            program.token,
            nanoseconds(at),
            exit_code=None,
            signal=int(SIGTERM),
            timed_out=by_limit and not stopped,
            stopped=stopped,
        )
    return Ended(
        *(program.uid, program.token, nanoseconds(at)),
        exit_code=program.exit_code,
        signal=None,
    )


def after(moment: datetime, seconds: float) -> datetime:
    """Whole microseconds later, never earlier than said; FAR for ever."""
    if seconds > FOREVER_S:
        return FAR
    return moment + timedelta(microseconds=ceil(seconds * 1e6))


def nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1000
