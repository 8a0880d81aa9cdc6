"""What a pass of firing has to know of the database: few statements for many schedules.

Each is written so that an index bounds it by what is live or to come, never by how
much has happened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from agents.prepared import Prepared
from scheduling import window_bars
from scheduling.batch_sql import database_instant
from scheduling.models import GraphRun, Occurrence, Run, Schedule
from scheduling.run_state import FINAL
from scheduling.runs import BACKFILL
from scheduling.window_bars import Live

if TYPE_CHECKING:
    from scheduling.firing_turn import Turn

# Said in these words the condition is that of the index one_live_run_per_occurrence.
NOT_OVER = "NOT ({table}.state IN ({states}))".format(
    table=Run._meta.db_table, states=", ".join(f"'{s}'" for s in sorted(FINAL))
)

# Each arm has its own index. The plus keeps the last one from the index by schedule,
# which would walk all that has ever happened.
DUE = Prepared(
    Schedule,
    *("agent", "agent__current"),
    rest="WHERE t0.next_due_at <= %s AND t0.ended_at IS NULL "
    "ORDER BY t0.next_due_at LIMIT %s",
)
ROWS = f"""
SELECT * FROM {Occurrence._meta.db_table}
WHERE (schedule_id IN ({{pks}}) AND key IN ({{keys}}))
   OR (schedule_id IN ({{pks}}) AND due_at > %s AND state = 'planned')
   OR (+schedule_id IN ({{pks}}) AND due_at <= %s AND state = 'planned')
"""


@dataclass(slots=True)
class Facts:
    """By schedule, as primary keys: rows by their key, and live runs."""

    rows: dict[int, dict[str, Occurrence]] = field(default_factory=dict)
    live: dict[int, list[int]] = field(default_factory=dict)
    windows: tuple[Live, ...] = ()  # of time, in which nothing may start


def due_schedules(now: datetime, limit: int) -> list[Schedule]:
    return DUE.all([database_instant(now), limit])


def fresh(schedule: Schedule, now: datetime) -> Schedule | None:
    """The schedule as it is now, if it is still due."""
    due = Schedule.objects.filter(pk=schedule.pk, next_due_at__lte=now)
    return due.select_related("agent__current").first()


def read(turns: Collection[Turn], now: datetime) -> Facts:
    facts = Facts(rows=_rows(turns, now), windows=window_bars.kept())
    concerned = [t.schedule for t in turns if t.may_overlap]
    if concerned:
        facts.live = live_runs(concerned)
    return facts


def _rows(turns: Collection[Turn], now: datetime) -> dict[int, dict[str, Occurrence]]:
    """Rows with a key we are about to use, and all that are still planned."""
    pks = [t.schedule.pk for t in turns]
    keys = list({key for t in turns for key in t.keys}) or [""]
    moment = connection.ops.adapt_datetimefield_value(now)
    sql = ROWS.format(pks=marks(pks), keys=marks(keys))
    params = [*pks, *keys, *pks, moment, *pks, moment]
    rows: dict[int, dict[str, Occurrence]] = {}
    for row in Occurrence.objects.raw(sql, params):
        rows.setdefault(row.schedule_id, {})[row.key] = row
    return rows


def marks(values: Collection[object]) -> str:
    return ", ".join(["%s"] * len(values))


def live_runs(schedules: Collection[Schedule]) -> dict[int, list[int]]:
    """Primary keys of runs that are not over, by schedule; of graphs' runs for one that
    starts graphs. Of a persistent agent every live run counts, whoever asked for it."""
    graphs = {s.pk for s in schedules if s.graph}
    wanted = {s.pk for s in schedules} - graphs
    of_agent: dict[int, list[int]] = {}
    for schedule in schedules:
        if schedule.agent.kind == "persistent":
            of_agent.setdefault(schedule.agent_id, []).append(schedule.pk)
    live = not_over({s.agent_id for s in schedules}).filter(
        Q(schedule_id__in=wanted) | Q(agent_id__in=of_agent)
    )
    live = live.exclude(requested_by__startswith=BACKFILL)  # goes on beside them
    found: dict[int, list[int]] = {}
    for pk, agent, schedule_pk in live.values_list("pk", "agent_id", "schedule_id"):
        for concerned in of_agent.get(agent, [schedule_pk]):
            found.setdefault(concerned, []).append(pk)
    if graphs:  # those go on until the whole graph has ended
        going = GraphRun.objects.filter(schedule_id__in=graphs, state="running")
        for pk, schedule_pk in going.values_list("pk", "schedule_id"):
            found.setdefault(schedule_pk, []).append(pk)
    return found


def not_over(agents: Iterable[int]) -> QuerySet[Run]:
    """Live runs of the agents."""
    live = RawSQL(NOT_OVER, [], output_field=BooleanField())  # type: ignore[no-untyped-call]
    # any key is greater than ""; saying so lets the index be used to its second column
    return Run.objects.filter(live, agent_id__in=list(agents), occurrence_key__gt="")
