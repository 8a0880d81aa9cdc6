from __future__ import annotations

from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    name = "scheduling"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Tell the registry's lists what only the scheduler knows of an agent."""
        from agents import listing
        from scheduling import queries

        listing.extra_columns.extend([queries.agent_columns, queries.next_due])
