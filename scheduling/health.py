"""Readiness and liveness of one node's runs: probed in its loop, a bounded number at a
time, and acted on like a crash.

Only runs whose agents ask for it are ever looked at. Nothing is kept: a new node
process finds its runs in the database and goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import DatabaseError

from agents.errors import ChangedMeanwhile, NotAllowedNow
from scheduling import (
    hot_reads,
    launch,
    live_runs,
    probes,
    reached,
    runs,
    tellings,
)
from scheduling.models import Run
from scheduling.probes import Look, NotWell
from scheduling.run_state import FINAL, RunState

AT_ONCE = 32
TURN_S = 0.25
MANY, MANY_TURN_S = 200, 1.0  # so many are looked up less often
CATCH_UP_S = 5.0  # what runs said while we were away has to be read first
S = RunState
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
COLUMNS = (
    "uid",
    "token",
    "state",
    "version_id",
    "started_at",
    "ready_at",
    "ports",
    "frozen_s",
)


@dataclass(slots=True)
class Patient:
    """A run under watch. Instants are of the wall clock, as the run's own."""

    uid: str
    since: datetime  # watched since
    token: int = 0
    spec: dict[str, Any] = field(default_factory=dict)
    next_at: datetime | None = None
    failures: int = 0
    last: str = ""  # why it was not well, when last looked at
    probed: bool = False
    looking: asyncio.Task[None] | None = None


class Health:
    def __init__(
        self, node: str, in_thread: InThread, clock: Callable[[], datetime]
    ) -> None:
        self.node = node
        self.actor = f"node:{node}"
        self.in_thread, self.clock = in_thread, clock
        self.patients: dict[str, Patient] = {}
        self.pool = asyncio.Semaphore(AT_ONCE)
        self.adopted = False

    def watch(self, uid: str) -> None:
        """From any thread: this run is about to start and wants to be probed."""
        self.patients.setdefault(uid, Patient(uid, self.clock()))

    async def turn(self) -> None:
        """One round: see how the runs stand, and look at those that are due."""
        if not self.adopted:
            await self.in_thread(self.adopt)
            self.adopted = True
        if watched := list(self.patients):
            rows = await self.in_thread(partial(self.read, watched))
            for uid in watched:
                await self.see(uid, rows.get(uid))
        await asyncio.sleep(TURN_S if len(watched) < MANY else MANY_TURN_S)

    def adopt(self) -> None:
        """What an earlier process of this node started."""
        mine = live_runs.programs().filter(node__name=self.node)
        versions = dict(mine.values_list("uid", "version_id"))
        specs = hot_reads.specs(set(versions.values()))
        for uid, version in versions.items():
            if launch.is_probed(specs[version]):
                self.watch(uid)

    def read(self, uids: Collection[str]) -> dict[str, dict[str, Any]]:
        rows = {r["uid"]: r for r in Run.objects.filter(uid__in=uids).values(*COLUMNS)}
        specs = hot_reads.specs({row["version_id"] for row in rows.values()})
        for row in rows.values():
            row["spec"] = specs[row["version_id"]]
        return rows

    async def see(self, uid: str, row: dict[str, Any] | None) -> None:
        patient = self.patients[uid]
        if row is None or row["state"] in (*FINAL, S.STOPPING):
            self.forget(uid)
            return
        if row["state"] != S.RUNNING:  # not begun yet, or frozen
            patient.failures, patient.next_at = 0, None
            return
        patient.token, patient.spec = row["token"], row["spec"]
        if patient.looking is not None:
            return
        now = self.clock()
        readiness = patient.spec.get("readiness")
        if readiness and row["ready_at"] is None:
            begun = row["started_at"] + timedelta(seconds=row["frozen_s"])
            if late := too_late(patient, readiness, begun, now):
                await self.fail(patient, late)
            elif readiness["by"] != "notify":
                self.look(patient, row, readiness, self.until_ready, now)
        elif liveness := patient.spec.get("liveness"):
            after = timedelta(seconds=liveness["after_s"])
            if now >= row["started_at"] + after:
                self.look(patient, row, liveness, self.while_alive, now)
        elif readiness:
            self.forget(uid)  # it is ready, and that was all

    def forget(self, uid: str) -> None:
        patient = self.patients.pop(uid)
        if patient.looking is not None:
            patient.looking.cancel()

    def look(
        self,
        patient: Patient,
        row: dict[str, Any],
        probe: dict[str, Any],
        then: Callable[[Patient, str], Awaitable[None]],
        now: datetime,
    ) -> None:
        """Begin a probe that is due; `then` hears what was wrong, "" for nothing."""
        if patient.next_at is not None and now < patient.next_at:
            return
        patient.next_at = now + timedelta(seconds=probe["every_s"])
        at = Look(
            uid=patient.uid,
            by=probe["by"],
            target=probe["target"],
            timeout_s=probe["timeout_s"],
            way=reached.way_to(row["spec"], row["ports"]),
            env={"PATH": launch.PATH, **row["spec"]["env"]},
        )
        patient.looking = asyncio.ensure_future(self.probe(patient, at, then))

    async def probe(
        self,
        patient: Patient,
        at: Look,
        then: Callable[[Patient, str], Awaitable[None]],
    ) -> None:
        wrong = ""
        try:
            async with self.pool:
                await probes.look(at)
        except NotWell as found:
            wrong = str(found)
        try:
            with suppress(DatabaseError):  # the next look says it again
                await then(patient, wrong)
        finally:
            patient.probed, patient.last = True, wrong
            patient.looking = None

    async def until_ready(self, patient: Patient, wrong: str) -> None:
        if not wrong:
            patient.failures, patient.next_at = 0, None
            ready = partial(tellings.mark_ready, patient.uid, patient.token)
            await self.in_thread(partial(ready, actor=self.actor, now=self.clock()))

    async def while_alive(self, patient: Patient, wrong: str) -> None:
        patient.failures = patient.failures + 1 if wrong else 0
        if patient.failures >= patient.spec["liveness"]["failures"]:
            await self.fail(patient, f"not alive: {in_a_row(patient.failures)}{wrong}")

    async def fail(self, patient: Patient, reason: str) -> None:
        """End it with its grace; it counts as a crash."""
        await self.in_thread(partial(self.stop, patient.uid, patient.token, reason))

    def stop(self, uid: str, token: int, reason: str) -> None:
        found = Run.objects.select_related("version", "node").filter(uid=uid)
        run = found.filter(token=token, state=S.RUNNING).first()
        if run is None:
            return
        now = self.clock()
        try:
            runs.stop(run, actor=self.actor, now=now, reason=reason, stop_as=S.FAILED)
        except (ChangedMeanwhile, NotAllowedNow):
            return  # it ended by itself


def too_late(
    patient: Patient, readiness: dict[str, Any], started_at: datetime, now: datetime
) -> str:
    """Why it fails: it was not ready in time. "" while it has time."""
    within_s = readiness["within_s"]
    due = started_at + timedelta(seconds=within_s)
    caught_up = patient.since + timedelta(seconds=min(within_s, CATCH_UP_S))
    if now < max(due, caught_up) or not (readiness["by"] == "notify" or patient.probed):
        return ""
    why = "it never said so" if readiness["by"] == "notify" else patient.last
    return f"not ready within {within_s:g} s: {why}"


def in_a_row(failures: int) -> str:
    return f"{failures} probes in a row failed: " if failures > 1 else ""
