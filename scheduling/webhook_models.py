"""Webhooks that come in: where they are received, and what came."""

from __future__ import annotations

import uuid

from django.db import models


def new_uid() -> str:
    return uuid.uuid4().hex


class Hook(models.Model):
    """An address that others call to fire schedules. Only scheduling.inbound writes it.

    Its secrets stand in agents.secret_store; here are their names. The one before
    goes on being accepted for a while after a rotation.
    """

    uid = models.CharField(max_length=32, unique=True, default=new_uid)
    name = models.CharField(max_length=64, unique=True)
    enabled = models.BooleanField(default=True)
    secret = models.CharField(max_length=64)
    previous_secret = models.CharField(max_length=64, blank=True)
    previous_until = models.DateTimeField(null=True)
    generation = models.PositiveIntegerField(default=1)  # of its secret
    received = models.PositiveBigIntegerField(default=0)  # accepted, each id once
    refused = models.PositiveBigIntegerField(default=0)
    last_received_at = models.DateTimeField(null=True)
    last_refused_at = models.DateTimeField(null=True)
    last_refusal = models.CharField(max_length=120, blank=True)  # for admins alone
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)

    def __str__(self) -> str:
        return self.name


class HookDelivery(models.Model):
    """One message that a hook accepted. The same id again is the same message."""

    hook = models.ForeignKey(Hook, models.CASCADE, related_name="deliveries")
    message_id = models.CharField(max_length=256)
    received_at = models.DateTimeField()
    size = models.PositiveIntegerField()  # bytes of its body
    fired = models.JSONField(default=list)  # ids of occurrences
    replays = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name_plural = "hook deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["hook", "message_id"], name="a_message_counts_once"
            )
        ]
        indexes = [models.Index(fields=["hook", "-id"], name="hook_delivery_newest")]

    def __str__(self) -> str:
        return f"{self.message_id} to {self.hook_id}"
