"""The sink that starts another agent: a finished run's result is its parameter.

A chain is bounded twice, by its depth and by the runs that stem from its root; what
would go beyond is refused with the chain named, and kept as a dead delivery.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from agents import agent_registry, journal, live_config
from agents.errors import KosError, Refused
from scheduling import runs
from scheduling.models import Delivery, Run

AT_ONCE = 100
LONGEST_CHAIN_SHOWN = 20


def deliver_due(*, now: datetime) -> int:
    """Start what is due. Each delivery and the run it starts are one transaction."""
    due = Delivery.objects.filter(
        state="pending", sink="cascade", next_attempt_at__lte=now
    ).values_list("pk", flat=True)
    return sum(_deliver(pk, now) for pk in due[:AT_ONCE])


@transaction.atomic
def _deliver(pk: int, now: datetime) -> bool:
    won = Delivery.objects.filter(pk=pk, state="pending")
    if not won.update(state="delivered", next_attempt_at=None):
        return False
    delivery = Delivery.objects.select_related("run__agent").get(pk=pk)
    parent = delivery.run
    try:
        with transaction.atomic():
            child = start_child(parent, delivery.target, now=now)
        detail = f"started {child.uid}"
    except KosError as refused:
        detail = str(refused)[:300]
        delivery.state = "dead"
        journal.record(
            "cascade.refused",
            f"run:{parent.uid}",
            actor="scheduler",
            at=now,
            agent=parent.agent.agent_id,
            target=delivery.target,
            reason=detail,
        )
    delivery.detail, delivery.attempts = detail, delivery.attempts + 1
    delivery.save(update_fields=["state", "detail", "attempts"])
    return True


def start_child(parent: Run, target: str, *, now: datetime) -> Run:
    """Queue `target` with `parent` as its parent.

    Raises Refused beyond the bounds, NotFound for an unknown agent, NotAllowedNow for
    one that may not run.
    """
    agent = agent_registry.resolve(target)
    _refuse_endless(parent, target)
    return runs.request_run(
        agent,
        actor=f"run:{parent.uid}",
        now=now,
        parent_id=parent.pk,
        root_uid=parent.root_uid or parent.uid,
        depth=parent.depth + 1,
        why=f"started by {parent.agent.agent_id}",
    )


def _refuse_endless(parent: Run, target: str) -> None:
    bounds = live_config.current().cascade
    root = parent.root_uid or parent.uid
    if parent.depth + 1 > bounds.max_depth:
        chain = " → ".join([*lineage(parent), target])
        raise Refused(f"cascade deeper than {bounds.max_depth}: {chain}")
    if Run.objects.filter(root_uid=root).count() >= bounds.max_runs_per_root:
        chain = " → ".join([*lineage(parent), target])
        raise Refused(f"cascade of more than {bounds.max_runs_per_root} runs: {chain}")


def lineage(run: Run) -> list[str]:
    """Agent ids from the root of the cascade down to this run."""
    names = [run.agent.agent_id]
    while run.parent is not None and len(names) < LONGEST_CHAIN_SHOWN:
        run = run.parent
        names.append(run.agent.agent_id)
    return names[::-1]
