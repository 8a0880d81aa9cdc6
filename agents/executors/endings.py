"""How runs end: exits, stops, time limits, and that nothing of them is left."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from agents.executors import (
    children,
    jails,
    leftovers,
    output_cap,
    strangers,
    strays,
)
from agents.executors.held import Run
from agents.executors.holder_log import Log
from agents.executors.state import State

LOOK_EVERY_S = 0.25  # at the output of a run that writes
LOOK_SELDOM_S = 1.0  # at one that does not
SETTLING_AGAIN_S = 0.01  # a jail whose process 1 cannot tell us (our forerunner's)
LEFT_AGAIN_S = 0.001  # after a kill: dying takes about that long
GIVE_UP_S = 10.0  # something cannot be killed (stuck in the kernel): say it ended


class Endings:
    def __init__(self, log: Log, state: State, guard: int) -> None:
        self.log = log
        self.state = state
        self.groups = state.groups
        self.reapers = (os.getpid(), guard)
        self.strays_read = 0
        self.due_at = 0.0  # nothing is due before; may be earlier than need be

    # -- exits ------------------------------------------------------------------------

    def see_exits(self) -> None:
        """Write each exit before reaping it; the guard finds those we do not reach."""
        while (seen := children.peek()) is not None:
            run = self.state.by_pid.pop(seen.pid, None)
            if run is not None:
                self._ended(run, seen)
            children.reap(seen.pid)

    def see_strays(self) -> None:
        """Exits the guard saw: of programs that an earlier holder started."""
        name = strays.path(self.state.folder)
        found, self.strays_read = strays.read(name, self.strays_read)
        for stray in found:
            run = self.state.adopted.get(stray.exit.pid)
            if run is not None and stray.begun == run.begun:
                del self.state.adopted[run.pid]
                if run.pidfd >= 0:
                    os.close(run.pidfd)
                self._ended(run, stray.exit)

    def see_strangers(self) -> None:
        """Exits told by a pidfd alone: of programs whose guard died too."""
        for run in [r for r in self.state.strangers if strangers.is_over(r)]:
            self.state.strangers.remove(run)
            status = strangers.status_of(run)
            os.close(run.pidfd)
            if status is None:
                run.lost = True
                self.finish(run, time.monotonic())
            else:
                self._ended(run, children.Exit(run.pid, status, 0.0, 0))

    def _ended(self, run: Run, seen: children.Exit) -> None:
        run.status, run.cpu_s, run.peak_bytes = seen.status, seen.cpu_s, seen.peak_bytes
        if self._left(run):
            self.log.note(
                f"X {run.uid} {run.token} {seen.status} {seen.cpu_s:.6f} "
                f"{seen.peak_bytes}"
            )
            self.finish(run, time.monotonic())
        else:
            self._over(run)

    def finish(self, run: Run, now: float) -> None:
        """Its program is over: end what else is left of it, and say so when it is."""
        left = self._left(run)
        if run.ending_since is None:
            run.ending_since = now
        if not left or now - run.ending_since > GIVE_UP_S:
            return self._over(run)
        self.kill(run)
        run.look_at = now + max(LEFT_AGAIN_S, (now - run.ending_since) / 2)
        self.due_at = min(self.due_at, run.look_at)

    def _left(self, run: Run) -> list[int]:
        """What lives of a run whose program is over (of a lost one: all of it)."""
        if run.lost:
            return self.everything(run)
        if run.group is not None:
            return [p for p in self.groups.members(run.group) if p != run.pid]
        return self._others(run)

    def _others(self, run: Run) -> list[int]:
        mains = {*self.state.by_pid, *self.state.adopted, run.pid}
        return leftovers.find(run, mains, self.reapers)

    def _over(self, run: Run) -> None:
        if run.jailed and not self._settle_jail(run):
            return
        output_cap.enforce(run)
        cpu_s, peak = run.cpu_s, run.peak_bytes
        was_oom = False
        if run.group is not None:
            cpu_s = max(cpu_s, self.groups.close_count(run.group) or 0.0)
            peak = self.groups.peak_bytes(run.group) or peak
            was_oom = self.groups.was_oom(run.group) and run.status != 0
        flags = "".join(
            letter
            for letter, is_so in zip(
                "otsl", (was_oom, run.timed_out, run.stopped, run.lost), strict=True
            )
            if is_so
        )
        status = "-" if run.status is None else run.status
        self.state.voices.close(run.uid, run.token)
        self.log.note(
            f"E {run.uid} {run.token} {time.time_ns()} {status} {flags or '-'} "
            f"{cpu_s:.6f} {peak}"
        )
        self._let_go(run)

    def _let_go(self, run: Run) -> None:
        self.state.voices.close(run.uid, run.token)
        if run.group is not None:
            self.groups.give_back(run.group)
        self.state.forget(run)
        if run.jailed:
            jails.forget(run)

    # -- jails ------------------------------------------------------------------------

    def await_jail(self, run: Run) -> None:
        """The tool was started; whether the program was is seen later."""
        self.log.note(f"J {run.uid} {run.token} {run.pid} {run.begun}")
        self.settle(run)

    def settle(self, run: Run) -> None:
        run.jail_until = time.monotonic() + jails.UP_WITHIN_S
        self.state.settling.append(run)
        self.due_at = min(self.due_at, time.monotonic() + SETTLING_AGAIN_S)

    def see_jails(self) -> None:
        """Say which programs were started in their jails by now."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.state.jails.news, 4096):
                pass
        for run in list(self.state.settling):
            told = jails.read(run)
            if told.started_ns is not None and run.status is None:
                self._jail_is_up(run, told.started_ns)
                if run.stopped or run.timed_out:  # asked for before it could be told
                    self._send_term(run)

    def _jail_is_up(self, run: Run, started_ns: int) -> None:
        if run in self.state.settling:
            self.state.settling.remove(run)
        run.jail_until = None
        self.expect(run, started_ns)

    def _settle_jail(self, run: Run) -> bool:
        """Its jail is no more: take what process 1 reported for the truth. Returns
        whether the program was ever started; if not, that is said."""
        told = jails.read(run)
        if not run.up and told.started_ns is not None:
            self._jail_is_up(run, told.started_ns)
        if run.up:
            run.status = jails.status_of(run, told)
            run.lost = run.status is None
            return True
        reason = told.refused or jails.last_words(run)
        if run.stopped and not told.refused:
            reason = "stopped before it was started"
        elif run.jail_until is not None and run.jail_until <= time.monotonic():
            reason = f"its jail was not up within {jails.UP_WITHIN_S:.0f} s"
        self.log.note(f"F {run.uid} {run.token} {time.time_ns()} {reason}")
        if run in self.state.settling:
            self.state.settling.remove(run)
        self._let_go(run)
        return False

    # -- asking and forcing -----------------------------------------------------------

    def stop(self, uid: str, grace_s: float, now: float) -> None:
        run = self.state.runs.get(uid)
        if run is None or run.ending_since is not None:
            return
        kill_at = now + max(grace_s, 0.0)
        if run.stopped and run.kill_at is not None and run.kill_at <= kill_at:
            return  # asked already, and sooner
        self._ask_to_end(run, "stop", kill_at)

    def _ask_to_end(self, run: Run, why: str, kill_at: float) -> None:
        first = not (run.stopped or run.timed_out)
        run.stopped |= why == "stop"
        run.timed_out |= why == "limit"
        run.kill_at = min(kill_at, run.kill_at or kill_at)
        self.log.note(f"T {run.uid} {run.token} {why} {run.kill_at:.3f}")
        if first:
            self._send_term(run)
        self.due_at = min(self.due_at, _due(run))

    def _send_term(self, run: Run) -> None:
        for pid in self.programs(run):
            children.send(pid, signal.SIGTERM)
            children.send(pid, signal.SIGCONT)
        if run.group is not None:
            self.groups.thaw(run.group)

    def miss_watchdogs(self, now: float) -> None:
        """End those that were silent for too long, whether the node lives or not."""
        for voice in self.state.voices.keep_time(now):
            if (run := self.state.runs.get(voice.uid)) is not None:
                self.stop(run.uid, run.grace_s, now)

    def programs(self, run: Run) -> list[int]:
        """Its living processes, without those that only make its jail."""
        if not run.jailed:
            return self.everything(run)
        if not run.up:
            return []
        own = (run.pid, jails.process_1_of(run))
        return [pid for pid in self.everything(run) if pid not in own]

    def everything(self, run: Run) -> list[int]:
        if run.group is not None:
            return self.groups.members(run.group)
        found = self._others(run)
        if self._is_itself(run):
            found += leftovers.with_descendants(run.pid)
        return found

    def _is_itself(self, run: Run) -> bool:
        """A pid is ours to signal while unreaped; one of the guard's, if it matches."""
        if not run.adopted:
            return run.pid in self.state.by_pid
        seen = children.stat(run.pid)
        return seen is not None and seen.begun == run.begun

    def signal(self, uid: str, number: int) -> None:
        run = self.state.runs.get(uid)
        if run is None or not run.pid or not self._is_itself(run):
            return
        pid = jails.program_of(run) if run.jailed else run.pid
        if pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, number)

    def kill(self, run: Run) -> None:
        if run.group is not None:
            self.groups.end_all(run.group)
        else:
            for pid in self.everything(run):
                children.send(pid, signal.SIGKILL)

    # -- deadlines --------------------------------------------------------------------

    def expect(self, run: Run, at_ns: int) -> None:
        """It runs, as the log says from now on: look at its output on a grid, so that
        many runs share one pass, and keep its limits of time and CPU."""
        now = time.monotonic()
        run.up = True
        self.log.note(
            f"S {run.uid} {run.token} {at_ns} {run.pid} {run.begun} {now:.3f} "
            f"{run.slot or '-'}"
        )
        if run.group is not None:
            self.groups.limit_cpu(run.group, run.cpu)
        if run.time_limit_s is not None:
            run.limit_at = now + run.time_limit_s
        run.look_at = next_look(now, LOOK_EVERY_S)
        self.due_at = min(self.due_at, _due(run))

    def retime(self, uid: str, limit_at: float) -> None:
        """Its time is over then instead, unless it is already."""
        run = self.state.runs.get(uid)
        if run is None or not run.up or run.timed_out or run.stopped:
            return
        run.limit_at = limit_at
        self.log.note(f"D {run.uid} {run.token} {limit_at:.3f}")
        self.due_at = min(self.due_at, limit_at)

    def next_deadline(self) -> float | None:
        """When keep_deadlines has something to do, or None while nothing runs."""
        return self.due_at if self.state.runs else None

    def keep_deadlines(self, now: float) -> None:
        if now < self.due_at:
            return
        self.due_at = now + LOOK_SELDOM_S
        for run in [r for r in self.state.runs.values() if _due(r) <= now]:
            if run.status is not None or run.lost:
                self.finish(run, now)
                continue
            if run.jail_until is not None and run.jail_until <= now:
                self.kill(run)
            if run.kill_at is not None and run.kill_at <= now:
                self.kill(run)
                run.kill_at = now + 1.0  # again, should anything have slipped through
            elif run.limit_at is not None and run.limit_at <= now and not run.timed_out:
                self._ask_to_end(run, "limit", now + run.grace_s)
            if run.look_at <= now:
                grew = output_cap.enforce(run)
                every_s = LOOK_EVERY_S if grew else LOOK_SELDOM_S
                run.look_at = next_look(now, every_s)
        for run in self.state.runs.values():
            self.due_at = min(self.due_at, _due(run))
        if self.state.settling:
            self.due_at = min(self.due_at, now + SETTLING_AGAIN_S)


def _due(run: Run) -> float:
    due = run.look_at
    if run.kill_at is not None:
        due = min(due, run.kill_at)
    if run.limit_at is not None and not run.timed_out:
        due = min(due, run.limit_at)
    return due


def next_look(now: float, every_s: float) -> float:
    return (now // every_s + 1) * every_s
