"""What a node was like, minute by minute."""

from __future__ import annotations

from django.db import models

from agents.models import Node


class NodeSample(models.Model):
    """The mean of a span of one node. Only scheduling.node_history writes it."""

    node = models.ForeignKey(Node, models.CASCADE, related_name="samples")
    at = models.DateTimeField()  # where the span begins
    step_s = models.PositiveIntegerField()  # how long it is
    seen = models.JSONField()  # name -> number, see node_history.LINES

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["node", "step_s", "at"], name="one_sample_per_span"
            )
        ]

    def __str__(self) -> str:
        return f"{self.node} at {self.at}"
