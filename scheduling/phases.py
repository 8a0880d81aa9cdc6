"""The steps of a run besides its states: hooks that are due, under way, or over.

The only writer of Phase. Rows are made in the transaction that makes the steps due,
so none is forgotten whoever is killed; each change of a row has its Event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.dispatch import Signal

from agents import agent_lifecycle_hooks as hooks
from agents import journal
from agents.agent_lifecycle_hooks import Step
from agents.executors.base import Ended, Happening, NotStarted, Started
from scheduling.batch_sql import iso
from scheduling.models import Phase
from scheduling.run_folders import folder_of

LONGEST_DETAIL = 300  # the column's width
due = Signal()  # sent after commit: steps are due, or a run with steps has ended
helped = Signal()  # sent after commit, with ended: what became of helpers


@dataclass(frozen=True, slots=True)
class Open:
    """A phase of a run in which there is something left to do."""

    run_id: int
    uid: str
    state: str
    when: str


def lay_out(runs: Iterable[tuple[int, Mapping[str, Any]]], when: str) -> None:
    """Make the steps of a phase due, inside the caller's transaction, for runs given
    by id and spec. What is there already stays."""
    rows = [
        Phase(run_id=pk, when=when, number=step.number, name=step.name)
        for pk, spec in runs
        for step in hooks.steps_of(spec["hooks"], when)
    ]
    if rows:
        Phase.objects.bulk_create(rows, ignore_conflicts=True)
        call_on_commit()


def call_on_commit() -> None:
    transaction.on_commit(partial(due.send_robust, Phase), robust=True)


def of(run_id: int, when: str) -> list[Phase]:
    mine = Phase.objects.filter(run_id=run_id, when=when)
    return list(mine.select_related("run__agent").order_by("number"))


def open_on(node: str, when: str, *, most: int) -> list[Open]:
    """What is left to do of a phase on a node, the oldest first."""
    left = unfinished().filter(run__node__name=node, when=when).order_by("id")
    rows = left.values_list("run_id", "run__uid", "run__state", "when")[:most]
    return list(dict.fromkeys(Open(*row) for row in rows))


def unfinished() -> QuerySet[Phase]:
    return Phase.objects.filter(ended_at__isnull=True)


def with_open_step(helpers: Iterable[str]) -> set[str]:
    """Those of the helpers whose step is not over: they are rightly there."""
    steps = {uid: step for uid in helpers if (step := hooks.step_of(uid))}
    if not steps:
        return set()
    left = unfinished().filter(run__uid__in={run for run, _, _ in steps.values()})
    there = set(left.values_list("run__uid", "when", "number"))
    return {uid for uid, step in steps.items() if step in there}


@transaction.atomic
def begin(phase: Phase, *, actor: str, now: datetime) -> None:
    """Note when the step began; one that is taken up again began before."""
    fresh = Phase.objects.filter(pk=phase.pk, started_at__isnull=True)
    if fresh.update(started_at=now):
        phase.started_at = now
        _record(phase, "started", actor, now)


@transaction.atomic
def finish(
    phase: Phase, outcome: str, detail: str, *, actor: str, now: datetime
) -> None:
    """Close the step, unless it is over."""
    said = "".join(c if c.isprintable() else " " for c in detail)[:LONGEST_DETAIL]
    mine = unfinished().filter(pk=phase.pk)
    if mine.update(ended_at=now, outcome=outcome, detail=said):
        phase.ended_at, phase.outcome, phase.detail = now, outcome, said
        _record(phase, outcome, actor, now)


def stop_rest(run_id: int, when: str, why: str, *, actor: str, now: datetime) -> None:
    """Close all that is left of a phase of the run."""
    for phase in of(run_id, when):
        finish(phase, "stopped", why, actor=actor, now=now)


def heard(happenings: Sequence[Happening], *, actor: str, now: datetime) -> None:
    """Close the steps whose helpers ended, inside the caller's transaction."""
    ended = {h.uid: h for h in happenings if not isinstance(h, Started)}
    for uid, end in ended.items():
        if (step := hooks.step_of(uid)) is not None:
            _close(*step, end, actor, now)
    if ended:
        call = partial(helped.send_robust, Phase, ended=ended)
        transaction.on_commit(call, robust=True)


def _close(
    run: str, when: str, number: int, end: Happening, actor: str, now: datetime
) -> None:
    mine = unfinished().filter(run__uid=run, when=when, number=number)
    phase = mine.select_related("run__agent", "run__version").first()
    if phase is None:
        return
    step = hooks.steps_of(phase.run.version.spec["hooks"], when)[number - 1]
    folder = hooks.helper_folder(folder_of(run), step)
    detail = said_of(end, step, hooks.last_words(folder))
    if isinstance(end, Ended) and end.stopped:
        outcome = "stopped"
    else:
        outcome = step.outcome(failed=bool(detail))
    finish(phase, outcome, detail, actor=actor, now=now)


def said_of(end: Happening, step: Step, last_words: str) -> str:
    """How a helper ended, in words; "" when it did its work."""
    if isinstance(end, NotStarted):
        return f"cannot start: {end.reason}"
    assert isinstance(end, Ended), "a start is no end"
    if end.exit_code == 0:
        return ""
    if end.lost:
        said = "is gone and nobody saw how it ended"
    elif end.timed_out:
        said = f"took over {step.time_limit_s:g} s"
    elif end.oom_killed:
        said = "ran out of memory"
    elif end.signal is not None:
        said = f"ended by signal {end.signal}"
    else:
        said = f"ended with {end.exit_code}"
    return f"{said}: {last_words}" if last_words else said


def _record(phase: Phase, what: str, actor: str, now: datetime) -> None:
    journal.record(
        f"hook.{what}",
        f"run:{phase.run.uid}",
        actor=actor,
        at=now,
        agent=phase.run.agent.agent_id,
        phase=told(phase),
    )


def told(phase: Phase) -> dict[str, Any]:
    """A step as the API tells it."""
    return {
        "when": phase.when.replace("_", "-"),
        "number": phase.number,
        "name": phase.name,
        "started_at": iso(phase.started_at),
        "ended_at": iso(phase.ended_at),
        "outcome": phase.outcome,
        "detail": phase.detail,
    }


ORDER = (hooks.PRE, hooks.POST, hooks.CHECKPOINT, hooks.END)


def of_run(uid: str) -> list[dict[str, Any]]:
    """All steps of a run, in the order they come."""
    rows = Phase.objects.filter(run__uid=uid)
    return [
        told(p) for p in sorted(rows, key=lambda p: (ORDER.index(p.when), p.number))
    ]
