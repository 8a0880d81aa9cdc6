"""Nodes as the scheduler sees them: who is there, who is down, who takes no more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import redis as redis_library
from django.db import transaction

from agents import journal, redis
from agents.errors import NotAllowedNow, NotFound
from agents.models import Node
from scheduling import node_events
from scheduling.models import Run
from scheduling.run_state import RunState


def channel(name: str) -> str:
    """Where a node listens for "look at your runs now"."""
    return f"kos:node:{name}"


EVERY_NODE = "kos:nodes"  # where all of them listen
LOOK_AROUND = "look around"  # a run waits for something around it


def look_around() -> None:
    """Have every node look for what waiting runs require. Losing it costs seconds."""
    try:
        redis.connection().publish(EVERY_NODE, LOOK_AROUND)
    except redis_library.RedisError:
        return


def tell(name: str, what: str) -> None:
    """Ask a node to look now. Losing it costs a heartbeat, never a stop."""
    try:
        redis.connection().publish(channel(name), what)
    except redis_library.RedisError:
        return


@transaction.atomic
def register(name: str, *, now: datetime, facts: Mapping[str, Any]) -> bool:
    """Announce this machine: its capacity and environments as detected.

    What an operator decided (cordoned, draining, labels) is kept. True when the
    machine has booted since it was last here, or was never here.
    """
    seen = Node.objects.filter(name=name).values_list("boot_id", "state").first()
    boot_id, state = seen or (None, "")
    node, created = Node.objects.update_or_create(
        name=name, defaults={**facts, "state": "up", "heartbeat_at": now}
    )
    kind = "node.joined" if created else "node.up"
    journal.record(kind, f"node:{name}", actor=f"node:{name}", at=now, name=name)
    if state != "up":
        node_events.changed(name, "up", now=now)
    return boot_id != node.boot_id


def beat(name: str, *, now: datetime) -> None:
    """A heartbeat; a node that was thought down is up again."""
    seen = Node.objects.filter(name=name)
    if not seen.filter(state="up").update(heartbeat_at=now):
        with transaction.atomic():
            seen.update(heartbeat_at=now, state="up")
            journal.record(
                "node.up", f"node:{name}", actor=f"node:{name}", at=now, name=name
            )
            node_events.changed(name, "up", now=now)


@transaction.atomic
def mark_silent(*, now: datetime, down_after_s: float) -> list[Node]:
    """Call nodes down that have been silent too long. Returns those newly down."""
    silent = list(
        Node.objects.filter(
            state="up", heartbeat_at__lt=now - timedelta(seconds=down_after_s)
        )
    )
    for node in silent:
        Node.objects.filter(pk=node.pk).update(state="down")
        journal.record(
            "node.down",
            f"node:{node.name}",
            actor="scheduler",
            at=now,
            name=node.name,
            last_heartbeat=str(node.heartbeat_at),
        )
        node_events.changed(node.name, "down", now=now)
    return silent


@transaction.atomic
def cordon(name: str, on: bool, *, actor: str, now: datetime) -> Node:
    """Let the node take no further runs, or again. Raises NotFound."""
    node = Node.objects.filter(name=name).first()
    if node is None:
        raise NotFound(f"no node {name!r}")
    if node.cordoned != on:
        node.cordoned = on
        node.save(update_fields=["cordoned"])
        kind = "node.cordoned" if on else "node.uncordoned"
        journal.record(kind, f"node:{name}", actor=actor, at=now, name=name)
        transaction.on_commit(redis.wake, robust=True)
    return node


@transaction.atomic
def send_signal(run: Run, number: int, *, actor: str, now: datetime) -> None:
    """Have the run's node send it a signal. Raises NotAllowedNow unless it runs."""
    if run.state != RunState.RUNNING or run.node is None:
        raise NotAllowedNow(f"the run is {run.state}; only a running one takes signals")
    journal.record(
        "run.signalled",
        f"run:{run.uid}",
        actor=actor,
        at=now,
        agent=run.agent.agent_id,
        signal=number,
    )
    name, message = run.node.name, f"signal {run.uid} {number}"
    transaction.on_commit(lambda: tell(name, message), robust=True)
