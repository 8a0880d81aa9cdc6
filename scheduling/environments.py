"""The executors of one node: which environments work here, and who runs what.

An engine may be away when the node starts, or go and come back: what it offers is
looked at again and again, and told to the planner by the node's row.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from agents import journal, redis
from agents.executors.base import (
    BadSpec,
    Capabilities,
    Executor,
    ExecutorError,
    LaunchSpec,
    Unavailable,
)
from agents.models import Node
from scheduling import endings
from scheduling.launch import Start
from scheduling.models import Run
from scheduling.supervisor import Supervisor, utc_now

log = logging.getLogger(__name__)
TRY_AGAIN_S = 10.0  # an engine that was away


def ways(can: Capabilities) -> dict[str, Any]:
    """How runs of an environment can yield, and why not otherwise."""
    each = {"freeze": can.freeze, "reclaim": can.reclaim and can.freeze}
    why = {name: can.missing.get(name, "") for name, able in each.items() if not able}
    return {**each, "why": why}


class Environments:
    """Any thread may call any method."""

    def __init__(
        self,
        node: str,
        executors: Sequence[Executor],
        busy_elsewhere: Callable[[], Collection[str]],
        prepare: Callable[[Start], None],
    ) -> None:
        """`busy_elsewhere` names runs that are STARTING and rightly not known to an
        executor yet, and helpers of hooks; `prepare` starts a run with hooks."""
        self.node, self.executors = node, executors
        self.busy_elsewhere, self.prepare = busy_elsewhere, prepare
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
        offered: dict[str, Capabilities] = {}
        for executor in self.executors:
            if executor.name in self.supervisors:
                offered |= executor.capabilities()
                self.missing |= executor.absent()
        self._tell(sorted(offered), now)
        self._tell_yields({name: ways(can) for name, can in offered.items()})
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
                self.node, executor, self.busy_elsewhere, self.start_all
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

    def _tell_yields(self, ways: dict[str, Any]) -> None:
        """How runs can yield while they live, where that has changed."""
        known = Node.objects.filter(name=self.node)
        if known.values_list("yields", flat=True).first() not in (None, ways):
            known.update(yields=ways)

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

    def start_all(self, starts: Sequence[Start]) -> None:
        """Start programs; those with hooks go through them first. Those that lack what
        they need fail here and say so."""
        fit = [start for start in starts if not start.refused]
        plain = [start.spec for start in fit if not start.is_hooked]
        self.start(plain, now=utc_now())
        for start in fit:
            if start.is_hooked:
                self.prepare(start)
        for start in starts:
            if start.refused:
                self._refuse(start.spec, start.refused, utc_now())

    def begin(self, spec: LaunchSpec) -> None:
        """Start one program that is no run's own. Raises ExecutorError."""
        self._start(spec.environment, [spec])

    def end(self, environment: str, uid: str) -> None:
        """End one that is no run's own, at once. Raises ExecutorError."""
        if environment in self.of:
            self.of[environment].stop(uid, grace_s=0)

    def poke(self, environment: str, uid: str, number: int) -> None:
        """Send a run a signal; SIGCONT thaws it. Raises ExecutorError."""
        if environment in self.of:
            executor = self.of[environment]
            if number == signal.SIGCONT:
                executor.thaw(uid)
            else:
                executor.signal(uid, number)

    def _start(self, environment: str, batch: Sequence[LaunchSpec]) -> None:
        if environment not in self.of:
            raise Unavailable(f"{environment} is not offered here")
        self.of[environment].start(batch)

    def _start_alone(self, environment: str, spec: LaunchSpec, now: datetime) -> None:
        try:
            self._start(environment, [spec])
        except BadSpec as bad:
            self._refuse(spec, f"cannot start: {bad}", now)
        except ExecutorError as down:
            log.warning("the executor did not hear", extra={"why": str(down)})

    def _refuse(self, spec: LaunchSpec, reason: str, now: datetime) -> None:
        endings.refuse(spec.uid, spec.token, reason, node=self.node, now=now)

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
