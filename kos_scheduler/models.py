"""What the project itself stores: API tokens and the answers of idempotent POSTs."""

from __future__ import annotations

from django.db import models

from kos_scheduler.roles import ROLES


class ApiToken(models.Model):
    """A token for scripts. Only its SHA-256 is kept: it is 256 bits of chance."""

    name = models.CharField(max_length=64)
    role = models.CharField(max_length=8, choices=[(r, r) for r in ROLES])
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    last_used_at = models.DateTimeField(null=True)  # to the hour
    revoked_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)  # None: not by itself

    class Meta:
        ordering = ["name", "id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.role})"


class IdempotentAnswer(models.Model):
    """What a POST with an Idempotency-Key was answered, for 24 hours.

    Written in the transaction of the change itself: both are there, or neither.
    """

    key_digest = models.CharField(max_length=64, unique=True)  # actor, path and key
    body_digest = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    content_type = models.CharField(max_length=100, blank=True)
    body = models.BinaryField(default=bytes)
    made_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.status} of {self.made_at}"
