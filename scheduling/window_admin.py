"""Windows of time in Django's admin: to see, and to end."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now  # noqa: TID251 - the admin reads the clock

from agents.admin import ByRole, actor
from scheduling import windows
from scheduling.window_models import Window


@admin.register(Window)
class WindowAdmin(ByRole):
    list_display = (
        *("name", "kind", "policy", "scope", "names", "from_at", "to_at", "cron"),
        *("length_s", "timezone", "except_priority", "drain"),
    )
    list_filter = ("kind", "policy", "scope")
    search_fields = ("name", "uid")
    ordering = ("name",)
    actions = ["end"]

    @admin.action(description="End", permissions=["act"])
    def end(self, request: HttpRequest, rows: QuerySet[Window]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: windows.delete(row.uid, actor=by, now=at),
            "ended",
        )
