"""What nodes were like, in Django's admin: to see."""

from __future__ import annotations

from django.contrib import admin

from agents.admin import ByRole
from scheduling.node_history_models import NodeSample


@admin.register(NodeSample)
class NodeSampleAdmin(ByRole):
    list_display = ("node", "at", "step_s", "seen")
    list_filter = ("node", "step_s")
    list_select_related = ("node",)
    ordering = ("-at",)
