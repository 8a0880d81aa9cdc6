"""The seed's result dispatcher: a finished run on its way to those who wait for it.

Each target is a Delivery row, written in the transaction that ends the run, so none is
forgotten whatever dies in between. Another agent is started by the controller itself,
exactly once: who takes the row moves it by compare-and-set, in the same transaction as
the run it starts. What leaves the product may be slow and goes by `deliveries`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from agents import journal
from agents.errors import KosError
from scheduling.models import Delivery, Run
from scheduling.rq.due import hasten
from scheduling.run_state import RunState
from scheduling.sinks import cascade

AT_ONCE = 100
CASCADE = "cascade"
OUTWARD = ("webhook", "stream", "file")  # as a definition's `results` names them
CHORE = "deliveries"
LONGEST_DETAIL = 300  # the column's width


def deliveries_of(run: Run, ended: RunState, now: datetime) -> list[Delivery]:
    """The rows a run that ended so gives rise to; the caller saves them.

    Work that goes on (preempted) or was called off (cancelled) triggers nothing.
    """
    happened = happened_of(ended)
    return [
        Delivery(run=run, sink=sink, target=target, next_attempt_at=now, created_at=now)
        for sink, target, on in wanted_by(run.version.spec)
        if on in happened
    ]


def happened_of(ended: str) -> set[str]:
    """What of `on` an end counts as."""
    if ended in (RunState.PREEMPTED, RunState.CANCELLED):
        return set()
    return {"finish", "success" if ended == RunState.SUCCEEDED else "failure"}


def wanted_by(spec: Mapping[str, Any]) -> Iterable[tuple[str, str, str]]:
    """(sink, target, on) of everything a definition wants told."""
    for one in spec["cascades"]:
        yield CASCADE, one["agent"], one["on"]
    for one in spec.get("results", ()):
        yield next((sink, one[sink], one["on"]) for sink in OUTWARD if sink in one)


def send_on_commit(deliveries: Sequence[Delivery]) -> None:
    """Have the worker look at once when the caller's transaction stands."""
    due = [d.next_attempt_at for d in deliveries if d.sink != CASCADE]
    if due and due[0] is not None:
        transaction.on_commit(partial(hasten, CHORE, due[0]), robust=True)


def deliver_due(*, now: datetime) -> int:
    """Start the agents that are due, each in a transaction of its own; how many."""
    due = Delivery.objects.filter(
        sink=CASCADE, state="pending", next_attempt_at__lte=now
    )
    return sum(_deliver(pk, now) for pk in due.values_list("pk", flat=True)[:AT_ONCE])


@transaction.atomic
def _deliver(pk: int, now: datetime) -> bool:
    mine = Delivery.objects.filter(pk=pk, state="pending")
    if not mine.update(state="delivered", next_attempt_at=None):
        return False  # another scheduler was faster
    delivery = Delivery.objects.select_related("run__agent", "run__parent").get(pk=pk)
    try:
        with transaction.atomic():
            detail = cascade.deliver(delivery.run, delivery.target, now)
    except KosError as refused:
        detail = str(refused)
        delivery.state = "dead"
        _tell_refused(delivery, detail, now)
    delivery.detail = detail[:LONGEST_DETAIL]
    delivery.attempts += 1
    delivery.save(update_fields=["state", "detail", "attempts"])
    return True


def _tell_refused(delivery: Delivery, reason: str, now: datetime) -> None:
    journal.record(
        f"{delivery.sink}.refused",
        f"run:{delivery.run.uid}",
        actor="scheduler",
        at=now,
        agent=delivery.run.agent.agent_id,
        target=delivery.target,
        reason=reason,
    )
