"""A node's look at what its live runs use, for the charts of a run.

One thread of the node process. A run is looked at every two seconds at first and ever
more seldom as it grows older, and not at all in its first two: a short run costs
nothing. An engine that hangs holds up nothing but this.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

from django.db import DatabaseError, close_old_connections, connection

from agents.executors.base import Executor, ExecutorError
from monitor import usage
from scheduling import live_runs
from scheduling.run_folders import folder_name
from scheduling.run_state import RunState

log = logging.getLogger(__name__)
EVERY_S = 2.0
AGE_PER_SAMPLE = 300  # a run of 1000 s is looked at every 1000 / 300 s
TURN_S = 0.5  # for one look at all; the others come first in the next
Find = Callable[[str], Executor | None]


class UsageKeeper:
    def __init__(self, node: str, executor_of: Find) -> None:
        self.node, self.executor_of = node, executor_of
        self.seen: dict[str, float] = {}  # uid -> when it was looked at
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="usage", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(2 * EVERY_S)

    def run(self) -> None:
        while not self.stopping.wait(EVERY_S):
            try:
                self.look(datetime.now(UTC))  # noqa: TID251 - a thread's top
            except DatabaseError as trouble:
                log.warning("usage is sampled later", extra={"why": str(trouble)})
                close_old_connections()
            except Exception:  # what escapes a thread ends the node: figures are
                log.exception("usage could not be sampled")  # not worth that
        connection.close()  # this thread's own

    def look(self, now: datetime) -> int:
        """Take a sample of each run that is due for one; how many there were."""
        mine = live_runs.programs().filter(
            node__name=self.node, state__in=(RunState.RUNNING, RunState.SUSPENDED)
        )
        rows = mine.values_list("uid", "exec_env", "started_at")
        live = {uid: (env, at) for uid, env, at in rows if at is not None}
        self.seen = {uid: at for uid, at in self.seen.items() if uid in live}
        until, count, at = time.monotonic() + TURN_S, 0, now.timestamp()
        for uid in sorted(live, key=lambda uid: self.seen.get(uid, 0.0)):
            env, started_at = live[uid]
            if not self._is_due(uid, at - started_at.timestamp(), at):
                continue
            if time.monotonic() > until:
                break
            self.seen[uid] = at
            count += self._sample(uid, env, at)
        return count

    def _is_due(self, uid: str, age_s: float, at: float) -> bool:
        pause_s = max(EVERY_S, age_s / AGE_PER_SAMPLE)
        return age_s >= EVERY_S and at - self.seen.get(uid, 0.0) >= pause_s * 0.9

    def _sample(self, uid: str, env: str, at: float) -> bool:
        executor = self.executor_of(env)
        with suppress(ExecutorError, OSError):  # it has ended, or is away
            used = executor.usage(uid) if executor is not None else None
            if used is not None:
                usage.append(folder_name(uid), usage.taken(at, used))
                return True
        return False
