"""Calendar feeds and saved views in Django's admin: to see, and to revoke feeds."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.timezone import now  # noqa: TID251 - the admin reads the clock

from agents.admin import ByRole, actor
from scheduling import feeds
from scheduling.feed_models import Feed, SavedView


@admin.register(Feed)
class FeedAdmin(ByRole):
    list_display = ("name", "owner", "scope", "names", "created_at", "last_used_at")
    list_filter = ("scope",)
    search_fields = ("name", "owner")
    ordering = ("owner", "name")
    actions = ["revoke"]

    @admin.action(description="Revoke", permissions=["act"])
    def revoke(self, request: HttpRequest, rows: QuerySet[Feed]) -> None:
        by, at = actor(request), now()
        self.for_each(
            request,
            rows,
            lambda row: feeds.revoke(row.pk, owner=None, actor=by, now=at),
            "revoked",
        )


@admin.register(SavedView)
class SavedViewAdmin(ByRole):
    list_display = ("name", "owner", "path", "shared", "changed_at")
    list_filter = ("shared", "path")
    search_fields = ("name", "owner")
    ordering = ("owner", "name")
