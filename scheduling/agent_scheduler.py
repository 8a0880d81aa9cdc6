"""The seed's agent scheduler: the controller that fires, reads, plans and applies.

One leader at a time, by lease. Its loop sleeps until the earliest of the next due
instant, the lease's renewal and a wake-up, and then takes one step. Everything that
decides stands in pure modules; everything that writes is a batch in one transaction
that begins by checking that we still lead.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

import redis as redis_library
from django.db import DatabaseError, InterfaceError, transaction

from agents import crash_points, live_config, sealing
from agents.config_keys import SchedulerConfig
from scheduling import (
    agent_control,
    backfills,
    balancing,
    deadlines,
    firing,
    gang_starts,
    grants,
    graph_runs,
    horizons,
    hot_reads,
    lease,
    limiting,
    nodes,
    overdue,
    preempting,
    result_dispatcher,
    run_events,
    runs,
    sweeping,
    windows,
)
from scheduling.planner.admission import (
    Admit,
    Decision,
    Preempt,
    Thaw,
    Wait,
    overtakes,
    plan,
)
from scheduling.planner.snapshot import Snapshot
from scheduling.rq import queues
from scheduling.snapshot_reader import read_snapshot
from scheduling.task_queue import Ageing

log = logging.getLogger(__name__)
ACTOR = "scheduler"
CHORES: tuple[Callable[..., object], ...] = (
    overdue.fail_overdue,
    run_events.catch_up,
    graph_runs.repair,
    backfills.repair,
    limiting.marking.keep_up,
    balancing.rebalance,
    windows.drain_nodes,
    deadlines.keep,
)
FIRE_AT_MOST = 500  # due instants decided in one step; the rest in the next


class Bus(Protocol):
    """How a node hears of what it is to launch: `scheduling.rq.queues`."""

    def send_launch(
        self, node: str, batch: Sequence[tuple[int, int]], *, needy: bool = False
    ) -> None: ...


def step(token: int, *, now: datetime, per_class: int, bus: Bus = queues) -> int:
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
        if fired:
            crash_points.reach("after_occurrence")
    if due.delivery_is_due(now):
        result_dispatcher.deliver_due(now=now)
    return fired + tick(token, now=now, per_class=per_class, bus=bus)


def tick(token: int, *, now: datetime, per_class: int, bus: Bus = queues) -> int:
    """Plan once and apply what still holds. Returns how many runs were admitted."""
    decisions = make_plan(now=now, per_class=per_class)
    admitted = admit(
        [d for d in decisions if isinstance(d, Admit)], token=token, now=now, bus=bus
    )
    for decision in decisions:
        if isinstance(decision, Preempt):
            preempting.preempt(decision, token=token, now=now)
        elif isinstance(decision, Thaw):
            admitted += preempting.thaw(decision, token=token, now=now)
    limiting.carry_out(decisions, token=token, now=now)
    limiting.opening.note(decisions)
    tell_waits(decisions, now=now)
    return admitted


def make_plan(*, now: datetime, per_class: int) -> list[Decision]:
    """What the planner decides on the world as it is. Changes nothing."""
    snapshot = seen_now(now=now, per_class=per_class)
    return decide(snapshot, live_config.current(), now=now)


def seen_now(*, now: datetime, per_class: int) -> Snapshot:
    """The world as the planner sees it, under the configuration in force."""
    config = live_config.current()
    return seen(config, now=now, per_class=per_class)


def seen(
    config: SchedulerConfig, *, now: datetime, per_class: int, idle_too: bool = False
) -> Snapshot:
    """The world as it is, as it looks under this configuration."""
    return read_snapshot(
        now=now,
        slots=config.max_concurrent_agents,
        mode=config.scheduler_mode,
        preemption=may_preempt(config),
        memory_fraction=config.max_memory_fraction,
        per_class=per_class,
        ageing=ageing_of(config),
        strategy=config.placement.strategy,
        idle_too=idle_too,
    )


def may_preempt(config: SchedulerConfig) -> bool:
    """Only where the queue itself goes by priority. In another order the victim might
    come before whom it made room for, and the two would take turns for ever."""
    return config.allow_agent_preemption and config.scheduler_mode == "priority"


def ageing_of(config: SchedulerConfig) -> Ageing:
    return Ageing(config.queue.ageing_s, config.queue.longest_wait_s)


def decide(
    snapshot: Snapshot, config: SchedulerConfig, *, now: datetime
) -> list[Decision]:
    """Plan, and once more with a reservation where somebody who waits is overtaken."""
    decisions = plan(snapshot)
    if config.placement.backfill == "easy" and overtakes(decisions):
        return plan(horizons.with_horizon(snapshot, now))
    return decisions


def admit(
    admissions: Sequence[Admit], *, token: int, now: datetime, bus: Bus = queues
) -> int:
    """Reserve the room and hand the runs to their nodes' launchers.

    Jobs go out after the commit. One that is lost is found by its age, see
    sweeping.take_back.
    """
    if not admissions:
        return 0
    alone = [a for a in admissions if not a.run.gang]
    with transaction.atomic():
        lease.check(token)
        limiting.spend([a.run for a in alone], now=now)
        moved = grants.move(alone, actor=ACTOR, now=now)
    if len(alone) < len(admissions):
        together = [a for a in admissions if a.run.gang]
        moved += gang_starts.admit(together, token=token, actor=ACTOR, now=now)
    crash_points.reach("after_claim")
    needy = {a.run.id for a in admissions if a.grant and a.grant.needy}
    batches: dict[tuple[str, bool], list[tuple[int, int]]] = defaultdict(list)
    for run in moved:
        batches[run["node"], run["id"] in needy].append((run["id"], run["token"]))
    for (node, is_needy), batch in batches.items():
        send(bus, node, batch, needy=is_needy)
    crash_points.reach("after_enqueue")
    return len(moved)


def send(bus: Bus, node: str, batch: Sequence[tuple[int, int]], *, needy: bool) -> None:
    try:
        bus.send_launch(node, batch, needy=needy)
    except redis_library.RedisError as down:
        log.warning("launch not sent", extra={"node": node, "why": str(down)})


def tell_waits(decisions: Sequence[Decision], *, now: datetime) -> None:
    """Write why the head of each class waits, when that has changed."""
    changed = {
        d.run.id: (d.why.code[:24], d.why.text)
        for d in decisions
        if isinstance(d, Wait) and not d.run.frozen and d.run.told != d.why.code[:24]
    }
    runs.note_waits(changed, now=now)


def housekeep(token: int, *, now: datetime) -> None:
    """What the leader looks after at each heartbeat."""
    config = live_config.current()
    with transaction.atomic():
        lease.check(token)
    nodes.mark_silent(now=now, down_after_s=config.nodes.down_after_s)
    sweeping.take_back(now=now, older_than_s=config.nodes.admit_timeout_s)
    agent_control.want_persistent(
        now=now, reschedule_on_crash=config.reschedule_on_crash
    )
    for chore in CHORES:
        try:
            chore(now=now)
        except (DatabaseError, InterfaceError, lease.Superseded):
            raise  # the database is at fault, or we lead no more
        except Exception:  # one that breaks must not stop those behind it
            log.exception("a chore of the leader failed; the others go on")


def seal(token: int, *, now: datetime) -> None:
    """Number and seal what has been journaled since the last time."""
    sealing.seal_pending(now, sealing.sealing_key(), check=lambda: lease.check(token))
