"""The queue for people: who waits, in the order the planner takes them.

Each class's line is read piece by piece and merged as the planner merges them, so a
page costs what it shows and what lies before it, however long the queue is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Any, cast

from django.db.models import Count, Min, Q
from django.db.models.functions import Coalesce

from agents import live_config
from agents.http import iso
from agents.priority import Priority
from scheduling import (
    agent_scheduler,
    deadline_views,
    hot_reads,
    lines,
    live_runs,
    timeline_runs,
)
from scheduling.batch_sql import as_instant, database_instant
from scheduling.models import Run
from scheduling.queue_marks import RANKED
from scheduling.snapshot_reader import CAME, class_names
from scheduling.task_queue import key_of

Starts = tuple[datetime, datetime | None]  # about when, and by when at the latest
PIECE = 100  # runs of one class read at once
COLUMNS = (
    *("id", "uid", "agent__agent_id", "priority", "due_at", "queued_at", "reason"),
    *("reason_code", "queue_class", "cpu_millis", "memory_bytes", "gpus", "attempt"),
    *("start_by_at", "finish_by_at", "deadline"),
)


@dataclass(frozen=True, slots=True)
class InLine:
    id: int
    priority: int
    due_at: datetime  # since when it stands in line
    front: bool
    path_s: float = 0.0  # of a graph's node


def queue(
    most: int,
    now: datetime,
    *,
    skip: int = 0,
    starts: Mapping[int, Starts] | None = None,
) -> dict[str, Any]:
    """One page of the line, the first of the held, and how long each lane is.

    `starts`: run -> when it will probably start, and by when at the latest where all
    takes long; of those where it is known.
    """
    config = live_config.current()
    found = list(islice(in_line(config.scheduler_mode, now), skip, skip + most + 1))
    told = _told([one.id for one in found[:most]], starts or {})
    items = [
        {**told[one.id], "position": skip + n}
        for n, one in enumerate(found[:most], start=1)
        if one.id in told
    ]
    lanes = _lanes(now)
    return {
        "items": items,
        "next": str(skip + most) if len(found) > most else None,
        "total": sum(lane["waiting"] for lane in lanes),
        "mode": config.scheduler_mode,
        "lanes": lanes,
        "held": held(most) if not skip else [],
    }


def in_line(mode: str, now: datetime) -> Iterator[InLine]:
    """Due runs that are not held, as the mode takes them."""
    ageing = agent_scheduler.ageing_of(live_config.current())
    key = key_of(mode, now, ageing)
    return merge(
        *(
            sorted(_line(name, mode, now), key=key)
            if mode == "dependency" and RANKED in name
            else _line(name, mode, now)
            for name in class_names()
        ),
        key=key,
    )


def _line(name: str, mode: str, now: datetime) -> Iterator[InLine]:
    """One class, from the first on."""
    newest = mode == "lifo"
    turn, compare = (" DESC", "<") if newest else ("", ">")
    sql = (
        f"SELECT r.id, r.priority, {CAME}, r.path_s FROM {Run._meta.db_table} r "
        "WHERE r.state = 'queued' AND r.queue_class = %s AND r.due_at <= %s "
        f"AND {CAME} <= %s {{after}} ORDER BY {CAME}{turn}, r.id{turn} LIMIT {PIECE}"
    )
    after, marks = "", list[Any]()
    limits = [name, database_instant(now), database_instant(now)]
    while rows := hot_reads.rows(sql.format(after=after), [*limits, *marks]):
        for pk, priority, came, path_s in rows:
            at = cast(datetime, as_instant(came))
            yield InLine(pk, priority, at, lines.is_front(name), path_s)
        last = database_instant(at)
        after = f"AND ({CAME}, r.id) {compare} (%s, %s)"
        marks = [last, pk]


def count_ahead(run: Run, came: datetime, mode: str) -> int:
    """How many of its class go before it."""
    alike = live_runs.queued().filter(queue_class=run.queue_class)
    alike = alike.annotate(came=Coalesce("line_at", "due_at"))
    if mode == "lifo":
        return alike.filter(Q(came__gt=came) | Q(came=came, pk__gt=run.pk)).count()
    return alike.filter(Q(came__lt=came) | Q(came=came, pk__lt=run.pk)).count()


def waiting_count(now: datetime) -> int:
    """How many are due and not held."""
    due = live_runs.queued().filter(due_at__lte=now)
    return due.exclude(queue_class__startswith=lines.HELD).count()


def _told(pks: Sequence[int], starts: Mapping[int, Starts]) -> dict[int, Any]:
    reasons = timeline_runs.waiting_reasons()
    rows = live_runs.queued().filter(pk__in=pks).values(*COLUMNS)
    return {row["id"]: _waiting(row, reasons, starts) for row in rows}


def _waiting(
    row: Any, reasons: Mapping[str, str], starts: Mapping[int, Starts]
) -> dict[str, Any]:
    """A run without a reason of its own waits behind the first of its class."""
    about, slow = starts.get(row["id"], (None, None))
    same = ("uid", "due_at", "queued_at", "cpu_millis", "memory_bytes", "gpus")
    return {
        **{name: row[name] for name in same},
        "agent": row["agent__agent_id"],
        "priority": Priority(row["priority"]).word,
        "attempt": row["attempt"],
        "code": row["reason_code"] or None,
        "reason": row["reason"] or reasons.get(row["queue_class"]),
        "class": lines.released(row["queue_class"]),
        "held": lines.is_held(row["queue_class"]),
        "front": lines.is_front(row["queue_class"]),
        "expected_start": iso(about),
        "expected_start_p90": iso(max(about, slow) if about and slow else None),
        **deadline_views.told(row),
    }


def held(most: int) -> list[dict[str, Any]]:
    """Runs that are held, who came first first."""
    rows = live_runs.queued().filter(queue_class__startswith=lines.HELD)
    first = rows.order_by("due_at", "id").values(*COLUMNS)[:most]
    return [{**_waiting(row, {}, {}), "position": None} for row in first]


def _lanes(now: datetime) -> list[dict[str, Any]]:
    """For each priority, most urgent first: how many wait and are held, since when."""
    due = live_runs.queued().filter(due_at__lte=now).order_by()
    counted = due.values("priority", "queue_class").annotate(
        runs=Count("id"), since=Min(Coalesce("line_at", "due_at"))
    )
    rows = list(counted)
    return [_lane(priority, rows) for priority in sorted(Priority, reverse=True)]


def _lane(priority: Priority, rows: Sequence[Any]) -> dict[str, Any]:
    mine = [row for row in rows if row["priority"] == priority]
    waiting = [row for row in mine if not lines.is_held(row["queue_class"])]
    total = sum(row["runs"] for row in waiting)
    return {
        "priority": priority.word,
        "waiting": total,
        "held": sum(row["runs"] for row in mine) - total,
        "oldest": iso(min((row["since"] for row in waiting), default=None)),
    }
