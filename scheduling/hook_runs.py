"""The hooks of one node's runs, gone through in the node's loop.

What is to be done stands in the rows of scheduling.phases; this process only works
them off. So after it was killed the next one goes on where it was: a helper that ran
meanwhile is asked after, our own steps are done again. Hooks may be slow; a bounded
number of runs goes at a time in each phase, and plain runs never wait for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from django.db import DatabaseError, close_old_connections
from redis import RedisError

from agents import agent_lifecycle_hooks as hooks
from agents.agent_lifecycle_hooks import CHECKPOINT, END, POST, PRE
from agents.errors import ChangedMeanwhile, NotAllowedNow
from agents.executors.base import ExecutorError, Happening, LaunchSpec
from agents.hooks.budget import Budget
from agents.hooks.cache import Cache
from scheduling import endings, hook_steps, launch, phases, runs, wishes
from scheduling.hook_steps import Job
from scheduling.launch import Start
from scheduling.models import Phase, Run
from scheduling.run_state import FINAL, RunState

log = logging.getLogger(__name__)
AT_ONCE = 16  # runs, in each phase
LOOK_MOST = 200  # rows one look takes up
AGAIN_S = 1.0  # after trouble with the database, Redis or an executor
GONE = "the run ended"
KINDS = (PRE, POST, CHECKPOINT, END)
RUNS_ON = (RunState.RUNNING, RunState.SUSPENDED)
TROUBLE = (DatabaseError, RedisError, ExecutorError, OSError)
T = TypeVar("T")
Key = tuple[str, str]  # run, phase


class Programs(Protocol):
    """What a node can do with programs."""

    def start(self, specs: Sequence[LaunchSpec], *, now: datetime) -> None: ...
    def begin(self, spec: LaunchSpec) -> None: ...
    def end(self, environment: str, uid: str) -> None: ...
    def poke(self, environment: str, uid: str, number: int) -> None: ...
    def stop_pending(self) -> None: ...


class HookRuns:
    """Jobs of one node: each a phase of a run. Any thread may call what has no
    underscore; the rest is the loop's."""

    programs: Programs  # set by whoever has them, before anything is begun

    def __init__(
        self,
        node: str,
        loop: asyncio.AbstractEventLoop,
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        clock: Callable[[], datetime],
        cache: Path,
    ) -> None:
        """`in_thread` does work with the database."""
        self.node, self.actor, self.loop = node, f"node:{node}", loop
        self.in_thread, self.clock = in_thread, clock
        self.cache = Cache(cache)
        self.cache.tidy()
        self.pools = {when: asyncio.Semaphore(AT_ONCE) for when in KINDS}
        self.workers = ThreadPoolExecutor(
            len(KINDS) * AT_ONCE, thread_name_prefix="hook"
        )
        self.steps = hook_steps.Steps(self)
        self.leaving = False
        self._lock = threading.Lock()
        self._jobs: dict[Key, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._due = asyncio.Event()
        phases.due.connect(self._heard_due)
        phases.helped.connect(self._heard_helped)

    # -- from any thread --------------------------------------------------------------

    def under_way(self) -> Collection[str]:
        """Runs whose pre-start steps go on, and helpers that are rightly there."""
        with self._lock:
            prepared = {uid for uid, when in self._jobs if when == PRE}
        return prepared | set(self.steps.waited_for())

    def begin(self, start: Start) -> None:
        """Go through what comes before the program, then start it."""
        job = Job(start.run_id, start.spec.uid, PRE, start)
        with self._lock:
            if self.leaving or job.key in self._jobs:
                return
            self._jobs[job.key] = job
        self.loop.call_soon_threadsafe(self._go, job)

    def look_soon(self) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self._due.set)

    def cancel_unwanted(self) -> None:
        """End the steps before and beside programs of runs that are to end."""
        with self._lock:
            jobs = [job for job in self._jobs.values() if job.when != END]
        if not jobs:
            return
        rows = Run.objects.filter(uid__in={job.uid for job in jobs})
        state = dict(rows.values_list("uid", "state"))
        for job in jobs:
            saves = job.when == CHECKPOINT
            wanted = (RunState.STOPPING,) if saves else (RunState.STARTING, *RUNS_ON)
            if state.get(job.uid) not in wanted:
                self.loop.call_soon_threadsafe(job.stop)

    def stop(self) -> None:
        """Leave everything as it is, to be gone on with by the next process."""
        self.leaving = True
        phases.due.disconnect(self._heard_due)
        phases.helped.disconnect(self._heard_helped)
        with self._lock:
            for job in self._jobs.values():
                job.give_up()
        self.workers.shutdown(wait=False)

    async def leave(self) -> None:
        """In the loop, after `stop`: nothing of ours is left in it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _heard_due(self, sender: object, **_: Any) -> None:
        self.look_soon()

    def _heard_helped(
        self, sender: object, ended: Mapping[str, Happening], **_: Any
    ) -> None:
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.steps.heard, ended)

    # -- in the loop ------------------------------------------------------------------

    async def watch(self, every_s: Callable[[], float]) -> None:
        """Take up what is due: when told, and every so often in case nobody told."""
        while True:
            self._due.clear()
            for job in await self.in_thread(self._look):
                with self._lock:
                    is_new = job.key not in self._jobs
                    self._jobs.setdefault(job.key, job)
                if is_new:
                    self._go(job)
            await self.in_thread(self.cancel_unwanted)
            left_s = await self.in_thread(every_s)
            try:
                await asyncio.wait_for(self._due.wait(), left_s)
            except TimeoutError:
                continue

    def _look(self) -> list[Job]:
        """What of the rows can be taken up now."""
        found = []
        for left in self._left():
            with self._lock:
                busy = {when for uid, when in self._jobs if uid == left.uid}
            if left.when in busy:
                continue
            match left.when, RunState(left.state):
                case ("pre_start", RunState.STARTING):
                    found.append(Job(left.run_id, left.uid, PRE))
                case ("post_start", state) if state in RUNS_ON:
                    found.append(Job(left.run_id, left.uid, POST))
                case ("checkpoint", RunState.STOPPING):
                    found.append(Job(left.run_id, left.uid, CHECKPOINT))
                case ("on_shutdown", state) if state in FINAL and not busy:
                    found.append(Job(left.run_id, left.uid, END))
                case ("on_shutdown", _):
                    pass  # once it has ended, and what went on beside it
                case _:
                    self._stop_rest(left.run_id, left.when)
        return found

    def _left(self) -> list[phases.Open]:
        """Each phase by itself: a slow one must not hide the others."""
        each = [phases.open_on(self.node, when, most=LOOK_MOST) for when in KINDS]
        return [left for found in each for left in found]

    def _go(self, job: Job) -> None:
        task = self.loop.create_task(self._work(job))
        self._tasks.add(task)  # or it could be lost
        task.add_done_callback(self._tasks.discard)

    async def _work(self, job: Job) -> None:
        try:
            while not self.leaving:
                try:
                    return await self._phase(job)
                except TROUBLE as trouble:
                    log.warning("hooks pause", extra={"why": str(trouble)})
                    await self.in_thread(close_old_connections)
                    await asyncio.sleep(AGAIN_S)
        except hook_steps.Leaving:
            pass
        except Exception:
            log.exception("hooks of %s broke", job.uid)
            await self.in_thread(partial(self._broken, job))
        finally:
            with self._lock:
                self._jobs.pop(job.key, None)
            self._due.set()

    async def _phase(self, job: Job) -> None:
        """Go through what is left of a phase, and draw the consequence."""
        if job.start is None:
            (job.start,) = await self.in_thread(
                partial(
                    launch.starts,
                    [job.run_id],
                    node=self.node,
                    now=self.clock(),
                    with_secrets=job.when == PRE,
                )
            )
        if job.start.refused:
            await self.in_thread(partial(self._fail, job, job.start.refused))
            return
        steps = hooks.steps_of(job.start.hooks, job.when)
        async with self._turn(job):
            for phase in await self.in_thread(partial(self._rows, job)):
                if not phase.ended_at and not job.unwanted.is_set():
                    await self.steps.do(job, phase, steps[phase.number - 1])
                if phase.outcome == "failed":
                    reason = f"{_words(job.when)} hook {phase.number} {phase.detail}"
                    await self.in_thread(partial(self._fail, job, reason))
                    return
                if job.unwanted.is_set():
                    break
        if job.unwanted.is_set():
            await self.in_thread(partial(self._stop_rest, job.run_id, job.when))
        elif job.when == CHECKPOINT:
            await self.in_thread(partial(self._saved, job))
        elif job.when == PRE and await self.in_thread(partial(self._is_wanted, job)):
            start = partial(self.programs.start, [job.start.spec], now=self.clock())
            await asyncio.to_thread(start)

    @contextlib.asynccontextmanager
    async def _turn(self, job: Job) -> AsyncIterator[None]:
        """Its turn among those of its phase; at once when it is to end."""
        pool = self.pools[job.when]
        turn = asyncio.ensure_future(pool.acquire())
        unwanted = asyncio.ensure_future(job.unwanted.wait())
        either: set[asyncio.Future[Any]] = {turn, unwanted}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            yield
        finally:
            unwanted.cancel()
            if not turn.cancel():
                pool.release()

    # -- in the thread of the database ------------------------------------------------

    def _rows(self, job: Job) -> list[Phase]:
        found = phases.of(job.run_id, job.when)
        if not found and job.start is not None:  # begun by a version before phases
            spec = {"hooks": job.start.hooks}
            phases.lay_out([(job.run_id, spec)], job.when)
            found = phases.of(job.run_id, job.when)
        return found

    def _stop_rest(self, run_id: int, when: str, why: str = GONE) -> None:
        phases.stop_rest(run_id, when, why, actor=self.actor, now=self.clock())

    def _saved(self, job: Job) -> None:
        """It has saved its work, or could not: now it is stopped."""
        wishes.saved(job.run_id)
        self.programs.stop_pending()

    def _is_wanted(self, job: Job) -> bool:
        """Whether the program is still to start."""
        assert job.start is not None
        spec = job.start.spec
        mine = Run.objects.filter(uid=spec.uid, token=spec.token)
        return mine.filter(state=RunState.STARTING).exists()

    def _fail(self, job: Job, reason: str) -> None:
        """A step with the rule "fail" failed: so does the run."""
        assert job.start is not None
        spec, now = job.start.spec, self.clock()
        self._stop_rest(job.run_id, job.when, "a step before it failed")
        if job.when == PRE:
            endings.refuse(spec.uid, spec.token, reason, node=self.node, now=now)
            return
        for _ in range(3):  # it may move meanwhile
            run = Run.objects.select_related("version", "node").get(pk=job.run_id)
            try:
                runs.stop(
                    run,
                    actor=self.actor,
                    now=now,
                    reason=reason,
                    stop_as=RunState.FAILED,
                )
                return
            except ChangedMeanwhile:
                continue
            except NotAllowedNow:
                return  # it is over already

    def _broken(self, job: Job) -> None:
        """An error of our own must not hold a run for ever."""
        reason = f"{_words(job.when)} hooks: an error of the scheduler's own"
        self._stop_rest(job.run_id, job.when, reason)
        if job.when == CHECKPOINT:
            self._saved(job)
        if job.when == PRE and job.start is not None:
            self._fail(job, reason)

    def budget(self, limit_s: float) -> Budget:
        return Budget(limit_s)


def _words(when: str) -> str:
    return when.replace("_", "-")
