"""Changing the line by hand: hold, release, boost, put before or after another.

Only runs that wait can be moved. Each move raises the fencing token, so a plan made
before it admits nothing of it; and each has its event. Where a run stands is an
instant (`line_at`, else its due time), so every mode and the ageing go by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Coalesce

from agents import journal, live_config
from agents.errors import ChangedMeanwhile, KosError, NotAllowedNow, NotFound
from agents.priority import Priority
from scheduling import lines, live_runs, runs
from scheduling.batch_sql import compare_and_set
from scheduling.models import Run
from scheduling.run_state import RunState

S = RunState
TICK = timedelta(microseconds=1)
FARTHEST = 20_000  # a run further back in its lane cannot be named as the neighbour
COLUMNS = ("queue_class", "line_at", "reason", "reason_code")


def hold(run: Run, *, actor: str, now: datetime, note: str = "") -> None:
    """Keep it from starting until it is released. Holding it again changes the note.

    Raises NotAllowedNow unless it waits, ChangedMeanwhile when it just stopped to.
    """
    reason = f"held by {actor}" + (f": {note}" if note else "")
    changed = {
        "queue_class": lines.held(run.queue_class),
        "reason": reason[: runs.LONGEST_REASON],
        "reason_code": "held",
    }
    _change(run, "held", actor, now, changed, held=True)


def release(run: Run, *, actor: str, now: datetime) -> None:
    """Let a held run start again; it keeps its place. Raises as hold does."""
    _must_wait(run)
    if not lines.is_held(run.queue_class):
        raise NotAllowedNow("the run is not held")
    changed = {
        "queue_class": lines.released(run.queue_class),
        "reason": "",
        "reason_code": "",
    }
    _change(run, "released", actor, now, changed, held=False)


def boost_to_front(run: Run, *, actor: str, now: datetime) -> None:
    """Before all others, whatever the mode. Raises as hold does."""
    changed = {"queue_class": lines.at_front(run.queue_class)}
    _change(run, "boosted", actor, now, changed, to="front")


def boost(run: Run, levels: int, *, actor: str, now: datetime) -> None:
    """As if it had waited that many times `queue.ageing` longer.

    Raises as hold does, and NotAllowedNow where waiting does not count.
    """
    config = live_config.current()
    if config.scheduler_mode != "priority" or not config.queue.ageing_s:
        raise NotAllowedNow(
            "waiting counts only in priority mode with queue.ageing; "
            'boost it with {"to": "front"}'
        )
    at = came(run) - timedelta(seconds=levels * config.queue.ageing_s)
    _change(run, "boosted", actor, now, {"line_at": at}, levels=levels)


def came(run: Run) -> datetime:
    """Since when it stands in line."""
    return run.line_at or run.due_at


@transaction.atomic
def reorder(run: Run, beside: Run, *, before: bool, actor: str, now: datetime) -> None:
    """Put the run directly before, or else directly after, another of its priority.

    Raises NotAllowedNow unless both wait, are due and share their priority.
    """
    for one in (run, beside):
        _must_wait(one)
        if one.due_at > now:
            raise NotAllowedNow(f"run {one.uid} is not due yet: it is not in line")
    if lines.is_held(beside.queue_class):
        raise NotAllowedNow(f"run {beside.uid} is held: it is not in line")
    if run.pk == beside.pk:
        raise NotAllowedNow("a run cannot stand beside itself")
    if run.priority != beside.priority:
        raise NotAllowedNow(
            f"their priorities differ ({Priority(run.priority).word}, "
            f"{Priority(beside.priority).word}); boost the run instead"
        )
    lane = _lane(beside, without=run.pk, now=now)
    index = next((n for n, one in enumerate(lane) if one.id == beside.pk), None)
    if index is None:
        raise NotAllowedNow(f"run {beside.uid} is too far back in line")
    newest_first = live_config.current().scheduler_mode == "lifo"
    at, shifted = place(lane, index + (before == newest_first))
    _shift(shifted)
    front = lines.is_front(beside.queue_class)
    name = (lines.at_front if front else lines.in_turn)(run.queue_class)
    where = {"before" if before else "after": beside.uid}
    changed = {"line_at": min(at, now), "queue_class": name}
    _change(run, "reordered", actor, now, changed, **where)


@dataclass(frozen=True, slots=True)
class InLine:
    id: int
    token: int
    came: datetime


def _lane(beside: Run, *, without: int, now: datetime) -> list[InLine]:
    """Who stands in line with it, who came first first."""
    due = live_runs.queued().filter(priority=beside.priority, due_at__lte=now)
    due = due.exclude(pk=without).annotate(came=Coalesce("line_at", "due_at"))
    rows = due.order_by("came", "id").values_list("id", "token", "came", "queue_class")
    front = lines.is_front(beside.queue_class)
    return [
        InLine(*columns)
        for *columns, name in rows[:FARTHEST]
        if lines.is_front(name) == front and not lines.is_held(name)
    ]


def place(lane: Sequence[InLine], index: int) -> tuple[datetime, list[InLine]]:
    """The instant that puts somebody before lane[index], and who has to be moved a
    little to make room: those just ahead who came at the same instant."""
    if index == 0:
        return lane[0].came - TICK, []
    left = lane[index - 1].came
    if index == len(lane):
        return left + TICK, []
    right = lane[index].came
    if right - left >= 2 * TICK:
        return left + (right - left) / 2, []
    latest, shifted = right - TICK, list[InLine]()
    for one in reversed(lane[:index]):
        latest -= TICK
        if one.came <= latest:
            break
        shifted.append(InLine(one.id, one.token, latest))
    return right - TICK, shifted


def _shift(moved: Sequence[InLine]) -> None:
    rows = [{"id": m.id, "token": m.token, "line_at": m.came} for m in moved]
    if rows:
        compare_and_set(rows, before=S.QUEUED, columns=["line_at"])


def _must_wait(run: Run) -> None:
    if run.state != S.QUEUED:
        raise NotAllowedNow(f"the run is {run.state}; only one that waits can be moved")


@transaction.atomic
def _change(
    run: Run,
    kind: str,
    actor: str,
    now: datetime,
    changed: dict[str, Any],
    **told: Any,
) -> None:
    _must_wait(run)
    row = {name: changed.get(name, getattr(run, name)) for name in COLUMNS}
    row |= {"id": run.pk, "token": run.token}
    if not compare_and_set([row], before=S.QUEUED, columns=[*COLUMNS, "+token"]):
        raise ChangedMeanwhile("the run no longer waits as it did")
    runs.wake_on_commit(kind)
    journal.record(
        f"run.{kind}",
        f"run:{run.uid}",
        actor=actor,
        at=now,
        agent=run.agent.agent_id,
        priority=Priority(run.priority).word,
        reason=row["reason"],
        **told,
    )


# --- many at once ----------------------------------------------------------------


def cancel(run: Run, *, actor: str, now: datetime) -> None:
    """Call off a run that waits. Raises NotAllowedNow unless it does."""
    _must_wait(run)
    runs.stop(run, actor=actor, now=now)


def bulk(uids: Sequence[str], act: Callable[[Run], None]) -> dict[str, list[Any]]:
    """Do it to each: {"done": [uid], "refused": [{run, code, detail}]}."""
    known = Run.objects.select_related("agent", "version", "node")
    found = {run.uid: run for run in known.filter(uid__in=uids)}
    done, refused = list[str](), list[dict[str, str]]()
    for uid in dict.fromkeys(uids):
        try:
            if uid not in found:
                raise NotFound(f"no run {uid[:40]!r}")
            act(found[uid])
            done.append(uid)
        except KosError as error:
            why = {"run": uid, "code": error.code, "detail": str(error)}
            refused.append(why)
    return {"done": done, "refused": refused}
