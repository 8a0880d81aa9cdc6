"""Deliveries that leave the product: taken by a worker, tried, tried again, given up.

At least once. A row is taken under a lease: its next attempt lies a while ahead, so
that when the worker dies over it somebody takes it again. All that were taken together
go at the same time, each within the configured time, so one silent receiver holds up
nobody. Between two attempts lies `results.retries`; after the last the row is dead,
and waits to be replayed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Min, QuerySet

from agents import journal, live_config, secret_store, web_targets
from agents.errors import NotAllowedNow, NotFound
from agents.http import iso
from agents.secret_store import Missing
from agents.secret_uses import told_of
from scheduling import result_message
from scheduling.models import Delivery
from scheduling.result_dispatcher import CASCADE, CHORE, LONGEST_DETAIL, OUTWARD
from scheduling.rq.due import hasten
from scheduling.sinks.parcel import NotDelivered, Parcel

log = logging.getLogger(__name__)
EVERY_S = 5.0  # and at once when something is due
AT_ONCE = 64
ROUNDS = 2  # of one turn; then others of the queue come first
LEASE_FACTOR = 3  # times the time of one attempt
ACTOR = "worker"


@dataclass(frozen=True, slots=True)
class Outcome:
    detail: str
    delivered: bool = False
    for_good: bool = False


def deliver_due(now: datetime) -> int:
    """Try everything outward that is due; how many. A chore of the worker."""
    tried = 0
    for _ in range(ROUNDS):
        taken = take(now=now)
        tried += len(taken)
        parcels = [(delivery.sink, _parcel(delivery, now)) for delivery in taken]
        outcomes = asyncio.run(_send_all(parcels)) if taken else []
        for delivery, outcome in zip(taken, outcomes, strict=True):
            settle(delivery, outcome, now=now)
        if len(taken) < AT_ONCE:
            break
    _come_back()
    return tried


def outward() -> QuerySet[Delivery]:
    return Delivery.objects.filter(sink__in=OUTWARD)  # the index begins with it


def _come_back() -> None:
    """Be called when the next one is due."""
    pending = outward().filter(state="pending")
    if (at := pending.aggregate(at=Min("next_attempt_at"))["at"]) is not None:
        hasten(CHORE, at)


@transaction.atomic
def take(*, now: datetime) -> list[Delivery]:
    """Some that are due, ours for the lease. Each counts as an attempt from now on."""
    rules = live_config.current().results
    due = outward().filter(state="pending", next_attempt_at__lte=now)
    due = due.order_by("next_attempt_at", "id")
    if connection.features.has_select_for_update_skip_locked:
        due = due.select_for_update(skip_locked=True, of=("self",))
    taken = list(due.select_related("run__agent", "run__version")[:AT_ONCE])
    for delivery in taken:
        delivery.attempts += 1
        delivery.next_attempt_at = now + timedelta(
            seconds=LEASE_FACTOR * rules.timeout_s
        )
    Delivery.objects.bulk_update(taken, ["attempts", "next_attempt_at"])
    return taken


def _parcel(delivery: Delivery, now: datetime) -> Parcel | Outcome:
    """What is to be sent, or why it cannot be."""
    config, run = live_config.current(), delivery.run
    if delivery.attempts > len(config.results.retries_s) + 1:
        return Outcome("the worker died over its last attempt", for_good=True)
    try:
        secret = _secret(delivery, now)
    except Missing as missing:
        return Outcome(str(missing))
    message_id = f"msg_{run.uid}_{delivery.pk}"
    body = result_message.body_of(run, message_id, config.artefacts)
    return Parcel(
        id=message_id,
        target=delivery.target,
        body=body,
        at=now,
        rules=config.results,
        run=run.uid,
        secret=secret,
    )


def _secret(delivery: Delivery, now: datetime) -> str | None:
    """Raises Missing."""
    for one in told_of(delivery.run.version.spec):
        name = one.get("secret")
        if name and one.get(delivery.sink) == delivery.target:
            return secret_store.values([name], now=now)[name]
    return None


async def _send_all(parcels: Sequence[tuple[str, Parcel | Outcome]]) -> list[Outcome]:
    each = (_send(sink, one) for sink, one in parcels)
    found = await asyncio.gather(*each, return_exceptions=True)
    return [_outcome(one) for one in found]


def _outcome(found: Outcome | BaseException) -> Outcome:
    """One that fails in a way nobody thought of must not hold up the others."""
    if isinstance(found, Outcome):
        return found
    log.error("a delivery broke", exc_info=found)
    return Outcome(f"it broke: {type(found).__name__}")


async def _send(sink: str, parcel: Parcel | Outcome) -> Outcome:
    if isinstance(parcel, Outcome):
        return parcel
    from scheduling.sinks import file, redis_stream, webhook  # httpx: workers alone

    deliver = {
        "webhook": webhook.deliver,
        "stream": redis_stream.deliver,
        "file": file.deliver,
    }[sink]
    try:
        async with asyncio.timeout(parcel.rules.timeout_s):
            return Outcome(await deliver(parcel), delivered=True)
    except TimeoutError:
        return Outcome(f"no answer within {parcel.rules.timeout_s:g} s")
    except NotDelivered as failed:
        return Outcome(str(failed), for_good=failed.for_good)


@transaction.atomic
def settle(delivery: Delivery, outcome: Outcome, *, now: datetime) -> None:
    """Write what became of an attempt. What somebody else has done with the row since
    our lease ran out stands, unless ours was taken."""
    mine = Delivery.objects.filter(pk=delivery.pk, state="pending")
    if not outcome.delivered:
        mine = mine.filter(attempts=delivery.attempts)
    retries_s = live_config.current().results.retries_s
    changed: dict[str, Any] = {"detail": outcome.detail[:LONGEST_DETAIL]}
    if outcome.delivered:
        changed |= {"state": "delivered", "next_attempt_at": None}
    elif outcome.for_good or delivery.attempts > len(retries_s):
        changed |= {"state": "dead", "next_attempt_at": None}
    else:
        wait = timedelta(seconds=retries_s[delivery.attempts - 1])
        changed |= {"next_attempt_at": now + wait}
    if mine.update(**changed) and "state" in changed:
        _tell(delivery, str(changed["state"]), outcome.detail, ACTOR, now)


@transaction.atomic
def replay(pk: int, *, actor: str, now: datetime) -> Delivery:
    """Try a dead or delivered one again from the beginning. Raises NotFound, and
    NotAllowedNow while it is being tried or when it starts an agent."""
    found = Delivery.objects.select_related("run__agent").filter(pk=pk).first()
    if found is None:
        raise NotFound(f"there is no delivery {pk}")
    if found.sink == CASCADE:
        raise NotAllowedNow("an agent is started once; start it anew instead")
    mine = Delivery.objects.filter(pk=pk).exclude(state="pending")
    if not mine.update(state="pending", attempts=0, next_attempt_at=now):
        at = iso(found.next_attempt_at)
        raise NotAllowedNow(f"it is still being tried, the next time at {at}")
    _tell(found, "replayed", "", actor, now)
    transaction.on_commit(lambda: hasten(CHORE, now), robust=True)
    found.refresh_from_db()
    return found


def _tell(
    delivery: Delivery, what: str, detail: str, actor: str, now: datetime
) -> None:
    journal.record(
        f"delivery.{what}",
        f"run:{delivery.run.uid}",
        actor=actor,
        at=now,
        agent=delivery.run.agent.agent_id,
        sink=delivery.sink,
        target=target_told(delivery.sink, delivery.target),
        attempts=delivery.attempts,
        detail=detail[:LONGEST_DETAIL],
    )


def target_told(sink: str, target: str) -> str:
    """A target for people; what may be secret in a URL is left out."""
    return web_targets.told(target) if sink == "webhook" else target


COLUMNS = (
    *("id", "sink", "target", "state", "attempts", "next_attempt_at"),
    *("detail", "created_at"),
)


def of_run(uid: str) -> list[dict[str, Any]]:
    rows = Delivery.objects.filter(run__uid=uid).order_by("id")
    return [told(row) for row in rows.values(*COLUMNS)]


def told(row: dict[str, Any]) -> dict[str, Any]:
    """A delivery as the API tells it, from `.values(*COLUMNS, …)`."""
    return {**row, "target": target_told(row["sink"], row["target"])}
