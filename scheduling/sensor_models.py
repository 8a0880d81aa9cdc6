"""Sensors, and the last readings of each. Only scheduling.sensors and
scheduling.conditions.store write them.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q

SOURCES = ("mqtt", "rest")
TYPES = ("number", "boolean", "text")


class Sensor(models.Model):
    """A value that comes from outside, typed, with its time.

    One with `per_topic` has no value itself: it brings forth a sensor for each topic
    its filter meets, which names it as its `parent`.
    """

    name = models.CharField(max_length=64, unique=True)
    source = models.CharField(max_length=4, choices=[(s, s) for s in SOURCES])
    topic = models.CharField(max_length=512, blank=True)  # a filter with + and #
    per_topic = models.BooleanField(default=False)
    parent = models.ForeignKey("self", models.CASCADE, null=True, editable=False)
    path = models.CharField(max_length=200, blank=True)  # of the value in a payload
    at_path = models.CharField(max_length=200, blank=True)  # of its time
    type = models.CharField(max_length=7, choices=[(t, t) for t in TYPES])
    unit = models.CharField(max_length=32, blank=True)
    stale_after_s = models.FloatField(null=True, blank=True)
    enabled = models.BooleanField(default=True)
    version = models.PositiveIntegerField(default=1)  # rises with each change of it
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    # its value
    value = models.JSONField(null=True, editable=False)
    previous = models.JSONField(null=True, editable=False)
    at = models.DateTimeField(null=True, editable=False)
    retained = models.BooleanField(default=False, editable=False)
    # what came
    received = models.BigIntegerField(default=0, editable=False)
    rejected = models.BigIntegerField(default=0, editable=False)
    last_error = models.CharField(max_length=300, blank=True, editable=False)
    last_error_at = models.DateTimeField(null=True, editable=False)
    newest_reading = models.BigIntegerField(default=0, editable=False)  # of source rest
    seen_reading = models.BigIntegerField(default=0, editable=False)  # by conditions

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["parent", "topic"],
                name="one_sensor_per_topic",
                condition=Q(parent__isnull=False),
            )
        ]

    def __str__(self) -> str:
        return self.name


class Reading(models.Model):
    """One value a sensor had. The newest `sensors.readings` of each are kept."""

    sensor = models.ForeignKey(Sensor, models.CASCADE, related_name="readings")
    at = models.DateTimeField()
    value = models.JSONField()
    retained = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["sensor", "-id"], name="reading_newest")]

    def __str__(self) -> str:
        return f"{self.sensor_id} at {self.at}"
