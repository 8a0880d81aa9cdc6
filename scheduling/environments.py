"""The executors of one node: which environments work here, and who runs what.

An engine may be away when the node starts, or go and come back: what it offers is
looked at again and again, and told to the planner by the node's row.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from django.db import transaction

from agents import journal, redis
from agents.executors.base import (
    BadSpec,
    Executor,
    ExecutorError,
    LaunchSpec,
    Unavailable,
)
from agents.models import Node
from scheduling import endings
from scheduling.models import Run
from scheduling.supervisor import Supervisor, utc_now

log = logging.getLogger(__name__)
TRY_AGAIN_S = 10.0  # an engine that was away


class Environments:
    """Any thread may call any method."""

    def __init__(
        self,
        node: str,
        executors: Sequence[Executor],
        busy_elsewhere: Callable[[], Collection[str]],
    ) -> None:
        """`busy_elsewhere` names runs that are STARTING and rightly not known to an
        executor yet."""
        self.node, self.executors = node, executors
        self.busy_elsewhere = busy_elsewhere
        self.of = {name: ex for ex in executors for name in ex.environments}
        self.supervisors: dict[str, Supervisor] = {}
        self.threads: list[threading.Thread] = []
        self.tried_at: dict[str, float] = {}
        self.missing: dict[str, str] = {}  # environment -> why it does not work here
        self.lock = threading.Lock()
        self.stopping = False
        self.looks = 0  # how often was looked at what works here

    # -- what works here --------------------------------------------------------------

    def look(self, *, now: datetime) -> None:
        """Begin with what has become available, and tell what there is now."""
        for executor in self.executors:
            if self._is_up(executor):
                self._watch(executor)
        offered: list[str] = []
        for executor in self.executors:
            if executor.name in self.supervisors:
                offered += executor.capabilities()
                self.missing |= executor.absent()
        self._tell(sorted(offered), now)
        self.looks += 1

    def _is_up(self, executor: Executor) -> bool:
        last = self.tried_at.get(executor.name, -TRY_AGAIN_S)
        if executor.name in self.supervisors and executor.capabilities():
            return True
        if time.monotonic() - last < TRY_AGAIN_S:
            return False
        self.tried_at[executor.name] = time.monotonic()
        try:
            executor.ensure()
        except ExecutorError as why:
            self.missing |= dict.fromkeys(executor.environments, str(why))
            return False
        return True

    def _watch(self, executor: Executor) -> None:
        """Read its log in a thread of its own, from now on."""
        with self.lock:
            if executor.name in self.supervisors or self.stopping:
                return
            supervisor = Supervisor(
                self.node, executor, self.busy_elsewhere, self.start_again
            )
            self.supervisors[executor.name] = supervisor
            thread = threading.Thread(
                target=supervisor.run, name=f"log-{executor.name}", daemon=True
            )
            self.threads.append(thread)
            thread.start()

    @transaction.atomic
    def _tell(self, offered: list[str], now: datetime) -> None:
        missing = {k: v for k, v in self.missing.items() if k not in offered}
        known = Node.objects.filter(name=self.node)
        before = known.values_list("environments", "environments_missing").first()
        if before is None or before == (offered, missing):
            return
        known.update(environments=offered, environments_missing=missing)
        if before[0] != offered:
            actor = subject = f"node:{self.node}"
            journal.record(
                "node.environments",
                subject,
                actor=actor,
                at=now,
                name=self.node,
                environments=offered,
                missing=missing,
            )
            transaction.on_commit(redis.wake, robust=True)

    # -- what runs --------------------------------------------------------------------

    def start(self, specs: Sequence[LaunchSpec], *, now: datetime) -> None:
        """Ask each one's executor. A spec that can never start fails its run; where
        the executor does not hear, the runs stay STARTING and are asked for again."""
        batches: dict[str, list[LaunchSpec]] = defaultdict(list)
        for spec in specs:
            batches[spec.environment].append(spec)
        for environment, batch in batches.items():
            try:
                self._start(environment, batch)
            except BadSpec:
                for spec in batch:
                    self._start_alone(environment, spec, now)
            except ExecutorError as down:
                log.warning("the executor did not hear", extra={"why": str(down)})

    def start_again(self, specs: Sequence[LaunchSpec]) -> None:
        self.start(specs, now=utc_now())

    def _start(self, environment: str, batch: Sequence[LaunchSpec]) -> None:
        if environment not in self.of:
            raise Unavailable(f"{environment} is not offered here")
        self.of[environment].start(batch)

    def _start_alone(self, environment: str, spec: LaunchSpec, now: datetime) -> None:
        try:
            self._start(environment, [spec])
        except BadSpec as bad:
            reason = f"cannot start: {bad}"
            endings.refuse(spec.uid, spec.token, reason, node=self.node, now=now)
        except ExecutorError as down:
            log.warning("the executor did not hear", extra={"why": str(down)})

    def signal(self, uid: str, number: int) -> None:
        if (executor := self._executor_of(uid)) is not None:
            executor.signal(uid, number)

    def _executor_of(self, uid: str) -> Executor | None:
        environment = Run.objects.filter(uid=uid).values_list("exec_env", flat=True)
        return self.of.get(environment.first() or "")

    def stop_pending(self) -> None:
        """Pass every wanted stop on."""
        for supervisor in list(self.supervisors.values()):
            supervisor.stop_pending()

    def stop(self, wait_s: float) -> None:
        """Stop watching; programs go on."""
        with self.lock:
            self.stopping = True
        for supervisor in self.supervisors.values():
            supervisor.stopping.set()
        for thread in self.threads:
            thread.join(wait_s)
