"""The leader's watch over deadlines: alerts before one is missed, and what follows when
one is.

One indexed query at each chore, nothing more while no run has a deadline. What was told
stands in the run's row, written in the transaction of its event: neither a restart nor
another leader tells it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F

from agents import journal
from agents.errors import ChangedMeanwhile, NotAllowedNow
from agents.priority import Priority
from scheduling import (
    endings,
    forecasts,
    horizons,
    lines,
    run_events,
    runs,
)
from scheduling.batch_sql import iso
from scheduling.deadline_models import MissedDeadlines
from scheduling.deadline_rules import (
    Expected,
    Watched,
    Which,
    missed_words,
    newly_missed,
    next_watched,
    risks,
    union,
)
from scheduling.endings import SEEN, Close, seen_of
from scheduling.models import Run
from scheduling.run_journal import occurrence_of
from scheduling.run_state import FINAL, HAS_PROGRAM, RunState

S = RunState
ACTOR = "scheduler"
AT_ONCE = 500
FORESEEN_FOR = timedelta(seconds=5)  # starts that were worked out hold for so long
FORECAST_STEPS = 60
REASON_CODE = "deadline"

_starts: tuple[datetime, dict[int, datetime], bool] | None = None


def keep(*, now: datetime) -> int:
    """Note what was missed and tell what is at risk. Returns how many runs changed."""
    rows = list(watched().order_by("deadline_at")[:AT_ONCE])
    return sum(_look(run, expected(run, now), now) for run in rows)


def watched() -> Any:
    known = Run.objects.select_related("agent", "version", "node")
    return known.filter(deadline_at__isnull=False)


def forget() -> None:
    """Work starts out afresh next time."""
    global _starts
    _starts = None


def seen(run: Run) -> Watched:
    return Watched(
        run.state,
        run.started_at,
        run.ended_at,
        run.start_by_at,
        run.finish_by_at,
        run.deadline or {},
        run.frozen_s,
    )


# --- what is to be expected ------------------------------------------------------


def expected(run: Run, now: datetime) -> Expected:
    if run.state in FINAL:
        return Expected()
    takes_s = takes(run, now)
    if run.started_at is not None or run.state != S.QUEUED:
        return Expected(run.started_at or now, takes_s=takes_s)
    if run.due_at > now:
        return Expected(run.due_at, takes_s=takes_s)
    if lines.is_held(run.queue_class):
        return Expected(never=run.reason or "it is held", takes_s=takes_s)
    starts, complete = foreseen(now)
    never = ""
    if complete and run.pk not in starts and run.reason_code:
        never = f"it does not start by itself as things stand: {run.reason}"
    return Expected(starts.get(run.pk), never, takes_s)


def takes(run: Run, now: datetime) -> float | None:
    """Seconds, nine times in ten no more; None without any history."""
    size = horizons.size_of(run.params)
    found = forecasts.book(now).duration(
        run.agent_id, run.agent.kind, version=run.version_id, size=size
    )
    if not found.n:
        return None
    limit_s = horizons.limit_of(run.version.spec, run.timeout_s)
    return found.p90 if limit_s is None else min(found.p90, limit_s)


def foreseen(now: datetime) -> tuple[dict[int, datetime], bool]:
    """When waiting runs will start, and whether nothing more would happen after."""
    global _starts
    from scheduling import why_reader  # it asks the scheduler, which calls us

    if _starts is None or not timedelta() <= now - _starts[0] < FORESEEN_FOR:
        found = why_reader.read(now).forecast(most_steps=FORECAST_STEPS)
        _starts = (now, dict(found.starts), found.complete)
    return _starts[1], _starts[2]


# --- what becomes of it ----------------------------------------------------------


def _look(run: Run, foresight: Expected, now: datetime) -> bool:
    if not _news(run, foresight, now):
        return False
    with transaction.atomic():
        known = watched().select_for_update(of=("self",))
        row: Run | None = known.filter(pk=run.pk).first()
        if row is None or not (changed := _news(row, foresight, now)):
            return False
        _tell(row, changed, now)
        told = {k: v for k, v in changed.items() if k in ("deadline", "deadline_at")}
        Run.objects.filter(pk=row.pk).update(**told)
        _act(row, changed["missed"], now)
    return True


def _news(run: Run, foresight: Expected, now: datetime) -> dict[str, Any]:
    """What changes of the row, what is missed now, and which risks are new."""
    before = seen(run)
    missed = newly_missed(before, now)
    deadline: dict[str, Any] = {**before.deadline}
    deadline["missed"] = union(deadline["missed"], missed)
    after = replace(before, deadline=deadline)
    found = risks(after, foresight, now)
    fresh = [which for which in found if which not in deadline["told"]]
    deadline["told"] = union(deadline["told"], found)
    risk = deadline.pop("risk", None)
    if found:
        deadline["risk"] = risk or "; ".join(found.values())
    if fresh:
        deadline["risk"] = "; ".join(found.values())
    at = next_watched(after)
    if deadline == run.deadline and at == run.deadline_at:
        return {}
    return {
        "deadline": deadline,
        "deadline_at": at,
        "missed": missed,
        "risks": {which: found[which] for which in fresh},
    }


def _tell(run: Run, changed: dict[str, Any], now: datetime) -> None:
    """One event for each new risk and each miss; schedules may wait for both."""
    missed: Sequence[Which] = changed["missed"]
    for which, text in changed["risks"].items():
        _record(run, "deadline_at_risk", which, text, changed["deadline"], now)
    for which in missed:
        by = seen(run).by(which)
        assert by is not None, "only what is set is missed"
        text = missed_words(which, by, now)
        _record(run, "deadline_missed", which, text, changed["deadline"], now)
    if missed:
        row, _ = MissedDeadlines.objects.get_or_create(agent=run.agent)
        more = F("count") + len(missed)
        MissedDeadlines.objects.filter(pk=row.pk).update(count=more)


def _record(
    run: Run,
    kind: str,
    which: Which,
    text: str,
    deadline: dict[str, Any],
    now: datetime,
) -> None:
    journal.record(
        f"run.{kind}",
        f"run:{run.uid}",
        actor=ACTOR,
        at=now,
        **{
            "agent": run.agent.agent_id,
            "deadline": which,
            "text": text,
            "priority": Priority(run.priority).word,
            "due_at": iso(run.due_at),
            "start_by_at": iso(run.start_by_at),
            "finish_by_at": iso(run.finish_by_at),
            "at_risk": deadline.get("risk"),
            "deadline_missed": deadline["missed"],
            **occurrence_of(run.occurrence_key),
        },
    )
    run_events.told(run.pk, kind, key=f"{run.uid}-{which}-{kind}", why=text, now=now)


def _act(run: Run, missed: Sequence[Which], now: datetime) -> None:
    """Cancel what did not start, stop what did not finish, where that is the policy."""
    before = seen(run)
    if before.is_over or run.state == S.STOPPING:
        return
    does = {"start": "cancel", "finish": "stop"}
    for which in missed:
        if before.policy(which) == does[which]:
            by = before.by(which)
            assert by is not None, "only what is set is missed"
            _end(run, missed_words(which, by, now), now)
            return


def _end(run: Run, reason: str, now: datetime) -> None:
    if run.state in HAS_PROGRAM:
        try:
            runs.stop(run, actor=ACTOR, now=now, reason=reason, reason_code=REASON_CODE)
        except (NotAllowedNow, ChangedMeanwhile):
            return  # it ended by itself
        return
    row = Run.objects.filter(pk=run.pk).values_list(*SEEN).get()
    facts = {"ended_at": now, "reason_code": REASON_CODE}
    close = Close(seen_of(row), S.CANCELLED, reason, facts)
    endings.close_many([close], actor=ACTOR, now=now)
