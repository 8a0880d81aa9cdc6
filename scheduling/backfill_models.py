"""Instants of the past that are run after all, as one unit."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Backfill(models.Model):
    """Only scheduling.backfills writes it."""

    uid = models.CharField(max_length=32, unique=True)
    schedule = models.ForeignKey(
        "scheduling.Schedule", models.CASCADE, related_name="backfills"
    )
    from_at = models.DateTimeField()
    to_at = models.DateTimeField()
    keys = models.JSONField()  # of its occurrences, in the order they are run
    position = models.PositiveIntegerField(default=0)  # so many of them were taken
    passed = models.PositiveIntegerField(default=0)  # of those, had run meanwhile
    concurrency = models.PositiveIntegerField(default=1)
    newest_first = models.BooleanField(default=False)
    rerun = models.BooleanField(default=False)
    params = models.JSONField(default=dict)
    state = models.CharField(
        max_length=9,
        default="running",
        choices=[(s, s) for s in ("running", "done", "cancelled")],
    )
    reason = models.CharField(max_length=300, blank=True)
    made_by = models.CharField(max_length=150)
    made_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["id"], name="backfill_live", condition=Q(state="running")
            )
        ]

    def __str__(self) -> str:
        return f"{self.schedule_id} from {self.from_at} to {self.to_at}"
