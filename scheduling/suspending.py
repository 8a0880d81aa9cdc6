"""A node carries out what is wished of its live runs: freezes, reclaims, thaws.

The program first, the row after it: room counts as free only when it is. Each step may
be done again, so whoever is killed in between, the next process of the node finds the
wish and ends up at the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from agents.executors.base import BadSpec, Executor, ExecutorError, Limits
from scheduling import hot_reads, launch, live_runs, wishes
from scheduling.models import Run
from scheduling.run_state import RunState
from scheduling.wishes import FREEZE, RECLAIM, SLOW, THAW

log = logging.getLogger(__name__)
WISHES = (FREEZE, RECLAIM, THAW, SLOW)
S = RunState
Find = Callable[[str], Executor | None]


def limits_of(run: Run) -> Limits:
    """Its own, with the CPU it is let have for now."""
    (spec,) = hot_reads.specs({run.version_id}).values()
    own = launch.limits(spec)
    return (
        own if run.slowed_millis is None else replace(own, cpu_millis=run.slowed_millis)
    )


class Suspender:
    """For one node. `executor_of` finds who runs an environment."""

    def __init__(
        self, node: str, executor_of: Find, clock: Callable[[], datetime]
    ) -> None:
        self.node, self.actor = node, f"node:{node}"
        self.executor_of, self.clock = executor_of, clock
        self.adopted: set[int] = set()  # runs that are frozen, as far as we know

    def mine(self) -> QuerySet[Run]:
        return live_runs.programs().filter(node__name=self.node)

    def look(self) -> int:
        """Carry out every wish; how many there were."""
        self.adopt()
        wanted = self.mine().filter(wish__in=WISHES)
        wanted = wanted.filter(state__in=(S.RUNNING, S.SUSPENDED)).order_by("id")
        found = list(wanted)
        for run in found:
            self.carry_out(run)
        return len(found)

    def adopt(self) -> None:
        """What is frozen by its row is so, though another process of the node may
        have frozen it: seen to once."""
        frozen = list(self.mine().filter(state=S.SUSPENDED).exclude(wish=THAW))
        for run in frozen:
            executor = self.executor_of(run.exec_env)
            if run.pk in self.adopted or executor is None:
                continue
            try:
                executor.freeze(run.uid)
            except ExecutorError as trouble:
                log.warning("not frozen again", extra={"why": str(trouble)})
            else:
                self.adopted.add(run.pk)
        self.adopted &= {run.pk for run in frozen}

    def carry_out(self, run: Run) -> None:
        executor = self.executor_of(run.exec_env)
        if executor is None:
            return
        try:
            facts = self.do(executor, run)
        except BadSpec as never:
            self.refuse(run, str(never))
            return
        except ExecutorError as trouble:  # at the next look
            log.warning("wish not carried out", extra={"why": str(trouble)})
            return
        if not self.say_done(run, facts):
            self.put_right(executor, run)

    def do(self, executor: Executor, run: Run) -> dict[str, Any]:
        """What is to be kept of it."""
        if run.wish == THAW:
            executor.thaw(run.uid)
            return {}
        if run.wish == SLOW:
            executor.relimit(run.uid, limits_of(run))
            return {}
        executor.freeze(run.uid)
        if run.wish == FREEZE:
            return {}
        try:
            given = executor.reclaim(run.uid)
        except BadSpec as never:
            log.warning("nothing reclaimed", extra={"why": str(never)})
            given = None
        measured = given.given_bytes if given else 0
        return {"reclaimed_bytes": min(measured, run.memory_bytes)}

    def say_done(self, run: Run, facts: dict[str, Any]) -> bool:
        return wishes.carried_out(
            run.pk, run.token, run.wish, facts, actor=self.actor, now=self.clock()
        )

    def refuse(self, run: Run, why: str) -> None:
        wishes.refused(run.pk, run.token, why, actor=self.actor, now=self.clock())

    def put_right(self, executor: Executor, run: Run) -> None:
        """The wish changed while we were at it: as its row says it now."""
        now = self.mine().filter(pk=run.pk).first()
        if now is None or now.wish in WISHES:
            return  # over, or the next look does what is wished now
        if now.state == S.RUNNING:
            executor.thaw(run.uid)
        elif now.state == S.SUSPENDED:
            executor.freeze(run.uid)
