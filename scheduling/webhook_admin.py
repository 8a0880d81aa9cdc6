"""Webhooks that come in, in Django's admin: to see, and to switch off and on."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now  # noqa: TID251 - the admin reads the clock

from agents.admin import ByRole, actor
from scheduling import inbound
from scheduling.webhook_models import Hook, HookDelivery


@admin.register(Hook)
class HookAdmin(ByRole):
    list_display = (
        *("name", "uid", "enabled", "received", "last_received_at", "refused"),
        *("last_refused_at", "last_refusal"),
    )
    list_filter = ("enabled",)
    search_fields = ("name", "uid")
    ordering = ("name",)
    actions = ["switch_off", "switch_on"]

    @admin.action(description="Switch off", permissions=["act"])
    def switch_off(self, request: HttpRequest, rows: QuerySet[Hook]) -> None:
        self.switch(request, rows, enabled=False)

    @admin.action(description="Switch on", permissions=["act"])
    def switch_on(self, request: HttpRequest, rows: QuerySet[Hook]) -> None:
        self.switch(request, rows, enabled=True)

    def switch(
        self, request: HttpRequest, rows: QuerySet[Hook], *, enabled: bool
    ) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: inbound.switch(row.uid, enabled, actor=by, now=at),
            "switched on" if enabled else "switched off",
        )


@admin.register(HookDelivery)
class HookDeliveryAdmin(ByRole):
    list_display = ("message_id", "hook", "received_at", "size", "fired", "replays")
    list_filter = ("hook",)
    search_fields = ("message_id",)
    list_select_related = ("hook",)
    ordering = ("-id",)
