"""A run's deadlines as the API tells them: in lists, in the queue, on the timeline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from scheduling import hot_reads, launch
from scheduling.deadline_rules import BOTH, Which, late_words, missed_words, terms
from scheduling.models import Run
from scheduling.run_state import FINAL

COLUMNS = ("start_by_at", "finish_by_at", "deadline")
NONE: Mapping[str, Any] = {
    "start_by_at": None,
    "finish_by_at": None,
    "at_risk": None,
    "deadline_missed": [],
    "deadline_version": 0,
}


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """From the columns start_by_at, finish_by_at and deadline (an object, or its
    text)."""
    deadline = row["deadline"]
    if deadline is None:
        return {**NONE, "deadline_missed": []}
    if isinstance(deadline, str | bytes):
        deadline = orjson.loads(deadline)
    return {
        "start_by_at": row["start_by_at"],
        "finish_by_at": row["finish_by_at"],
        "at_risk": deadline.get("risk"),
        "deadline_missed": deadline["missed"],
        "deadline_version": deadline["version"],
    }


def of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The same, and when the time limit of a started run is reached."""
    return {**told(row), "time_limit_at": limit_at(row)}


def limit_at(row: Mapping[str, Any]) -> datetime | None:
    """From limit_at, started_at, timeout_s and version_id."""
    if row["limit_at"] is not None or row["started_at"] is None:
        moved: datetime | None = row["limit_at"]
        return moved
    (spec,) = hot_reads.specs({row["version_id"]}).values()
    limit_s = launch.time_limit_s({"timeout_s": row["timeout_s"], "spec": spec})
    started: datetime = row["started_at"]
    return None if limit_s is None else started + timedelta(seconds=limit_s)


def planned(
    due_at: datetime,
    *layers: Mapping[str, Any] | None,
    expected: datetime | None,
    now: datetime,
) -> dict[str, Any]:
    """Of an instant that is still to come, from what agent and schedule state.

    `expected`: when it will have ended, by its p90; None: nobody knows.
    """
    said = terms(*layers)
    by = {
        f"{which}_by_at": None
        if (after_s := said.get(f"{which}_by_s")) is None
        else due_at + timedelta(seconds=after_s)
        for which in BOTH
    }
    finish_by, risk = by["finish_by_at"], None
    if expected is not None and finish_by is not None and expected > finish_by:
        risk = late_words("finish", expected, finish_by, now)
    return {**by, "at_risk": risk}


def of_run(run: Run) -> dict[str, Any]:
    return told({name: getattr(run, name) for name in COLUMNS})


def words(run: Run, now: datetime) -> str:
    """What becomes of the deadlines of a run that is not over, for people; "" for one
    in time, or without any."""
    if run.deadline is None or run.state in FINAL:
        return ""
    both: dict[Which, datetime | None] = {
        "start": run.start_by_at,
        "finish": run.finish_by_at,
    }
    missed = [
        missed_words(which, by, now)
        for which, by in both.items()
        if by is not None and (by <= now or which in run.deadline["missed"])
        if which == "finish" or run.started_at is None
    ]
    return "; ".join(missed) or str(run.deadline.get("risk", ""))
