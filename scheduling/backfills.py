"""Instants of the past, run after all: a range, a few at a time, as one unit.

Each keeps the key it always had, so nothing runs twice unless `rerun` asks for another
attempt. The schedule's cursor stays where it is, and its own firings go on as if the
backfill were not there. The only writer of Backfill rows.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F, QuerySet

from agents.errors import ChangedMeanwhile, Invalid, NotAllowedNow, NotFound
from agents.http import fields_of, instant, wrong
from agents.journal import record_many
from agents.quantities import shown
from scheduling import books, firing_facts, firing_writes, gangs, runs
from scheduling.kinds import KINDS
from scheduling.models import Backfill, Gap, Occurrence, Run, Schedule, new_uid
from scheduling.run_state import FINAL
from scheduling.runs import BACKFILL, Wanted
from scheduling.schedule_input import fit_params
from scheduling.timetables import timetable_of
from scheduling.triggers.base import TICK, instant_of, key_of

log = logging.getLogger(__name__)
MOST = 10_000  # instants of one
MOST_AT_ONCE = 1_000  # runs
STARTED_AT_ONCE = 100  # in one transaction
LOOKED_AT = 200  # keys in one transaction
ORDERS = ("oldest", "newest")
KEYS = ("from", "to", "concurrency", "order", "params", "rerun", "dry_run")


@dataclass(frozen=True, slots=True)
class Wish:
    from_at: datetime
    to_at: datetime
    concurrency: int = 1
    newest_first: bool = False
    rerun: bool = False
    params: Mapping[str, Any] | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """The instants of a range, oldest first, and what keeps others of it out."""

    keys: list[str]
    already_run: int
    planned: int  # moved, or waiting for the run before them


def parse_wish(raw: object) -> Wish:
    """Raises Invalid naming the field at fault."""
    given = fields_of(raw, allowed=KEYS, required=("from", "to"))
    from_at = instant(given["from"], field="from")
    to_at = instant(given["to"], field="to")
    if to_at < from_at:
        raise wrong("to", "not after from")
    concurrency, order = given.get("concurrency", 1), given.get("order", "oldest")
    if type(concurrency) is not int or not 1 <= concurrency <= MOST_AT_ONCE:
        raise wrong("concurrency", f"expected a whole number from 1 to {MOST_AT_ONCE}")
    if order not in ORDERS:
        raise wrong("order", f"expected one of {', '.join(ORDERS)}")
    for name in ("rerun", "dry_run"):
        if not isinstance(given.get(name, False), bool):
            raise wrong(name, "expected true or false")
    try:
        params = fit_params(given.get("params", {}))
    except ValueError as error:
        raise wrong("params", str(error)) from None
    return Wish(
        from_at,
        to_at,
        concurrency,
        order == "newest",
        given.get("rerun", False),
        params,
        given.get("dry_run", False),
    )


def find(uid: str) -> Backfill:
    """Raises NotFound."""
    known = Backfill.objects.select_related("schedule__agent")
    found = known.filter(uid=uid).first() if uid.isascii() else None
    if found is None:
        raise NotFound(f"there is no backfill {shown(uid)}")
    return found


def look(schedule: Schedule, wish: Wish) -> Found:
    """What a backfill of the range would run. Raises Invalid for a range of too many
    instants, NotAllowedNow for a schedule that has none."""
    if not KINDS[schedule.kind].timed:
        raise NotAllowedNow(f"a schedule by {schedule.kind} has no instants of its own")
    if schedule.graph:
        said = f"it starts the graph {schedule.graph}; only agents are backfilled"
        raise NotAllowedNow(said)
    if schedule.gang or gangs.of_agent(schedule.agent.spec):
        raise NotAllowedNow("it starts gangs, and only single runs are backfilled")
    if schedule.agent.kind == "persistent":
        raise NotAllowedNow(f"{schedule.agent.agent_id} is persistent; it runs on")
    timetable = timetable_of(schedule)
    until = min(wish.to_at, schedule.cursor_at)  # later ones are still to be decided
    after = wish.from_at - TICK
    count = timetable.count(after, until)
    if count > MOST:
        said = f"the range has {count} instants, more than {MOST}; ask for less of it"
        raise Invalid(f"to: {said}", {"to": [said]})
    keys = [key_of(at) for at in timetable.between(after, until, at_most=count)]
    known = Occurrence.objects.filter(
        schedule=schedule, key__gte=key_of(wish.from_at), key__lte=key_of(until)
    )
    states = dict(known.values_list("key", "state"))
    ran = {key for key in keys if states.get(key) == "run"}
    planned = {key for key in keys if states.get(key) == "planned"}
    out = planned if wish.rerun else planned | ran
    return Found([key for key in keys if key not in out], len(ran), len(planned))


@transaction.atomic
def create(schedule: Schedule, wish: Wish, *, actor: str, now: datetime) -> Backfill:
    """Raises as look does, and NotAllowedNow when nothing of the range is left."""
    agent, found = schedule.agent, look(schedule, wish)
    if agent.retired_at is not None or not agent.enabled:
        raise NotAllowedNow(f"{agent.agent_id} is disabled or retired")
    if not found.keys:
        raise NotAllowedNow("no instant of that range is left to run")
    row = Backfill.objects.create(
        uid=new_uid(),
        schedule=schedule,
        from_at=wish.from_at,
        to_at=wish.to_at,
        keys=found.keys[::-1] if wish.newest_first else found.keys,
        concurrency=wish.concurrency,
        newest_first=wish.newest_first,
        rerun=wish.rerun,
        params=dict(wish.params or {}),
        made_by=actor,
        made_at=now,
    )
    _tell("begun", row, actor, now, count=len(found.keys))
    return carry_on(row.pk, now=now)


@transaction.atomic
def cancel(uid: str, *, actor: str, now: datetime) -> Backfill:
    """Start nothing further of it and stop what runs. Raises NotAllowedNow when it is
    over."""
    row = _locked(find(uid).pk)
    if row.state != "running":
        raise NotAllowedNow(f"the backfill is {row.state} already")
    _end(row, "cancelled", f"cancelled by {actor}", actor, now)
    for run in live_runs(row).select_related("version", "node"):
        with suppress(NotAllowedNow, ChangedMeanwhile):
            reason = f"the backfill was cancelled by {actor}"
            runs.stop(run, actor=actor, now=now, reason=reason)
    return row


# -- a few at a time ---------------------------------------------------------------


def after_ends(ended: Iterable[Run], *, now: datetime) -> None:
    """These runs ended, in the caller's transaction: start the next of theirs."""
    uids = {_uid(run.requested_by) for run in ended if _uid(run.requested_by)}
    if uids:
        _carry_on_each(Backfill.objects.filter(uid__in=uids, state="running"), now)


def repair(*, now: datetime) -> None:
    """Carry every backfill on: for the leader, at each of its chores."""
    _carry_on_each(Backfill.objects.filter(state="running"), now)


def _uid(requested_by: str) -> str:
    return requested_by.removeprefix(BACKFILL) if _is_ours(requested_by) else ""


def _is_ours(requested_by: str) -> bool:
    return requested_by.startswith(BACKFILL)


def _carry_on_each(rows: QuerySet[Backfill], now: datetime) -> None:
    for pk in list(rows.order_by("pk").values_list("pk", flat=True)):
        try:
            with transaction.atomic():
                carry_on(pk, now=now)
        except (OperationalError, InterfaceError):
            raise  # the database is at fault, no backfill is
        except Exception:  # poison-row guard
            log.exception("backfill %s cannot go on", pk)


def _locked(pk: int) -> Backfill:
    rows = Backfill.objects.select_for_update(of=("self",))
    return rows.select_related("schedule__agent__current").get(pk=pk)


def carry_on(pk: int, *, now: datetime) -> Backfill:
    """Queue as many further runs as its concurrency leaves; end it after the last.
    Inside the caller's transaction."""
    row = _locked(pk)
    agent = row.schedule.agent
    if row.state != "running" or not agent.enabled:
        return row
    live = live_runs(row).count()
    room = min(row.concurrency - live, STARTED_AT_ONCE)
    wanted: list[Wanted] = []
    ahead = row.keys[row.position : row.position + LOOKED_AT]
    for key in ahead:
        if len(wanted) >= room:
            break
        row.position += 1
        one = _wanted(row, key, now)
        if one is None:
            row.passed += 1
        else:
            wanted.append(one)
    if wanted:
        runs.queue_many(wanted, now=now)
    row.save(update_fields=["position", "passed"])
    if row.position == len(row.keys) and not live and not wanted:
        _end(row, "done", "", "scheduler", now)
    return row


def live_runs(row: Backfill) -> QuerySet[Run]:
    mine = firing_facts.not_over([row.schedule.agent_id])
    return mine.filter(requested_by=f"{BACKFILL}{row.uid}")


def _wanted(row: Backfill, key: str, now: datetime) -> Wanted | None:
    """The run of one instant; None when it has run meanwhile, or is about to."""
    occurrence = _taken(row, key, now)
    by = f"{BACKFILL}{row.uid}"
    if occurrence is not None:
        first = firing_writes.wanted(occurrence)
        params = {**first.params, **row.params}
        return replace(first, requested_by=by, due_at=now, params=params)
    if not row.rerun:
        return None
    return _another(row, key, by, now)


def _another(row: Backfill, key: str, by: str, now: datetime) -> Wanted | None:
    """The next attempt of an instant that has run; None while one is not over."""
    same = Run.objects.filter(
        occurrence__schedule=row.schedule, occurrence__key=key
    ).select_related(
        "agent__current", "version", "occurrence", "schedule", "pinned_node"
    )
    newest = same.order_by("-id").first()
    if newest is None or newest.state not in FINAL:
        return None
    params = {**newest.params, **row.params}
    version = row.schedule.agent.current
    why = "run again by a backfill"
    changed = {"params": params, "version": version, "why": why}
    return runs.again(newest, actor=by, at=now, requested_by=by, **changed)


def _taken(row: Backfill, key: str, now: datetime) -> Occurrence | None:
    """The instant's row, ours to run; None when it is not free."""
    decided = {"state": "run", "reason": "", "decided_at": now}
    nominal = instant_of(key)
    assert nominal is not None, "it was made by key_of"
    occurrence, is_new = Occurrence.objects.get_or_create(
        schedule=row.schedule,
        key=key,
        defaults={**decided, "nominal_at": nominal, "due_at": nominal},
    )
    if is_new:
        _out_of_gap(row.schedule, nominal)
    elif not Occurrence.objects.filter(
        pk=occurrence.pk, state__in=("skipped", "missed")
    ).update(**decided):
        return None
    occurrence.schedule = row.schedule
    return occurrence


def _out_of_gap(schedule: Schedule, nominal: datetime) -> None:
    """An instant that gets a row of its own is no longer one of a gap's."""
    around = Gap.objects.filter(
        schedule=schedule, from_at__lte=nominal, to_at__gte=nominal
    )
    gap = around.first()
    if gap is not None and gap.count > 1:
        around.filter(pk=gap.pk).update(count=F("count") - 1)
    elif gap is not None:
        gap.delete()


def _end(row: Backfill, state: str, reason: str, actor: str, now: datetime) -> None:
    row.state, row.reason, row.ended_at = state, reason, now
    row.save(update_fields=["state", "reason", "ended_at"])
    _tell(state, row, actor, now)


def _tell(kind: str, row: Backfill, actor: str, now: datetime, **more: Any) -> None:
    facts = {"backfill": row.uid, **more}
    record_many([books.entry(f"backfill.{kind}", row.schedule, actor, now, **facts)])


def states_of(row: Backfill) -> Counter[str]:
    """How many of its instants stand how: the state of the newest attempt of each."""
    taken = set(row.keys[: row.position])
    if not taken:
        return Counter()
    within = Run.objects.filter(  # too many keys to name each
        occurrence__schedule=row.schedule_id,
        occurrence__key__gte=min(taken),
        occurrence__key__lte=max(taken),
    )
    known = within.order_by("id").values_list("occurrence__key", "state")
    newest = dict(known)
    return Counter(state for key, state in newest.items() if key in taken)
