"""Graphs of agents: what is defined, and each time it was run."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from scheduling.planner.dependencies import STATES, WAITING


class Graph(models.Model):
    """A graph as it is defined now. Only scheduling.graphs writes it."""

    name = models.CharField(max_length=64, unique=True)
    version = models.PositiveIntegerField(default=1)
    spec = models.JSONField()  # as graph_input.normalised gives it
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField()
    changed_by = models.CharField(max_length=150)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class GraphRun(models.Model):
    """One run of a whole graph, as it was defined then. Only scheduling.graph_runs
    writes it and its nodes."""

    uid = models.CharField(max_length=32, unique=True)
    graph = models.ForeignKey(Graph, models.SET_NULL, null=True, related_name="runs")
    name = models.CharField(max_length=64)  # of the graph, should that be deleted
    version = models.PositiveIntegerField()
    spec = models.JSONField()
    params = models.JSONField(default=dict)
    schedule = models.ForeignKey(
        "scheduling.Schedule", models.SET_NULL, null=True, related_name="graph_runs"
    )
    occurrence = models.OneToOneField(  # an instant starts its graph at most once
        "scheduling.Occurrence", models.SET_NULL, null=True, related_name="graph_run"
    )
    priority = models.PositiveSmallIntegerField(null=True)  # None: each agent's own
    state = models.CharField(
        max_length=10,
        default="running",
        choices=[(s, s) for s in ("running", "succeeded", "failed", "cancelled")],
    )
    reason = models.CharField(max_length=300, blank=True)
    attempt = models.PositiveIntegerField(default=1)  # rises when it is retried
    started_by = models.CharField(max_length=150)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    cancelled_at = models.DateTimeField(null=True)  # nothing further starts
    cancelled_by = models.CharField(max_length=150, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["name", "-id"], name="graph_run_by_name"),
            models.Index(
                fields=["id"], name="graph_run_live", condition=Q(state="running")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.uid}"


class GraphNode(models.Model):
    """One node of one run of a graph."""

    graph_run = models.ForeignKey(GraphRun, models.CASCADE, related_name="nodes")
    name = models.CharField(max_length=64)
    state = models.CharField(
        max_length=10, default=WAITING, choices=[(s, s) for s in STATES]
    )
    reason = models.CharField(max_length=300, blank=True)
    run = models.ForeignKey(  # its newest attempt
        "scheduling.Run", models.SET_NULL, null=True, related_name="+"
    )
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["graph_run", "name"], name="a_node_of_a_graph_run_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.graph_run_id}"
