"""Schedules and runs in Django's admin, to see; agents there can be started and
stopped. Rows that services own are read-only, actions call those services.
"""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now

from agents import secrets_admin  # noqa: F401 - registers them
from agents.admin import AgentAdmin, ByRole, ReadOnlyInline, actor, pretty
from agents.models import Agent
from agents.priority import Priority
from scheduling import (
    agent_control,
    backfill_admin,  # noqa: F401 - registers them
    calendar_admin,  # noqa: F401 - registers them
    deadline_admin,  # noqa: F401 - registers them
    deliveries,
    feed_admin,  # noqa: F401 - registers them
    graph_admin,  # noqa: F401 - registers them
    node_history_admin,  # noqa: F401 - registers them
    runs,
    schedules,
    sensor_admin,  # noqa: F401 - registers them
    webhook_admin,  # noqa: F401 - registers them
    window_admin,  # noqa: F401 - registers them
)
from scheduling.models import Delivery, Gap, Occurrence, Phase, Run, Schedule
from scheduling.queue_admin import QueueActions
from scheduling.rq import admin as rq_pages  # noqa: F401 - registers them

admin.site.unregister(Agent)


@admin.register(Agent)
class StartableAgentAdmin(AgentAdmin):
    actions = ["start", "stop", "reset", *AgentAdmin.actions]

    @admin.action(description="Start now", permissions=["act"])
    def start(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows.select_related("current"),
            lambda agent: agent_control.start_agent(agent, actor=by, now=at),
            "started",
        )

    @admin.action(description="Stop", permissions=["act"])
    def stop(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows.select_related("current"),
            lambda agent: agent_control.stop_agent(agent, actor=by, now=at),
            "stopped",
        )

    @admin.action(description="Reset crash loop and start", permissions=["act"])
    def reset(self, request: HttpRequest, rows: QuerySet[Agent]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows.select_related("current"),
            lambda agent: agent_control.reset_agent(agent, actor=by, now=at),
            "reset",
        )


@admin.register(Schedule)
class ScheduleAdmin(ByRole):
    list_display = (
        *("agent", "kind", "rule", "timezone", "next_due_at", "enabled"),
        *("paused_at", "ended_at", "fired_count"),
    )
    list_filter = ("kind", "enabled", "overlap", "missed")
    search_fields = ("uid", "agent__agent_id", "rule")
    list_select_related = ("agent",)
    ordering = ("agent__agent_id", "id")
    actions = ["pause", "resume"]

    @admin.action(description="Pause", permissions=["act"])
    def pause(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: schedules.pause(row, actor=by, now=at, note="from the admin"),
            "paused",
        )

    @admin.action(description="Resume", permissions=["act"])
    def resume(self, request: HttpRequest, rows: QuerySet[Schedule]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: schedules.resume(row, actor=by, now=at),
            "resumed",
        )


@admin.register(Occurrence)
class OccurrenceAdmin(ByRole):
    list_display = ("schedule", "key", "due_at", "state", "moved", "reason")
    list_filter = ("state", "moved")
    search_fields = ("key", "schedule__uid", "schedule__agent__agent_id")
    list_select_related = ("schedule__agent",)
    ordering = ("-id",)


@admin.register(Gap)
class GapAdmin(ByRole):
    list_display = ("schedule", "from_at", "to_at", "count", "outcome", "reason")
    list_filter = ("outcome",)
    search_fields = ("schedule__uid", "schedule__agent__agent_id", "reason")
    list_select_related = ("schedule__agent",)
    ordering = ("-id",)


class Phases(ReadOnlyInline):
    model = Phase
    ordering = ("id",)
    fields = ("when", "number", "name", "started_at", "ended_at", "outcome", "detail")
    readonly_fields = fields


@admin.register(Run)
class RunAdmin(QueueActions):
    inlines = [Phases]
    list_display = (
        *("uid", "agent", "state", "priority_word", "node", "attempt", "due_at"),
        *("started_at", "ended_at", "exit_code", "signal"),
    )
    list_filter = ("state", "priority", "node", "exec_env", "oom_killed")
    search_fields = ("uid", "agent__agent_id", "root_uid", "requested_by")
    list_select_related = ("agent", "node")
    ordering = ("-id",)
    exclude = ("params", "result", "handle")
    readonly_fields = ("parameters", "outcome")
    actions = ["stop", "retry", "hold", "release", "boost"]

    @admin.display(description="priority", ordering="priority")
    def priority_word(self, run: Run) -> str:
        return Priority(run.priority).word

    @admin.display(description="params")
    def parameters(self, run: Run) -> str:
        return pretty(run.params)

    @admin.display(description="result")
    def outcome(self, run: Run) -> str:
        return pretty(run.result)

    @admin.action(description="Stop", permissions=["act"])
    def stop(self, request: HttpRequest, rows: QuerySet[Run]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows.select_related("agent", "version", "node"),
            lambda run: runs.stop(run, actor=by, now=at),
            "stopped",
        )

    @admin.action(description="Run again", permissions=["act"])
    def retry(self, request: HttpRequest, rows: QuerySet[Run]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows.select_related("agent", "version", "node"),
            lambda run: runs.retry(run, actor=by, now=at),
            "queued again",
        )


@admin.register(Delivery)
class DeliveryAdmin(ByRole):
    list_display = (
        *("run", "sink", "told_target", "state", "attempts", "next_attempt_at"),
        "detail",
    )
    list_filter = ("state", "sink")
    search_fields = ("run__uid", "detail")
    list_select_related = ("run__agent",)
    ordering = ("-id",)
    exclude = ("target",)
    readonly_fields = ("told_target",)
    actions = ["replay"]

    @admin.display(description="target")
    def told_target(self, delivery: Delivery) -> str:
        return deliveries.target_told(delivery.sink, delivery.target)

    @admin.action(description="Deliver again", permissions=["act"])
    def replay(self, request: HttpRequest, rows: QuerySet[Delivery]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: deliveries.replay(row.pk, actor=by, now=at),
            "to be delivered again",
        )
