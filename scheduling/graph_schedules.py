"""Schedules that start graphs: each instant starts one run of the whole.

Such a schedule has the agent of the graph's first node as its own: it is drawn in that
agent's row, the windows of that agent hold for it, and nothing that reads schedules has
to know of graphs. The instant, its row and the graph's run are written in one
transaction; the row is unique to the instant, and the graph's run to the row.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from agents import journal
from agents.errors import Invalid, KosError, NotFound
from agents.models import Agent
from scheduling import books, graph_runs, graphs
from scheduling.models import Occurrence

ACTOR = "scheduler"


def lead(name: str) -> Agent:
    """The agent of the node that comes first. Raises Invalid."""
    try:
        spec = graphs.find(name).spec
    except NotFound as unknown:
        raise Invalid(f"graph: {unknown}", {"graph": [str(unknown)]}) from None
    graphs.check_agents(spec)
    return Agent.objects.get(agent_id=graphs.lead_of(spec))


def start(rows: Iterable[Occurrence], now: datetime) -> None:
    """Start the graph of each instant, in the caller's transaction. One that cannot be
    started is skipped, and says why; it holds up nobody else."""
    for row in rows:
        try:
            with transaction.atomic():
                _start(row, now)
        except KosError as refused:
            _skip(row, str(refused), now)


def _start(row: Occurrence, now: datetime) -> None:
    schedule = row.schedule
    graph_runs.start(
        graphs.find(schedule.graph),
        params={**schedule.params, **(row.params or {})},
        actor=f"schedule:{schedule.uid}",
        now=now,
        occurrence=row,
    )


def _skip(row: Occurrence, reason: str, now: datetime) -> None:
    books.drop(row, outcome="skipped", reason=reason, now=now)
    told = {"occurrence": books.occurrence_id(row.schedule, row.key)}
    event = books.entry(
        "occurrence.skipped", row.schedule, ACTOR, now, reason=row.reason, **told
    )
    journal.record_many([event])
