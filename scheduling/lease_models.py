"""Who leads: one row for each office that only one process may hold."""

from __future__ import annotations

from django.db import models


class Lease(models.Model):
    """Who leads. Time is the database's; `token` rises with each change of hands."""

    name = models.CharField(max_length=40, unique=True)
    holder = models.CharField(max_length=120)
    token = models.BigIntegerField(default=0)
    expires_at = models.FloatField(default=0)  # seconds since the epoch, database clock
    step_ms = models.FloatField(default=0)  # how long the leader's last step took

    def __str__(self) -> str:
        return f"{self.name}: {self.holder}"
