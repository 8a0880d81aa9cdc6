"""One run as the systemd executor holds it: what was asked, what systemd said of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from agents.executors import output_cap
from agents.executors.base import Ended, Limits, NotStarted, Started
from agents.executors.engine_log import EngineLog
from agents.executors.held import Run
from agents.executors.systemd_end import End, Record, at_ns, end_of, read_record
from agents.executors.systemd_groups import Group
from agents.executors.systemd_launch import why_no_start
from agents.executors.systemd_unit import Property, record_path

LOOK_EVERY_S = 0.25  # at the output of a run that writes
LOOK_SELDOM_S = 1.0  # at one that does not
OVER = ("inactive", "failed")


class UnitRun:
    """A run from being asked for to its end. Used in the event loop only."""

    def __init__(
        self, unit: str, uid: str, token: int, facts: dict[str, Any], group: Group
    ) -> None:
        self.unit = unit
        self.uid = uid
        self.token = token
        self.facts = facts
        self.group = group
        self.asked: list[Property] | None = None  # not yet accepted by systemd
        self.seen: dict[str, Any] = {}  # the unit's properties, as last told
        self.has_begun = False  # systemd has tried to start it
        self.has_run = False  # its program itself was seen running
        self.settled = asyncio.Event()  # told as started, or over
        self.is_over = False
        self.kill_at: float | None = None  # in the loop's time
        self.kill_timer: asyncio.TimerHandle | None = None
        self.look_at = 0.0
        self.ooms = 0  # counted in its group before that was gone
        self.output = Run(
            uid=uid,
            token=token,
            folder=facts["folder"],
            output_bytes=self.limits.output_bytes,
        )

    @property
    def record(self) -> str:
        return record_path(self.facts["folder"], self.token)

    @property
    def limits(self) -> Limits:
        return Limits(**self.facts["limits"])

    @property
    def is_stopped(self) -> bool:
        return bool(self.facts.get("stopped"))

    @property
    def is_timed_out(self) -> bool:
        return bool(self.facts.get("timed_out"))

    def take(self, properties: dict[str, Any]) -> None:
        """What systemd says of the unit now."""
        self.seen.update(properties)
        state = self.seen.get("ActiveState", "inactive")
        if state not in OVER or self.seen.get("InactiveExitTimestampMonotonic"):
            self.has_begun = True
        if state == "active" or self.seen.get("ActiveEnterTimestamp"):
            self.has_run = True

    @property
    def has_ended(self) -> bool:
        return self.has_begun and self.seen.get("ActiveState") in OVER

    @property
    def left_something(self) -> bool:
        """Its program is over, and systemd waits for others of it to go."""
        is_over = self.seen.get("ExecMainCode", 0) and not self.seen.get("MainPID")
        return bool(is_over) and self.seen.get("SubState") == "stop-sigterm"

    @property
    def reached_its_limit(self) -> bool:
        """systemd asks it to end because its time is over."""
        is_asked = self.seen.get("SubState") == "stop-sigterm"
        return is_asked and self.seen.get("Result") == "timeout"

    def see_counters(self) -> None:
        """Before what is in the group is ended, and the group may go."""
        self.ooms = max(self.ooms, self.group.ooms())

    def look_at_output(self, now: float) -> None:
        if self.look_at <= now:
            grew = self.cut_output()
            self.look_at = now + (LOOK_EVERY_S if grew else LOOK_SELDOM_S)

    def cut_output(self) -> bool:
        """Returns whether it grew. What the run did to its folder is its own loss."""
        with contextlib.suppress(OSError):
            return output_cap.enforce(self.output)
        return False

    # -- what the log is told ---------------------------------------------------------

    def tell_started(self, log: EngineLog) -> None:
        stamp = at_ns(self.seen, "ExecMainStartTimestamp") or time.time_ns()
        handle: dict[str, str | int] = {
            "unit": self.unit,
            "pid": int(self.seen.get("ExecMainPID", 0)),
            "cgroup": self.group.path,
        }
        log.say(Started(self.uid, self.token, stamp, handle))
        self.settled.set()

    def tell_end(self, log: EngineLog) -> None:
        """Write how it ended, or that it never started. Raises OSError as the log."""
        record = read_record(self.record)
        end = end_of(self.seen, self.facts["time_limit_s"]) or _of_record(record)
        if reason := self._why_never(end):
            log.say(NotStarted(self.uid, self.token, time.time_ns(), reason))
        else:
            self.tell_started(log)
            self.cut_output()
            log.say(self._ended(end, record))
        self._be_over()

    def tell_never(self, log: EngineLog, reason: str) -> None:
        log.say(NotStarted(self.uid, self.token, time.time_ns(), reason))
        self._be_over()

    def _be_over(self) -> None:
        self.is_over = True
        self.settled.set()
        if self.kill_timer is not None:
            self.kill_timer.cancel()

    def _why_never(self, end: End | None) -> str | None:
        if self.has_run:
            return None
        if end is None:
            has_failed = self.seen.get("ActiveState") == "failed"
            if has_failed and not self.seen.get("ExecMainStartTimestamp"):
                return f"systemd did not start it: {self.seen.get('Result')}"
            return None
        if end.exit_code is None:
            return None
        return why_no_start(end.exit_code, self.facts)

    def _ended(self, end: End | None, record: Record | None) -> Ended:
        stamp = at_ns(self.seen, "ExecMainExitTimestamp") or time.time_ns()
        ooms = max(self.ooms, record.ooms if record else 0)
        is_oom = ooms > 0 or self.seen.get("Result") == "oom-kill"
        is_late = end is not None and end.timed_out and not self.is_stopped
        return Ended(
            self.uid,
            self.token,
            stamp,
            exit_code=end.exit_code if end else None,
            signal=end.signal if end else None,
            oom_killed=is_oom and end is not None and end.exit_code != 0,
            timed_out=self.is_timed_out or is_late,
            stopped=self.is_stopped,
            lost=end is None,
            cpu_seconds=record.cpu_seconds if record else None,
            peak_memory_bytes=record.peak_bytes if record else None,
        )


def _of_record(record: Record | None) -> End | None:
    if record is None or (record.exit_code is None and record.signal is None):
        return None
    return End(record.exit_code, record.signal)
