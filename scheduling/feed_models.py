"""What people keep for themselves: calendar feeds and saved views of a page."""

from __future__ import annotations

from django.db import models

SCOPES = ("all", "agent", "tag", "schedules")


class Feed(models.Model):
    """A calendar others may read by its secret address. Only its SHA-256 is kept.

    Only scheduling.feeds writes it.
    """

    name = models.CharField(max_length=80)
    owner = models.CharField(max_length=150, db_index=True)  # "user:anna", "token:ci"
    scope = models.CharField(max_length=9, choices=[(s, s) for s in SCOPES])
    names = models.JSONField(default=list)  # the agent, the tag, or the schedules
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)  # to the hour

    def __str__(self) -> str:
        return f"{self.name} of {self.owner}"


class SavedView(models.Model):
    """A page as somebody set it up. Only scheduling.saved_views writes it."""

    owner = models.CharField(max_length=150)
    name = models.CharField(max_length=80)
    path = models.CharField(max_length=200)
    query = models.CharField(max_length=2000, blank=True)
    shared = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner", "name"], name="a_view_has_its_own_name"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.owner}"
