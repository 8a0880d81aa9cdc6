"""The seed's result dispatcher: a finished run on its way to those who wait for it.

Each target is a Delivery row, written in the transaction that ends the run, so none is
forgotten whatever dies in between. A row is delivered once: who takes it moves it by
compare-and-set, in the same transaction as what the sink does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.db import transaction

from agents import journal
from agents.errors import KosError
from scheduling.models import Delivery, Run
from scheduling.run_state import RunState
from scheduling.sinks import cascade

AT_ONCE = 100
LONGEST_DETAIL = 300  # the column's width
Sink = Callable[[Run, str, datetime], str]  # run, target, now -> what was done
SINKS: Mapping[str, Sink] = {"cascade": cascade.deliver}


def deliveries_of(run: Run, ended: RunState, now: datetime) -> list[Delivery]:
    """The rows a run that ended so gives rise to; the caller saves them.

    Work that goes on (preempted) or was called off (cancelled) triggers nothing.
    """
    if ended in (RunState.PREEMPTED, RunState.CANCELLED):
        return []
    happened = {"finish", "success" if ended == RunState.SUCCEEDED else "failure"}
    return [
        Delivery(
            run=run,
            sink="cascade",
            target=wanted["agent"],
            next_attempt_at=now,
            created_at=now,
        )
        for wanted in run.version.spec["cascades"]
        if wanted["on"] in happened
    ]


def deliver_due(*, now: datetime) -> int:
    """Deliver what is due, each in a transaction of its own; how many were."""
    due = Delivery.objects.filter(state="pending", next_attempt_at__lte=now)
    return sum(_deliver(pk, now) for pk in due.values_list("pk", flat=True)[:AT_ONCE])


@transaction.atomic
def _deliver(pk: int, now: datetime) -> bool:
    mine = Delivery.objects.filter(pk=pk, state="pending")
    if not mine.update(state="delivered", next_attempt_at=None):
        return False  # another scheduler was faster
    delivery = Delivery.objects.select_related("run__agent", "run__parent").get(pk=pk)
    try:
        with transaction.atomic():
            detail = SINKS[delivery.sink](delivery.run, delivery.target, now)
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
