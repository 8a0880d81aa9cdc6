"""Sensors in Django's admin: what they are, what they had last, and what was refused.
They are made and changed over the API.
"""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now  # noqa: TID251 - the admin is an entry point

from agents.admin import ByRole, ReadOnlyInline, actor
from scheduling import sensors
from scheduling.sensor_models import Reading, Sensor

SHOWN = 50


class Readings(ReadOnlyInline):
    model = Reading
    fields = ("at", "value", "retained")
    readonly_fields = fields
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reading]:
        """The newest ones of the sensor that is shown."""
        rows: QuerySet[Reading] = super().get_queryset(request)
        match = request.resolver_match
        sensor_id = "0" if match is None else str(match.kwargs.get("object_id", 0))
        ids = rows.filter(sensor_id=sensor_id).order_by("-id").values_list("id")
        return rows.filter(id__in=[pk for (pk,) in ids[:SHOWN]])


@admin.register(Sensor)
class SensorAdmin(ByRole):
    inlines = [Readings]
    list_display = (
        *("name", "source", "topic", "type", "current", "unit", "at", "enabled"),
        *("received", "rejected", "last_error"),
    )
    list_filter = ("source", "type", "enabled", "per_topic")
    search_fields = ("name", "topic")
    ordering = ("name",)
    readonly_fields = (
        *("current", "at", "retained", "received", "rejected", "last_error"),
        "last_error_at",
    )
    actions = ["enable", "disable", "remove"]

    @admin.display(description="value")
    def current(self, sensor: Sensor) -> str:
        return "" if sensor.at is None else str(sensor.value)

    @admin.action(description="Enable", permissions=["act"])
    def enable(self, request: HttpRequest, rows: QuerySet[Sensor]) -> None:
        self._switch(request, rows, True)

    @admin.action(description="Disable", permissions=["act"])
    def disable(self, request: HttpRequest, rows: QuerySet[Sensor]) -> None:
        self._switch(request, rows, False)

    def _switch(self, request: HttpRequest, rows: QuerySet[Sensor], on: bool) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: sensors.change(row, {"enabled": on}, actor=by, now=at),
            "enabled" if on else "disabled",
        )

    @admin.action(description="Delete those no condition names", permissions=["act"])
    def remove(self, request: HttpRequest, rows: QuerySet[Sensor]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request, rows, lambda row: sensors.delete(row, actor=by, now=at), "deleted"
        )
