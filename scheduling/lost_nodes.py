"""A node that never comes back: an operator says so, and its work goes elsewhere.

Nobody else may say it: a silent node may still run its agents (docs/decisions/0008).
Should it come back after all, its supervisors end what is no run any more.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from agents import journal
from agents.errors import NotAllowedNow, NotFound
from agents.models import Node
from scheduling import endings, live_runs
from scheduling.endings import SEEN, Close, seen_of
from scheduling.run_state import RunState


@transaction.atomic
def declare(name: str, *, actor: str, now: datetime) -> int:
    """End every run of the node as LOST; where `reschedule_on_crash` is on each is
    queued again for the nodes that are left. Returns how many there were.

    Raises NotFound, NotAllowedNow while the node is heard of.
    """
    node = Node.objects.filter(name=name).first()
    if node is None:
        raise NotFound(f"no node {name!r}")
    if node.state == "up":
        raise NotAllowedNow(f"{name} is up: drain it instead")
    reason, facts = f"its node {name} was declared lost", {"ended_at": now}
    rows = live_runs.began().filter(node=node).values_list(*SEEN)
    closes = [Close(seen_of(row), RunState.LOST, reason, facts) for row in rows]
    journal.record(
        "node.lost", f"node:{name}", actor=actor, at=now, name=name, runs=len(closes)
    )
    endings.close_many(closes, actor=actor, now=now)
    return len(closes)
