"""Lists of runs over HTTP: filtered, sorted, from any place; and each agent's last."""

from __future__ import annotations

from typing import Any

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.urls import path
from rest_framework.views import APIView

from agents.http import Query, orjson_response, page, paginate, wrong
from agents.models import Agent
from scheduling import queries
from scheduling.models import Run
from scheduling.run_state import RunState

FILTERS = {
    "agent": "agent__agent_id",
    "node": "node__name",
    "root": "root_uid",
    "parent": "parent__uid",
}
FURTHER = (
    *("state", "schedule", "started_after", "started_before", "queued_before"),
    *("q", "order", "offset"),
)
ORDERS: dict[str, tuple[Any, ...]] = {
    "newest": ("-id",),
    "oldest": ("id",),
    "longest": (F("took").desc(nulls_last=True), "-id"),
    "cpu": (F("cpu_seconds").desc(nulls_last=True), "-id"),
    "memory": (F("peak_memory_bytes").desc(nulls_last=True), "-id"),
}
MOST_LAST = 100
FURTHEST = 10_000_000
LAST_COLUMNS = (
    *("agent_id", "uid", "state", "reason", "exit_code", "signal", "attempt"),
    *("due_at", "queued_at", "started_at", "ended_at", "peak_memory_bytes"),
    "cpu_seconds",
)


def filtered(query: Query) -> QuerySet[Run]:
    rows = Run.objects.all()
    for name, column in FILTERS.items():
        if (value := query.text(name)) is not None:
            rows = rows.filter(**{column: value})
    if states := query.choices("state", list(RunState)):
        rows = rows.filter(state__in=states)
    if (schedule := query.text("schedule")) is not None:
        rows = rows.filter(schedule__uid=schedule)
    if (after := query.instant("started_after")) is not None:
        rows = rows.filter(started_at__gte=after)
    if (before := query.instant("started_before")) is not None:
        rows = rows.filter(started_at__lt=before)
    if (before := query.instant("queued_before")) is not None:
        rows = rows.filter(queued_at__lte=before)
    if (text := query.text("q")) is not None:
        rows = rows.filter(
            Q(agent__agent_id__icontains=text)
            | Q(reason__icontains=text)
            | Q(uid__startswith=text.lower())
            | Q(requested_by__icontains=text)
        )
    return rows


class Runs(APIView):
    """GET runs/: newest first by cursor, or by `order` and `offset` with a total."""

    def get(self, request: Any) -> HttpResponse:
        query = Query(request, allowed=(*FILTERS, *FURTHER))
        rows = filtered(query)
        order = query.choice("order", tuple(ORDERS))
        offset = query.integer("offset", maximum=FURTHEST)
        if order is None and offset is None:
            few = rows.values(*queries.RUN_COLUMNS)
            found, cursor = paginate(few, query, ["-id"])
            return orjson_response(page([queries.run_row(r) for r in found], cursor))
        if query.text("cursor"):
            raise wrong("cursor", "with `order` or `offset` send an offset instead")
        return orjson_response(at_offset(rows, order or "newest", offset or 0, query))


def at_offset(
    rows: QuerySet[Run], order: str, offset: int, query: Query
) -> dict[str, Any]:
    """A stretch of the list, which may begin anywhere, and how long all of it is."""
    wanted = rows
    if order == "longest":
        wanted = rows.annotate(took=F("ended_at") - F("started_at"))
    few = wanted.order_by(*ORDERS[order]).values(*queries.RUN_COLUMNS)
    found = [queries.run_row(r) for r in few[offset : offset + query.limit]]
    return page(found, None, rows.count())


class LastRuns(APIView):
    """GET runs/by-agent/: each agent with its newest runs, the oldest of them first."""

    def get(self, request: Any) -> HttpResponse:
        query = Query(request, allowed=("last", "q", "agent"))
        most = query.integer("last", 30, minimum=1, maximum=MOST_LAST) or 30
        agents = Agent.objects.filter(retired_at__isnull=True)
        if (name := query.text("agent")) is not None:
            agents = agents.filter(agent_id=name)
        if (text := query.text("q")) is not None:
            agents = agents.filter(agent_id__icontains=text)
        few = agents.values("id", "agent_id")
        found, cursor = paginate(few, query, ["agent_id"])
        runs = last_runs([row["id"] for row in found], most)
        items = [
            {"agent": row["agent_id"], "runs": runs.get(row["id"], [])} for row in found
        ]
        return orjson_response(page(items, cursor, agents.count()))


def last_runs(agents: list[int], most: int) -> dict[int, list[dict[str, Any]]]:
    """By agent, oldest first. Each agent's part comes from its own index, however many
    runs there are."""
    mine = Run.objects.filter(agent=OuterRef("pk")).order_by("-id").values("id")
    oldest = Coalesce(Subquery(mine[most - 1 : most]), 0)
    first = Agent.objects.filter(pk__in=agents).order_by().annotate(first=oldest)
    wanted = Q(pk__in=())
    for pk, run in first.values_list("pk", "first"):
        wanted |= Q(agent_id=pk, id__gte=run)
    by_agent: dict[int, list[dict[str, Any]]] = {}
    for row in Run.objects.filter(wanted).order_by("id").values(*LAST_COLUMNS):
        by_agent.setdefault(row.pop("agent_id"), []).append(row)
    return by_agent


routes = [
    path("runs/", Runs.as_view(), name="runs"),
    path("runs/by-agent/", LastRuns.as_view(), name="runs-by-agent"),
]
