"""The seed's agent scheduler: the controller that fires, reads, plans and applies.

One leader at a time, by lease. Its loop sleeps until the earliest of the next due
instant, the lease's renewal and a wake-up, and then takes one step. Everything that
decides stands in pure modules; everything that writes is a batch in one transaction
that begins by checking that we still lead.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import redis as redis_library
from django.db import transaction

from agents import live_config, sealing
from scheduling import (
    agent_control,
    firing,
    grants,
    hot_reads,
    lease,
    nodes,
    overdue,
    preempting,
    result_dispatcher,
    run_events,
    runs,
    sweeping,
    windows,
)
from scheduling.planner.admission import Admit, Decision, Preempt, Wait, plan
from scheduling.rq import queues
from scheduling.run_state import RunState
from scheduling.runs import Step
from scheduling.snapshot_reader import read_snapshot

log = logging.getLogger(__name__)
ACTOR = "scheduler"
FIRE_AT_MOST = 500  # due instants decided in one step; the rest in the next
S = RunState


def step(token: int, *, now: datetime, per_class: int) -> int:
    """One turn as the leader of `token`: fire what is due, pass on results, plan and
    apply. Returns how many runs were fired or admitted; more than none means that
    there may be more to do at once.

    Raises lease.Superseded when somebody else leads; nothing of ours stands then.
    """
    due, fired = hot_reads.alarms(now), 0
    if due.schedule_is_due(now) or due.any_instant_waits:
        with transaction.atomic():
            lease.check(token)
            fired = firing.fire_due(now=now, limit=FIRE_AT_MOST)
    if due.delivery_is_due(now):
        result_dispatcher.deliver_due(now=now)
    return fired + tick(token, now=now, per_class=per_class)


def tick(token: int, *, now: datetime, per_class: int) -> int:
    """Plan once and apply what still holds. Returns how many runs were admitted."""
    decisions = make_plan(now=now, per_class=per_class)
    admitted = admit(
        [d for d in decisions if isinstance(d, Admit)], token=token, now=now
    )
    for decision in decisions:
        if isinstance(decision, Preempt):
            preempting.preempt(decision, token=token, now=now)
    tell_waits(decisions, now=now)
    return admitted


def make_plan(*, now: datetime, per_class: int) -> list[Decision]:
    """What the planner decides on the world as it is. Changes nothing."""
    config = live_config.current()
    return plan(
        read_snapshot(
            now=now,
            slots=config.max_concurrent_agents,
            mode=config.scheduler_mode,
            preemption=config.allow_agent_preemption,
            memory_fraction=config.max_memory_fraction,
            per_class=per_class,
        )
    )


def admit(admissions: Sequence[Admit], *, token: int, now: datetime) -> int:
    """Reserve the room and hand the runs to their nodes' launchers.

    Jobs go out after the commit. One that is lost is found by its age, see
    sweeping.take_back.
    """
    if not admissions:
        return 0
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
    with transaction.atomic():
        lease.check(token)
        moved = runs.move_many(
            steps, before=S.QUEUED, to=S.ADMITTED, actor=ACTOR, now=now
        )
        if given:
            moved += grants.admit(given, actor=ACTOR, now=now)
    needy = {a.run.id for a in given if a.grant and a.grant.needy}
    batches: dict[tuple[str, bool], list[tuple[int, int]]] = defaultdict(list)
    for run in moved:
        batches[run["node"], run["id"] in needy].append((run["id"], run["token"]))
    for (node, is_needy), batch in batches.items():
        send(node, batch, needy=is_needy)
    return len(moved)


def send(node: str, batch: Sequence[tuple[int, int]], *, needy: bool = False) -> None:
    try:
        queues.send_launch(node, batch, needy=needy)
    except redis_library.RedisError as down:
        log.warning("launch not sent", extra={"node": node, "why": str(down)})


def tell_waits(decisions: Sequence[Decision], *, now: datetime) -> None:
    """Write why the head of each class waits, when that has changed."""
    changed = {
        d.run.id: (d.why.code[:24], d.why.text)
        for d in decisions
        if isinstance(d, Wait) and d.run.told != d.why.code[:24]
    }
    runs.note_waits(changed, now=now)


def housekeep(token: int, *, now: datetime) -> None:
    """What the leader looks after at each heartbeat."""
    config = live_config.current()
    with transaction.atomic():
        lease.check(token)
    nodes.mark_silent(now=now, down_after_s=config.nodes.down_after_s)
    overdue.fail_overdue(now=now)
    run_events.catch_up(now=now)
    windows.drain_nodes(now=now)
    sweeping.take_back(now=now, older_than_s=config.nodes.admit_timeout_s)
    agent_control.want_persistent(
        now=now, reschedule_on_crash=config.reschedule_on_crash
    )


def seal(token: int, *, now: datetime) -> None:
    """Number and seal what has been journaled since the last time."""
    sealing.seal_pending(now, sealing.sealing_key(), check=lambda: lease.check(token))
