"""Graphs and their runs in Django's admin: to see, start, cancel and retry."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now  # noqa: TID251 - entry point

from agents.admin import ByRole, ReadOnlyInline, actor, pretty
from scheduling import graph_runs
from scheduling.models import Graph, GraphNode, GraphRun


@admin.register(Graph)
class GraphAdmin(ByRole):
    list_display = ("name", "version", "changed_at", "changed_by")
    search_fields = ("name",)
    exclude = ("spec",)
    readonly_fields = ("definition",)
    actions = ["start"]

    @admin.display(description="definition")
    def definition(self, row: Graph) -> str:
        return pretty(row.spec)

    @admin.action(description="Start now", permissions=["act"])
    def start(self, request: HttpRequest, rows: QuerySet[Graph]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: graph_runs.start(row, params={}, actor=by, now=at),
            "started",
        )


class GraphNodes(ReadOnlyInline):
    model = GraphNode
    ordering = ("id",)
    fields = ("name", "state", "reason", "run", "ended_at")
    readonly_fields = fields


@admin.register(GraphRun)
class GraphRunAdmin(ByRole):
    inlines = [GraphNodes]
    list_display = (
        *("uid", "name", "state", "attempt", "started_at", "ended_at", "started_by"),
        "reason",
    )
    list_filter = ("state", "name")
    search_fields = ("uid", "name", "started_by")
    ordering = ("-id",)
    exclude = ("spec", "params")
    readonly_fields = ("parameters",)
    actions = ["cancel", "retry"]

    @admin.display(description="params")
    def parameters(self, row: GraphRun) -> str:
        return pretty(row.params)

    @admin.action(description="Cancel", permissions=["act"])
    def cancel(self, request: HttpRequest, rows: QuerySet[GraphRun]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: graph_runs.cancel(row.uid, actor=by, now=at),
            "cancelled",
        )

    @admin.action(description="Retry from where it failed", permissions=["act"])
    def retry(self, request: HttpRequest, rows: QuerySet[GraphRun]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: graph_runs.retry(row.uid, actor=by, now=at),
            "going on",
        )
