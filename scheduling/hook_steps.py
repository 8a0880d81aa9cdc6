"""One step of a hook: a helper of the executor's, asked until it answers, or our own
code in a thread; closed in its row however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from agents import agent_lifecycle_hooks as hooks
from agents import live_config
from agents.agent_lifecycle_hooks import HookFailed, HookStopped, Place, Step
from agents.executors.base import BadSpec, ExecutorError, Happening, LaunchSpec
from agents.hooks import beneath
from agents.hooks.budget import Budget
from scheduling import checkpoints, hot_reads, phases, reached
from scheduling.launch import Start
from scheduling.models import Phase, Run

if TYPE_CHECKING:
    from scheduling.hook_runs import HookRuns

LATE_S = 1.0  # a step of ours tells by itself that its time is over
ASK_AGAIN_S = 5.0  # whether a helper is there, and whether its row is closed
NOT_STARTED_S = 60.0  # how long an executor may take to start a helper
LOOK_EVERY_S = 0.02  # whether a program has saved its work
LEAVES_S = 15.0  # how long a helper may take to be gone once it is ended


class Leaving(Exception):
    """This process stops; the step is gone on with by the next."""


class Job:
    """A phase of a run that is being gone through."""

    def __init__(
        self, run_id: int, uid: str, when: str, start: Start | None = None
    ) -> None:
        self.run_id, self.uid, self.when, self.start = run_id, uid, when, start
        self.unwanted = asyncio.Event()
        self.budget: Budget | None = None
        self.leaving = False

    @property
    def key(self) -> tuple[str, str]:
        return self.uid, self.when

    def stop(self) -> None:
        """In the loop: the run is to end."""
        self.unwanted.set()
        if self.budget is not None:
            self.budget.stop()

    def give_up(self) -> None:
        """From any thread: this process stops."""
        self.leaving = True
        if self.budget is not None:
            self.budget.stop()


class Steps:
    def __init__(self, node: HookRuns) -> None:
        self.node = node
        self._lock = threading.Lock()
        self._waiting: dict[str, asyncio.Future[Happening]] = {}

    def waited_for(self) -> Collection[str]:
        with self._lock:
            return set(self._waiting)

    def heard(self, ended: Mapping[str, Happening]) -> None:
        """In the loop: helpers ended."""
        for uid, how in ended.items():
            answer = self._waiting.get(uid)
            if answer is not None and not answer.done():
                answer.set_result(how)

    async def do(self, job: Job, phase: Phase, step: Step) -> None:
        """Do it and close its row, which `phase` then shows."""
        node = self.node
        now = node.clock()
        await node.in_thread(partial(phases.begin, phase, actor=node.actor, now=now))
        try:
            detail = await self._do(job, phase, step)
            outcome = step.outcome(failed=False)
        except HookFailed as failed:
            outcome, detail = step.outcome(failed=True), str(failed)
        except HookStopped:
            if job.leaving:
                raise Leaving from None
            outcome, detail = "stopped", "the run was stopped"
        except OSError as error:  # a full disk, a folder that went away
            outcome, detail = step.outcome(failed=True), error.strerror or str(error)
        await self._finish(phase, outcome, detail)
        await node.in_thread(phase.refresh_from_db)  # its helper's end may have come

    async def _do(self, job: Job, phase: Phase, step: Step) -> str:
        assert job.start is not None
        await asyncio.to_thread(hooks.make_folders, job.start.spec)
        if step.when == hooks.CHECKPOINT:  # who is frozen saves nothing
            spec = job.start.spec
            await self._poke(spec, signal.SIGCONT)
        if step.does == "run":
            return await self._helped(job, phase, step)
        if step.does == "signal":
            return await self._saved(job, step)
        if step.command:
            return await self._answered(job, step)
        return await self._ours(job, step)

    async def _finish(self, phase: Phase, outcome: str, detail: str) -> None:
        node = self.node
        close = partial(phases.finish, phase, outcome, detail, actor=node.actor)
        await node.in_thread(partial(close, now=node.clock()))

    # -- our own code -----------------------------------------------------------------

    async def _ours(self, job: Job, step: Step) -> str:
        assert job.start is not None
        spec = job.start.spec
        config = await self.node.in_thread(live_config.current)
        place = Place(
            uid=spec.uid,
            agent_id=spec.env["KOS_AGENT_ID"],
            folder=spec.folder,
            owner=hooks.owner_of(spec),
            config=config,
            cache=self.node.cache,
        )
        if step.does == "warm_up":
            step = await self.node.in_thread(partial(_where_it_serves, step, job))
        job.budget = self.node.budget(step.time_limit_s)
        if job.unwanted.is_set() or job.leaving:
            raise HookStopped
        work = partial(hooks.perform, step, place, job.budget)
        doing = self.node.loop.run_in_executor(self.node.workers, work)
        await self._pause(job, doing, step.time_limit_s + LATE_S)
        if not doing.done():  # it waits for somebody; it will see that it is over
            job.budget.stop()
            doing.add_done_callback(_forget)
            if job.unwanted.is_set():
                raise HookStopped
            raise HookFailed(f"took over {step.time_limit_s:g} s")
        return doing.result()

    # -- helpers ----------------------------------------------------------------------

    async def _helped(self, job: Job, phase: Phase, step: Step) -> str:
        """Have the executor run the command. Its end closes the row, in the
        transaction that reads it; whether that came while nobody was here, the row
        tells."""
        assert job.start is not None
        env = await self._how_it_ended(job)
        spec = hooks.helper(job.start.spec, step, time_limit_s=step.time_limit_s, **env)
        until = time.monotonic() + step.time_limit_s + NOT_STARTED_S
        with self._await(spec.uid) as answer:
            while not await self._is_closed(phase):
                if job.unwanted.is_set():
                    await self._end(spec, answer)
                    raise HookStopped
                if time.monotonic() > until:
                    await self._end(spec, answer)
                    raise HookFailed(f"did not end within {step.time_limit_s:g} s")
                await self._begin(spec)
                await self._pause(job, answer, ASK_AGAIN_S)
        return ""

    async def _saved(self, job: Job, step: Step) -> str:
        """Tell the program by a signal, and wait until it says that it has saved."""
        assert job.start is not None
        spec, until = job.start.spec, time.monotonic() + step.time_limit_s
        await asyncio.to_thread(checkpoints.forget_done, spec)
        await self._poke(spec, signal.Signals[step.options])
        while not await asyncio.to_thread(checkpoints.is_done, spec):
            if time.monotonic() > until:
                done = f"{checkpoints.FOLDER}/{checkpoints.DONE}"
                raise HookFailed(f"wrote no {done} within {step.time_limit_s:g} s")
            await self._wait(job, LOOK_EVERY_S)
        return ""

    async def _poke(self, spec: LaunchSpec, number: int) -> None:
        """Send the run's program a signal; SIGCONT thaws it."""
        poke = partial(self.node.programs.poke, spec.environment, spec.uid, number)
        await asyncio.to_thread(poke)

    async def _how_it_ended(self, job: Job) -> dict[str, str]:
        """What a step after the end is told of it."""
        if job.when != hooks.END:
            return {}

        def read() -> dict[str, str]:
            run = Run.objects.only("state", "exit_code").get(pk=job.run_id)
            code = "" if run.exit_code is None else str(run.exit_code)
            return {"KOS_RUN_STATE": str(run.state), "KOS_EXIT_CODE": code}

        found: dict[str, str] = await self.node.in_thread(read)
        return found

    async def _is_closed(self, phase: Phase) -> bool:
        await self.node.in_thread(phase.refresh_from_db)
        return phase.ended_at is not None

    async def _answered(self, job: Job, step: Step) -> str:
        """Run the command again and again until it ends with 0."""
        assert job.start is not None
        budget, tries, last = Budget(step.time_limit_s), 0, "has not ended"
        while True:
            tries += 1
            attempt = f"{time.time_ns() // 10**6}"  # another than all before
            spec = hooks.helper(
                job.start.spec, step, time_limit_s=budget.left_s, attempt=attempt
            )
            end = await self._one_try(job, spec, budget)
            said = (
                phases.said_of(end, step, hooks.last_words(spec.folder)) if end else ""
            )
            await asyncio.to_thread(beneath.remove, spec.folder)
            if end is not None and not said:
                count = "at once" if tries == 1 else f"at the {tries}. try"
                return f"answered {count}"
            last = said or last
            if budget.left_s <= step.options["every_s"]:
                raise HookFailed(f"took over {step.time_limit_s:g} s; the last: {last}")
            await self._wait(job, step.options["every_s"])

    async def _one_try(
        self, job: Job, spec: LaunchSpec, budget: Budget
    ) -> Happening | None:
        with self._await(spec.uid) as answer:
            try:
                while not answer.done() and budget.left_s:
                    await self._begin(spec)
                    await self._pause(job, answer, min(ASK_AGAIN_S, budget.left_s))
                    if job.unwanted.is_set():
                        raise HookStopped
            finally:
                if not answer.done():
                    await self._end(spec, answer)
            return answer.result() if answer.done() else None

    async def _begin(self, spec: LaunchSpec) -> None:
        """Ask for the helper; once more changes nothing."""
        try:
            await asyncio.to_thread(self.node.programs.begin, spec)
        except BadSpec as bad:
            raise HookFailed(f"cannot start: {bad}") from None
        except ExecutorError:
            return  # it is asked again

    async def _end(self, spec: LaunchSpec, answer: asyncio.Future[Happening]) -> None:
        """End the helper and all of it, and wait until it is gone."""
        end = partial(self.node.programs.end, spec.environment, spec.uid)
        with contextlib.suppress(ExecutorError):
            await asyncio.to_thread(end)
        await asyncio.wait({answer}, timeout=LEAVES_S)

    async def _pause(
        self, job: Job, answer: asyncio.Future[Any], seconds: float
    ) -> None:
        """Until the answer is there, the run is to end, or the time is over."""
        unwanted = asyncio.ensure_future(job.unwanted.wait())
        either: set[asyncio.Future[Any]] = {answer, unwanted}
        try:
            await asyncio.wait(
                either, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            unwanted.cancel()
        if job.leaving:
            raise Leaving

    async def _wait(self, job: Job, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(job.unwanted.wait(), seconds)
            raise HookStopped
        if job.leaving:
            raise Leaving

    @contextlib.contextmanager
    def _await(self, uid: str) -> Iterator[asyncio.Future[Happening]]:
        answer: asyncio.Future[Happening] = self.node.loop.create_future()
        with self._lock:
            self._waiting[uid] = answer
        try:
            yield answer
        finally:
            with self._lock:
                del self._waiting[uid]


def _where_it_serves(step: Step, job: Job) -> Step:
    """The step with the URL at which this run's port is reached. Reads the database."""
    row = Run.objects.values("ports", "version_id").get(pk=job.run_id)
    spec = hot_reads.specs([row["version_id"]])[row["version_id"]]
    url = reached.way_to(spec, row["ports"]).url(step.options["http"])
    return replace(step, options={**step.options, "http": url})


def _forget(answer: asyncio.Future[Any]) -> None:
    """Nobody waits for it any more, whatever it is."""
    if not answer.cancelled():
        answer.exception()
