"""Emptying a node: it takes no more runs, and those it has start elsewhere."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from agents import journal
from agents.errors import ChangedMeanwhile, NotAllowedNow
from agents.models import Node
from scheduling import live_runs, nodes, preempting
from scheduling.run_state import RunState


def drain(name: str, *, actor: str, now: datetime) -> Node:
    """Cordon the node and ask its runs to end with their grace; they queue again.

    Raises NotFound.
    """
    node = nodes.cordon(name, True, actor=actor, now=now)
    with transaction.atomic():
        if Node.objects.filter(pk=node.pk, draining=False).update(draining=True):
            journal.record("node.draining", f"node:{name}", actor=actor, at=now)
    node.draining = True
    there = live_runs.began().select_related("version", "node").filter(node=node)
    for run in there.exclude(state=RunState.STOPPING):
        try:
            preempting.back_to_queue_or_stop(run, f"{name} is drained", now)
        except (ChangedMeanwhile, NotAllowedNow):
            continue  # it ended by itself
    return node


def uncordon(name: str, *, actor: str, now: datetime) -> Node:
    """Let the node take runs again, drained or only cordoned. Raises NotFound."""
    node = nodes.cordon(name, False, actor=actor, now=now)
    Node.objects.filter(pk=node.pk).update(draining=False)
    node.draining = False
    return node
