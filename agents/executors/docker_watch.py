"""Watching: ends as events, what events missed by reconciling, and deadlines."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from functools import partial

from agents.executors import docker_usage
from agents.executors.base import Unavailable
from agents.executors.docker_engine import NODE, Events, Json
from agents.executors.docker_runs import Runs, key_of
from agents.executors.engine_log import LoggedRun

LOG = logging.getLogger(__name__)
LOOK_EVERY_S = 0.25  # at output and deadlines
RECONCILE_EVERY_S = 30.0  # in case an event was lost
BEFORE_S = 10  # events are asked for from a little before: none falls in between
LEAST_BACK_OFF_S, MOST_BACK_OFF_S = 0.05, 1.0
LATE_S = 2.0  # the init keeps the time; this late it is done from outside


class Watch:
    """Two threads: one listens, one keeps time. `up`: the engine answers."""

    def __init__(self, runs: Runs) -> None:
        self.runs = runs
        self.up = threading.Event()
        self.closed = threading.Event()
        self._stream: Events | None = None
        self._threads = [
            threading.Thread(target=target, name=f"docker-{name}", daemon=True)
            for name, target in (("events", self._listen), ("time", self._keep_time))
        ]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def is_alive(self) -> bool:
        return all(thread.is_alive() for thread in self._threads)

    def close(self) -> None:
        self.closed.set()
        stream = self._stream
        if stream is not None:
            stream.hang_up()
        for thread in self._threads:
            thread.join(2.0)

    # -- events -----------------------------------------------------------------------

    def _listen(self) -> None:
        back_off_s = LEAST_BACK_OFF_S
        while not self.closed.is_set():
            try:
                self._listen_once()
                back_off_s = LEAST_BACK_OFF_S
            except Exception:  # whatever it was, going on is the remedy
                back_off_s = min(back_off_s * 2, MOST_BACK_OFF_S)
            self.up.clear()
            self.closed.wait(back_off_s)

    def _listen_once(self) -> None:
        engine = self.runs.engine
        since_s = int(time.time()) - BEFORE_S
        stream = self._stream = engine.events(self.runs.node, since_s)
        with contextlib.closing(stream):
            self.runs.reconcile()
            self.up.set()
            for event in stream:
                if self.closed.is_set():
                    return
                self._hear(event)

    def _hear(self, event: Json) -> None:
        actor = event.get("Actor") or {}
        labels = actor.get("Attributes") or {}
        if labels.get(NODE) == self.runs.node:
            self.runs.look(key_of(labels), str(actor.get("ID", "")))

    # -- time -------------------------------------------------------------------------

    def _keep_time(self) -> None:
        reconcile_at = time.monotonic() + RECONCILE_EVERY_S
        while not self.closed.wait(LOOK_EVERY_S):
            now = time.monotonic()
            for run in [r for r in list(self.runs.log.runs.values()) if r.started]:
                self._try(partial(self.runs.cut_output, run))
                self._try(partial(self._keep_deadlines, run, now))
            if now >= reconcile_at and self.up.is_set():
                self._try(self.runs.reconcile)
                reconcile_at = time.monotonic() + RECONCILE_EVERY_S

    def _try(self, do: Callable[[], None]) -> None:
        """What fails for one run must not stop the time for the others."""
        try:
            do()
        except Unavailable:
            return
        except Exception:  # what escapes a thread ends the node; here it is tried again
            if not self.closed.is_set():
                LOG.exception("cannot keep time; trying again")

    def _keep_deadlines(self, run: LoggedRun, now: float) -> None:
        """The init does it, unless it is frozen with the rest or was tampered with."""
        facts = run.facts
        if facts.get("unseen"):
            self.runs.look((run.uid, run.token), facts["container"])
        limit_at, kill_at = facts.get("limit_at"), facts.get("kill_at")
        if limit_at is not None and limit_at <= now and not facts.get("timed_out"):
            self.runs.log.note(
                run.uid,
                run.token,
                timed_out=True,
                kill_at=min(limit_at + facts["grace_s"], kill_at or float("inf")),
            )
        if facts.get("frozen") and (facts.get("stopped") or facts.get("timed_out")):
            self.thaw(run)
        elif kill_at is not None and kill_at + LATE_S <= now:
            self.runs.engine.signal(facts["container"], 9)
            self.runs.log.note(run.uid, run.token, kill_at=now)

    def thaw(self, run: LoggedRun) -> None:
        """Whoever froze it: the engine, or we without it."""
        self.runs.engine.unpause(str(run.facts["container"]))
        init = int(run.facts.get("init") or 0)
        docker_usage.thaw(docker_usage.groups_of(init))
        self.runs.log.note(run.uid, run.token, frozen=False)
