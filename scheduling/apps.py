"""Where the scheduler hangs itself into the registry, which knows nothing of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.apps import AppConfig


class SchedulingConfig(AppConfig):
    name = "scheduling"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Tell the registry's lists what only the scheduler knows of an agent."""
        from agents import agent_registry, listing
        from scheduling import deliveries, housekeeping, queries, result_dispatcher

        listing.extra_columns.extend([queries.agent_columns, queries.next_due])
        agent_registry.retiring.connect(end_schedules)
        housekeeping.register(
            result_dispatcher.CHORE,
            every_s=deliveries.EVERY_S,
            work=deliveries.deliver_due,
        )


def end_schedules(*, agent: Any, actor: str, now: datetime, **signal: Any) -> None:
    """An agent that is retired takes its schedules along, in the same transaction."""
    from scheduling import schedules  # pydantic: not in the lean processes

    schedules.end_all(agent, actor=actor, now=now)
