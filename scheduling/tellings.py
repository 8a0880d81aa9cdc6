"""What programs say of themselves, moved to their runs: readiness, progress, status.

The only other module that writes Run rows beside `runs`, and never a state by itself.
Each word goes out live; the journal keeps that a run got ready and each tenth of its
progress, so that a talkative program cannot fill it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from agents import journal
from agents.executors.base import Happening, Said, WatchdogMissed
from agents.journal import Entry
from scheduling import hot_reads, runs
from scheduling.batch_sql import iso
from scheduling.models import Run
from scheduling.run_state import RunState
from scheduling.runs import Step

S = RunState
STOPPABLE = (S.STARTING, S.RUNNING, S.SUSPENDED)
TOLD = ("ready_at", "progress", "status_text")


@dataclass(frozen=True, slots=True)
class Stopped:
    """A run that is being ended for its silence."""

    uid: str
    reason: str


def apply(
    happenings: Sequence[Happening], *, actor: str, now: datetime
) -> list[Stopped]:
    """Inside the caller's transaction: keep what was said, and begin to end the runs
    that missed their watchdog."""
    words = newest([h for h in happenings if isinstance(h, Said)])
    if words:
        _keep(words, actor, now)
    missed = [h for h in happenings if isinstance(h, WatchdogMissed)]
    return _stop_silent(missed, actor, now) if missed else []


def newest(words: Sequence[Said]) -> dict[str, Said]:
    """One word for each run: the latest of what it said, and the first READY."""
    found: dict[str, Said] = {}
    for word in words:
        before = found.get(word.uid)
        if before is not None:
            status, progress = word.status, word.progress
            word = replace(
                word,
                at_ns=before.at_ns if before.ready else word.at_ns,
                ready=before.ready or word.ready,
                stopping=before.stopping or word.stopping,
                status=before.status if status is None else status,
                progress=before.progress if progress is None else progress,
            )
        found[word.uid] = word
    return found


def _keep(words: dict[str, Said], actor: str, now: datetime) -> None:
    rows = Run.objects.filter(uid__in=words).select_related("agent")
    for run in rows.only("uid", *TOLD, "agent__agent_id"):
        word = words[run.uid]
        changed: dict[str, Any] = {}
        if word.ready and run.ready_at is None:
            changed["ready_at"] = datetime.fromtimestamp(word.at_ns / 1e9, UTC)
        if word.progress is not None:
            changed["progress"] = word.progress
        if word.status is not None:
            changed["status_text"] = word.status
        tell(run, changed, actor=actor, now=now)


def tell(run: Run, changed: dict[str, Any], *, actor: str, now: datetime) -> None:
    """Set columns of TOLD, show them at once, and journal what is of note."""
    if not changed:
        return
    Run.objects.filter(pk=run.pk).update(**changed)
    before = run.progress
    said = {name: getattr(run, name) for name in TOLD} | changed
    data = {"agent": run.agent.agent_id, **said, "ready_at": iso(said["ready_at"])}
    kind = "run.ready" if "ready_at" in changed else "run.progress"
    entry = Entry(kind, f"run:{run.uid}", actor, now, data)
    if kind == "run.ready":
        journal.record_many([entry])
        runs.wake_on_commit("ready")  # others may wait for it
    elif _tenth(changed.get("progress", before)) != _tenth(before):
        journal.record_many([entry])
    else:
        journal.announce([entry])


def _tenth(progress: float | None) -> int:
    return -1 if progress is None else int(progress * 10 + 1e-9)


@transaction.atomic
def mark_ready(uid: str, token: int, *, actor: str, now: datetime) -> None:
    """A probe found it serving."""
    rows = Run.objects.select_related("agent")
    run = rows.filter(uid=uid, token=token, ready_at=None).first()
    if run is not None:
        tell(run, {"ready_at": now}, actor=actor, now=now)


def is_ready(run: Run) -> bool:
    """Whether it serves: it has shown so, or it runs and never has to show it."""
    if run.ready_at is not None:
        return True
    (spec,) = hot_reads.specs({run.version_id}).values()
    return run.started_at is not None and spec.get("readiness") is None


def _stop_silent(
    missed: Sequence[WatchdogMissed], actor: str, now: datetime
) -> list[Stopped]:
    silent = {one.uid: one for one in missed}
    rows = Run.objects.filter(uid__in=silent, state__in=STOPPABLE)
    found = []
    for run in rows.select_related("version", "node"):
        reason = why_silent(silent[run.uid])
        facts = {"stop_as": S.FAILED, "stop_grace_s": run.version.spec["grace_s"]}
        step = Step(run.pk, run.token, reason, facts)
        before = S(run.state)
        if runs.move_many([step], before=before, to=S.STOPPING, actor=actor, now=now):
            found.append(Stopped(run.uid, reason))
            runs.tell_node_on_commit(run.node)
    return found


def why_silent(missed: WatchdogMissed) -> str:
    if missed.silent_s is None:
        return "its watchdog was triggered by itself"
    return f"missed its watchdog: silent for {missed.silent_s:.0f} s"
