"""The runs of a window of time, as the timeline draws them: few and fast.

Ten thousand rows become items without model instances: the database writes instants
as the text that goes out. Where there are more than fit, the busiest rows are counted
into bands by the database, and only what is live of them is read.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from django.db import connection

from scheduling.batch_sql import database_instant
from scheduling.live_runs import began_sql, listed
from scheduling.models import Occurrence, Run
from scheduling.run_state import FINAL, RunState

Column = Literal["agent_id", "node_id", "priority"]  # the one that rows are made of
FAILED = frozenset({RunState.FAILED, RunState.TIMED_OUT, RunState.LOST})
MOST_LIVE = 500  # runs drawn singly of rows that are bands otherwise


OVER = f"run.state IN ({listed(FINAL)})"
QUEUED = f"run.state = '{RunState.QUEUED}'"
BEGAN = began_sql("run")
BEGIN = "coalesce(run.started_at, run.due_at)"
DIALECT = {
    "sqlite": {
        "text": "replace({0}, ' ', 'T') || 'Z'",
        "epoch": "(julianday({0}) - 2440587.5) * 86400.0",
    },
    "postgresql": {
        "text": "to_char({0} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')",
        "epoch": "extract(epoch from {0})::float",
    },
}


def sql(what: str, *of: str) -> str:
    return DIALECT[connection.vendor][what].format(*of)


@dataclass(frozen=True, slots=True)
class Window:
    """Instants [start, end), and the agents asked for (None: all)."""

    start: datetime
    end: datetime
    agents: Collection[int] | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Runs that overlap the window; what waits or runs reaches up to now."""
        text = (
            f"(({OVER} AND run.ended_at >= %s) OR {QUEUED} OR {BEGAN}) AND {BEGIN} < %s"
        )
        values: list[Any] = [database_instant(self.start), database_instant(self.end)]
        if self.agents is not None:
            text += (
                f" AND run.agent_id IN ({', '.join(map(str, self.agents)) or 'NULL'})"
            )
        return text, values


class RunItem(NamedTuple):
    """What _item_columns selects."""

    uid: str
    agent_id: int
    node_id: int | None
    state: str
    priority: int
    occurrence_key: str
    reason: str
    queue_class: str
    moved: bool | None
    start: str
    end: str | None  # None: not over
    progress: float | None
    start_by_at: str | None
    finish_by_at: str | None
    deadline: Any  # JSON, as the database keeps it


def _item_columns() -> str:
    return (
        "run.uid, run.agent_id, run.node_id, run.state, run.priority, "
        "run.occurrence_key, run.reason, run.queue_class, occurrence.moved, "
        f"{sql('text', BEGIN)}, {sql('text', 'run.ended_at')}, "
        f"run.progress, {sql('text', 'run.start_by_at')}, "
        f"{sql('text', 'run.finish_by_at')}, run.deadline"
    )


FROM = (
    f"FROM {Run._meta.db_table} run "
    f"LEFT JOIN {Occurrence._meta.db_table} occurrence "
    "ON occurrence.id = run.occurrence_id"
)


def read(window: Window) -> list[RunItem]:
    """All runs of the window, in no order."""
    where, values = window.where()
    return _items(f"WHERE {where}", values)


def read_of(
    window: Window, column: Column, keys: Collection[int | None]
) -> list[RunItem]:
    """All runs of these rows."""
    where, values = window.where()
    return _items(f"WHERE {where} AND {_one_of(column, keys)}", values)


def read_where(window: Window, condition: str) -> list[RunItem]:
    """Those of its runs that a condition of ours holds for."""
    where, values = window.where()
    return _items(f"WHERE {where} AND ({condition})", values)


def live_except(
    window: Window, column: Column, keys: Collection[int | None]
) -> list[RunItem]:
    """What runs now in all other rows, bounded."""
    where, values = window.where()
    return _items(
        f"WHERE {where} AND {BEGAN} AND NOT ({_one_of(column, keys)}) "
        f"LIMIT {MOST_LIVE}",
        values,
    )


def counts(window: Window, column: Column) -> dict[int | None, int]:
    """How many runs each row has."""
    where, values = window.where()
    return dict(
        _rows(
            f"SELECT run.{column}, count(*) FROM {Run._meta.db_table} run "
            f"WHERE {where} GROUP BY 1",
            values,
        )
    )


def buckets(
    window: Window, column: Column, keep: Collection[int | None], width_s: float
) -> list[tuple[int | None, int, int, int]]:
    """(row, bucket, count, failed) of every row but those to keep.

    Bucket 0 begins with the window; a run counts where it begins.
    """
    where, values = window.where()
    since = f"{sql('epoch', BEGIN)} - {window.start.timestamp()!r}"
    return _rows(
        f"SELECT run.{column}, "
        f"CASE WHEN {since} < 0 THEN 0 ELSE CAST(({since}) / {width_s!r} AS integer) "
        f"END AS bucket, count(*), "
        f"sum(CASE WHEN run.state IN ({listed(FAILED)}) THEN 1 ELSE 0 END) "
        f"FROM {Run._meta.db_table} run "
        f"WHERE {where} AND NOT ({_one_of(column, keep)}) GROUP BY 1, 2",
        values,
    )


def waiting_reasons() -> dict[str, str]:
    """Queue class -> why its first run waits; those behind it wait for the same."""
    return dict(
        _rows(
            f"SELECT run.queue_class, max(run.reason) FROM {Run._meta.db_table} run "
            f"WHERE {QUEUED} AND run.reason_code <> '' GROUP BY 1",
            [],
        )
    )


def _one_of(column: Column, keys: Collection[int | None]) -> str:
    named = ", ".join(str(key) for key in keys if key is not None)
    text = f"run.{column} IN ({named})" if named else "1 = 0"
    if column != "node_id":
        return text
    text = f"(run.node_id IS NOT NULL AND {text})"
    return f"({text} OR run.node_id IS NULL)" if None in keys else text


def _items(rest: str, values: list[Any]) -> list[RunItem]:
    rows = _rows(f"SELECT {_item_columns()} {FROM} {rest}", values)
    return [RunItem._make(row) for row in rows]


def _rows(text: str, values: list[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return list(cursor.fetchall())
