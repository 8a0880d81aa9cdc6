"""Why an occurrence waits or was passed over, and what would have had to differ."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from agents.errors import NotFound
from agents.http import iso
from scheduling import schedules
from scheduling.models import Gap, GraphRun, Occurrence, Run, Schedule
from scheduling.timetables import timetable_of
from scheduling.triggers.base import TICK, instant_of
from scheduling.why import Told, answer, blocker, why

Change = Mapping[str, Any]
# how a reason begins -> its kind, and what of the schedule would have let it run
REASONS: Mapping[str, tuple[str, str, Change]] = {
    "the run before it was still going": (
        *("overlap", "let it wait for the run before it: overlap buffer_one"),
        {"schedule": {"overlap": "buffer_one"}},
    ),
    "one more was already waiting": (
        *("overlap", "let more than one wait: overlap buffer_all"),
        {"schedule": {"overlap": "buffer_all"}},
    ),
    "a later one took its place": (
        *("overlap", "let all of them run in turn: overlap buffer_all"),
        {"schedule": {"overlap": "buffer_all"}},
    ),
    "the agent is disabled": (
        *("disabled", "enable the agent"),
        {"agent": {"enabled": True}},
    ),
    "the schedule was disabled": (
        *("disabled", "enable the schedule"),
        {"schedule": {"enabled": True}},
    ),
    "paused by": ("paused", "resume the schedule before it is due", {"resume": True}),
    "all ": (
        *("max_runs", "raise max_runs of the schedule, or take it away"),
        {"schedule": {"max_runs": None}},
    ),
}
MISSED: tuple[str, str, Change] = (
    *("missed", "keep the scheduler running, or let missed ones run afterwards"),
    {"schedule": {"missed": "all"}},
)
CHANGED: tuple[str, str, Change] = (
    "changed",
    "run it by hand: the rule it belongs to is no more",
    {},
)
AT_ALL = ("overlap", "let all of them run at once: overlap allow_all")


def why_not(occurrence_id: str, *, now: datetime) -> Told:
    """The shape of why.why, and `run` where there is one. Raises NotFound."""
    uid, _, key = occurrence_id.partition("@")
    schedule = schedules.find(uid)
    row = Occurrence.objects.filter(schedule=schedule, key=key).first()
    if row is None:
        return _without_row(schedule, key)
    if row.state == "run":
        return _ran(row, now)
    if row.state == "planned":
        return _to_come(row.due_at, row.reason)
    return _passed_over(row.state, row.reason)


def _ran(row: Occurrence, now: datetime) -> Told:
    runs = Run.objects.select_related("agent", "version", "node")
    last = runs.filter(occurrence=row).order_by("-id").first()
    if last is None and (graph := GraphRun.objects.filter(occurrence=row).first()):
        said = f"the graph {graph.name} was started; it is {graph.state}"
        reason = f"{said}: {graph.reason}" if graph.reason else said
        return answer("run", "graph", reason, run=None) | {"graph_run": graph.uid}
    if last is None:
        return answer("run", "run", "it ran; its run is kept no more", run=None)
    return {**why(last, now=now), "run": last.uid}


def _to_come(due_at: datetime, reason: str) -> Told:
    at = iso(due_at)
    if reason:
        wait = {"kind": "wait", "text": "nothing: it starts when that has ended"}
        blockers = [blocker("overlap", reason)]
        return answer(
            "waiting", "overlap", reason, blockers=blockers, smallest_change=wait
        )
    change: Told = {"kind": "wait", "wait_until": at}
    change["text"] = f"nothing: it is due at {at}"
    text = f"due at {at}"
    return answer(
        "not_due",
        "not_due",
        text,
        blockers=[blocker("window", text)],
        smallest_change=change,
        expected_start=at,
        confidence="medium",
        basis="it is due then, and starts then if there is room",
    )


def _without_row(schedule: Schedule, key: str) -> Told:
    """One of many that were passed over together, one to come, or none at all."""
    nominal = instant_of(key)
    timetable = timetable_of(schedule)
    if nominal is None or timetable.next_after(nominal - TICK) != nominal:
        raise NotFound("there is no such occurrence")
    within = Gap.objects.filter(
        schedule=schedule, from_at__lte=nominal, to_at__gte=nominal
    )
    gap = within.order_by("-id").first()
    if gap is not None:
        return _passed_over(gap.outcome, gap.reason)
    if schedule.paused_at is not None and nominal > schedule.paused_at:
        return _passed_over("skipped", f"paused by {schedule.paused_by}")
    if nominal <= schedule.cursor_at:
        return _passed_over("missed", "its time had passed when the schedule was made")
    return _to_come(timetable.due(nominal), "")


def _passed_over(outcome: str, reason: str) -> Told:
    kind, text, change = _differently(outcome, reason)
    return answer(
        outcome,
        kind,
        f"{outcome}: {reason}" if reason else outcome,
        blockers=[blocker(kind, reason or outcome)],
        smallest_change={"kind": kind, "text": text, **change},
        basis=f"it was {outcome}; it does not start any more",
    )


def _differently(outcome: str, reason: str) -> tuple[str, str, Change]:
    for begins, what in REASONS.items():
        if reason.startswith(begins):
            return what
    if reason.endswith("were already waiting"):
        return (*AT_ALL, {"schedule": {"overlap": "allow_all"}})
    if "schedule was" in reason or "change was" in reason:
        return CHANGED
    return MISSED if outcome == "missed" else ("skipped", "run it by hand", {})
