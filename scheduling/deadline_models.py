"""By when a run must have started and finished, as columns of Run, and how many
deadlines each agent has missed.

All columns are null for runs without a deadline. `deadline` has what was stated and
what was told of it already, see scheduling.deadline_rules.
"""

from __future__ import annotations

from django.db import models

from agents.models import Agent


class WithDeadline(models.Model):
    start_by_at = models.DateTimeField(null=True)
    finish_by_at = models.DateTimeField(null=True)
    deadline_at = models.DateTimeField(null=True)  # the next to be watched; None: none
    deadline = models.JSONField(null=True)
    limit_at = models.DateTimeField(null=True)  # the time limit was moved here, live

    class Meta:
        abstract = True


RUN_WATCHED = models.Index(
    "deadline_at",
    name="run_watched",
    condition=models.Q(deadline_at__isnull=False),
)


class MissedDeadlines(models.Model):
    """A count that outlives its runs. Only scheduling.deadlines writes it."""

    agent = models.OneToOneField(Agent, models.CASCADE, related_name="+")
    count = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "missed deadlines"

    def __str__(self) -> str:
        return f"{self.count} missed by {self.agent_id}"
