"""Missed deadlines in Django's admin: to see."""

from __future__ import annotations

from django.contrib import admin

from agents.admin import ByRole
from scheduling.deadline_models import MissedDeadlines


@admin.register(MissedDeadlines)
class MissedDeadlinesAdmin(ByRole):
    list_display = ("agent", "count")
    readonly_fields = ("agent", "count")
    search_fields = ("agent__agent_id",)
