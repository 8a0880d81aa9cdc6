"""Runs whose agents have pre-start hooks: prepared in the loop, then started.

They are few and may be slow; a bounded number goes at a time, and the plain runs
beside them never wait.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Collection
from concurrent.futures import Future
from datetime import UTC, datetime

from agents import agent_lifecycle_hooks
from agents.agent_lifecycle_hooks import HookFailed
from agents.executors.base import LaunchSpec
from scheduling import endings
from scheduling.launch import Start
from scheduling.models import Run
from scheduling.run_state import RunState

AT_ONCE = 16


class HookedStarts:
    def __init__(self, node: str, start: Callable[[LaunchSpec], None]) -> None:
        """`start` is asked for each program whose hooks have done their work."""
        self.node, self.start = node, start
        self.pool = asyncio.Semaphore(AT_ONCE)
        self._under_way: dict[str, Future[None]] = {}
        self._lock = threading.Lock()

    def under_way(self) -> Collection[str]:
        with self._lock:
            return frozenset(self._under_way)

    def begin(self, start: Start, loop: asyncio.AbstractEventLoop) -> None:
        """From any thread: run the hooks in the loop, then start the program."""
        with self._lock:
            prepared = asyncio.run_coroutine_threadsafe(self._prepare(start), loop)
            self._under_way[start.spec.uid] = prepared

    def cancel_unwanted(self) -> None:
        """End the hooks of runs that were asked to stop meanwhile."""
        stopping = Run.objects.filter(uid__in=self.under_way(), state=RunState.STOPPING)
        for uid in stopping.values_list("uid", flat=True):
            with self._lock:
                prepared = self._under_way.get(uid)
            if prepared is not None:
                prepared.cancel()

    async def _prepare(self, start: Start) -> None:
        spec = start.spec
        try:
            async with self.pool:
                await agent_lifecycle_hooks.pre_start(start.pre_start, spec)
            if await asyncio.to_thread(self._is_wanted, spec):
                await asyncio.to_thread(self.start, spec)
        except HookFailed as failed:
            await asyncio.to_thread(self._fail, spec, str(failed))
        finally:
            with self._lock:
                self._under_way.pop(spec.uid, None)

    def _is_wanted(self, spec: LaunchSpec) -> bool:
        mine = Run.objects.filter(uid=spec.uid, token=spec.token)
        return mine.filter(state=RunState.STARTING).exists()

    def _fail(self, spec: LaunchSpec, reason: str) -> None:
        now = datetime.now(UTC)  # noqa: TID251 - called from the loop, an entry point
        endings.refuse(spec.uid, spec.token, reason, node=self.node, now=now)
