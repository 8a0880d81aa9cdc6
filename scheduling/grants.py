"""Devices and ports are given with the admission, in its transaction.

The plan chose them on a snapshot that may be old by now. Here, where the lease is held
and nobody else admits, each is compared once more with what live runs have: who lost
the race stays in the queue, and the next plan chooses anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from scheduling import runs, surroundings
from scheduling.planner.admission import Admit
from scheduling.run_state import RunState
from scheduling.runs import Step

S = RunState


def admit(
    admissions: Sequence[Admit], *, actor: str, now: datetime
) -> list[dict[str, Any]]:
    """Admit, each with what it is given. Inside the transaction that checked the
    lease. Returns the runs that moved."""
    steps = [_step(a, now) for a in still_free(admissions)]
    return runs.move_many(steps, before=S.QUEUED, to=S.ADMITTED, actor=actor, now=now)


def move(
    admissions: Sequence[Admit], *, actor: str, now: datetime
) -> list[dict[str, Any]]:
    """Admit, who is given something and who is not. Inside the transaction that
    checked the lease. Returns the runs that moved."""
    given = [a for a in admissions if a.grant is not None]
    steps = [
        Step(
            a.run.id,
            a.run.token,
            also_set={"node_id": a.node_id, "admitted_at": now, "+token": 1},
        )
        for a in admissions
        if a.grant is None
    ]
    moved = runs.move_many(steps, before=S.QUEUED, to=S.ADMITTED, actor=actor, now=now)
    return moved + (admit(given, actor=actor, now=now) if given else [])


def _step(admission: Admit, now: datetime) -> Step:
    grant, run = admission.grant, admission.run
    assert grant is not None, "only who is given something comes here"
    also_set = {
        "node_id": admission.node_id,
        "admitted_at": now,
        "+token": 1,
        "devices": list(grant.devices) or None,
        "ports": dict(grant.ports) or None,
    }
    return Step(run.id, run.token, also_set=also_set)


def still_free(admissions: Sequence[Admit]) -> list[Admit]:
    """Those whose devices and ports nobody was given meanwhile."""
    held = surroundings.by_node(surroundings.given())
    around = surroundings.facts()
    devices = {
        node: Counter(d for o in ones for d in o.devices) for node, ones in held.items()
    }
    ports = {
        node: {p for o in ones for p in o.ports.values()} for node, ones in held.items()
    }
    kept = []
    for admission in admissions:
        grant, node = admission.grant, admission.node
        assert grant is not None, "only who is given something comes here"
        shares = {d.id: d.share for d in around[node].devices}
        used, taken = devices.setdefault(node, Counter()), ports.setdefault(node, set())
        if any(used[d] >= shares.get(d, 1) for d in grant.devices):
            continue
        if taken & set(grant.ports.values()):
            continue
        used.update(grant.devices)
        taken |= set(grant.ports.values())
        kept.append(admission)
    return kept
