"""Windows of time in which agents may not start, or alone may."""

from __future__ import annotations

import uuid

from django.db import models

from agents.models import PRIORITIES

KINDS = ("blackout", "maintenance", "allowed")
SCOPES = ("all", "agents", "tags", "nodes")
POLICIES = ("skip", "shift", "queue")


def new_uid() -> str:
    return uuid.uuid4().hex


class Window(models.Model):
    """Only scheduling.windows writes it. Once (from_at, to_at), or after each firing of
    a cron rule, or an RRULE with its DTSTART, for `length_s`."""

    uid = models.CharField(max_length=32, unique=True, default=new_uid)
    name = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=12, choices=[(k, k) for k in KINDS])
    scope = models.CharField(max_length=8, choices=[(s, s) for s in SCOPES])
    names = models.JSONField(default=list)  # of agents, tags or nodes
    from_at = models.DateTimeField(null=True)
    to_at = models.DateTimeField(null=True)
    cron = models.CharField(max_length=200, blank=True)
    length_s = models.PositiveIntegerField(null=True)
    timezone = models.CharField(max_length=64)
    policy = models.CharField(max_length=8, choices=[(p, p) for p in POLICIES])
    except_priority = models.PositiveSmallIntegerField(null=True, choices=PRIORITIES)
    drain = models.BooleanField(default=False)  # a node's runs end as it begins
    drained_at = models.DateTimeField(null=True)  # the last beginning that was seen to
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
