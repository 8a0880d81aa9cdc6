"""Calendars that users name: sets of days for schedules to run on, or not to."""

from __future__ import annotations

from django.db import models


class Calendar(models.Model):
    """Only scheduling.calendars writes it; `content`: scheduling.calendar_content."""

    name = models.CharField(max_length=63, unique=True)
    title = models.CharField(max_length=200, blank=True)
    content = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=1)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=150)

    def __str__(self) -> str:
        return self.name
