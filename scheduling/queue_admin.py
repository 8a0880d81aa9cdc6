"""Hold, release and boost waiting runs in Django's admin: the same as over HTTP."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now  # noqa: TID251 - pages read the clock

from agents.admin import ByRole, actor
from scheduling import queue_moves
from scheduling.models import Run


class QueueActions(ByRole):
    @admin.action(description="Hold in the queue", permissions=["act"])
    def hold(self, request: HttpRequest, rows: QuerySet[Run]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows.select_related("agent"),
            lambda run: queue_moves.hold(run, actor=by, now=at, note="from the admin"),
            "held",
        )

    @admin.action(description="Release", permissions=["act"])
    def release(self, request: HttpRequest, rows: QuerySet[Run]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows.select_related("agent"),
            lambda run: queue_moves.release(run, actor=by, now=at),
            "released",
        )

    @admin.action(description="Boost to the front", permissions=["act"])
    def boost(self, request: HttpRequest, rows: QuerySet[Run]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows.select_related("agent"),
            lambda run: queue_moves.boost_to_front(run, actor=by, now=at),
            "boosted",
        )
