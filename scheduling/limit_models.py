"""What rate limits have used."""

from __future__ import annotations

from django.db import models


class Bucket(models.Model):
    """How much of a limit's rate is used. Only the leader writes it, as it admits."""

    name = models.CharField(max_length=64, unique=True)  # of the limit
    full_at = models.DateTimeField()  # when all its starts are free again

    def __str__(self) -> str:
        return f"{self.name} is full at {self.full_at}"
