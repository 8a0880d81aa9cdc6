"""Backfills in Django's admin: to see, and to call off."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now  # noqa: TID251 - entry point

from agents.admin import ByRole, actor, pretty
from scheduling import backfills
from scheduling.models import Backfill


@admin.register(Backfill)
class BackfillAdmin(ByRole):
    list_display = (
        *("uid", "schedule", "from_at", "to_at", "state", "position", "passed"),
        *("concurrency", "made_by", "made_at", "ended_at"),
    )
    list_filter = ("state", "rerun")
    search_fields = ("uid", "schedule__uid", "schedule__agent__agent_id")
    list_select_related = ("schedule__agent",)
    ordering = ("-id",)
    exclude = ("keys", "params")
    readonly_fields = ("parameters",)
    actions = ["cancel"]

    @admin.display(description="params")
    def parameters(self, row: Backfill) -> str:
        return pretty(row.params)

    @admin.action(description="Cancel", permissions=["act"])
    def cancel(self, request: HttpRequest, rows: QuerySet[Backfill]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: backfills.cancel(row.uid, actor=by, now=at),
            "cancelled",
        )
