"""The leader looks at what each node's sampler saw, and does what the rule says.

The rule is planner.rebalancing; here it is fed from rows and its acts become wishes of
runs. What a node runs short of stands on its row, so that the planner holds back the
least important runs, and a new leader goes on where the last one was.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, cast

from django.db import transaction

from agents import journal, live_config, redis
from agents.config_keys import SchedulerConfig
from agents.errors import ChangedMeanwhile, NotAllowedNow
from agents.models import Node
from agents.priority import Priority
from scheduling import hot_reads, live_runs, preempting, wishes
from scheduling.batch_sql import iso
from scheduling.models import Run
from scheduling.planner.rebalancing import Act, Balance, Limits, Live, Reading, decide
from scheduling.run_state import RunState
from scheduling.suspended_runs import rungs_of

log = logging.getLogger(__name__)
ACTOR = "scheduler"
STALE_S = 60.0  # a sample older than that says nothing
LEAST_MILLIS = 50
S = RunState


def rebalance(*, now: datetime) -> None:
    """Look at each node that is up, once."""
    config = live_config.current()
    limits = limits_of(config)
    for node in Node.objects.filter(state="up"):
        seen = reading_of(node.usage, now) if config.rebalance.enabled else Reading()
        if seen is None:
            continue
        first = decide(seen, (), limits, before={}, quiet_s=0, urgent_runs=True)
        if first.troubles or node.balance.get("troubles") or node.balance.get("acted"):
            look(node, seen, limits, may_act=config.allow_agent_preemption, now=now)


def look(
    node: Node, seen: Reading, limits: Limits, *, may_act: bool, now: datetime
) -> None:
    began = live_runs.began().filter(node=node, state__in=(S.RUNNING, S.SUSPENDED))
    runs = list(began.select_related("version", "agent", "node"))
    acted_at = node.balance.get("acted_at")
    quiet_s = 1e9
    if acted_at:
        quiet_s = (now - datetime.fromisoformat(acted_at)).total_seconds()
    balance = decide(
        seen,
        [live_of(run, node, now) for run in runs if run.wish in ("", wishes.REFUSED)],
        limits,
        before=node.balance.get("troubles", {}),
        quiet_s=quiet_s,
        urgent_runs=any(
            run.priority > limits.touches and run.state == S.RUNNING for run in runs
        ),
        may_act=may_act,
    )
    acts = carry_out(balance.acts, {run.pk: run for run in runs}, now)
    keep(node, balance, acts, limits, is_touched(runs) or bool(acts), now)


def is_touched(runs: list[Run]) -> bool:
    """Whether something is left to be taken back."""
    by_us = wishes.REBALANCING
    return any(r.suspended_by == by_us or r.slowed_millis is not None for r in runs)


@transaction.atomic
def keep(
    node: Node,
    balance: Balance,
    acts: list[dict[str, Any]],
    limits: Limits,
    touched: bool,
    now: datetime,
) -> None:
    """On the node's row; in the journal when something was done, or a trouble came or
    went."""
    before = node.balance
    fresh: dict[str, Any] = {
        "troubles": dict(balance.troubles),
        "held": balance.held,
        "touches": limits.touches,
        "acted": touched,
        "acted_at": iso(now) if acts else before.get("acted_at"),
    }
    if fresh == before:
        return
    Node.objects.filter(pk=node.pk).update(balance=fresh)
    if not acts and fresh["troubles"].keys() == before.get("troubles", {}).keys():
        return
    journal.record(
        "node.rebalanced",
        f"node:{node.name}",
        actor=ACTOR,
        at=now,
        name=node.name,
        short_of=fresh["troubles"],
        acts=acts,
        reason="; ".join(balance.troubles.values()) or "it has room again",
    )
    transaction.on_commit(redis.wake, robust=True)


def carry_out(
    acts: tuple[Act, ...], runs: Mapping[int, Run], now: datetime
) -> list[dict[str, Any]]:
    """What was done; a run that moved meanwhile is left out."""
    done = []
    for act in acts:
        run = runs[act.run]
        try:
            with transaction.atomic():
                do(act, run, now)
        except (ChangedMeanwhile, NotAllowedNow) as overtaken:
            log.info("rebalancing overtaken", extra={"why": str(overtaken)})
            continue
        agent = run.agent.agent_id
        done.append({"run": run.uid, "agent": agent, "do": act.do, "why": act.why})
    return done


def do(act: Act, run: Run, now: datetime) -> None:
    """Raises ChangedMeanwhile, NotAllowedNow."""
    match act.do:
        case "freeze" | "reclaim":
            wishes.freeze(
                run,
                by=wishes.REBALANCING,
                reason=act.why,
                actor=ACTOR,
                now=now,
                reclaim=act.do == "reclaim",
            )
        case "thaw":
            wishes.thaw(run, actor=ACTOR, now=now, reason=act.why)
        case "checkpoint":
            preempting.save_and_stop(run, act.why, now)
        case "stop":
            preempting.back_to_queue_or_stop(run, act.why, now)
        case "slow":
            half = max(run.cpu_millis // 2, LEAST_MILLIS)
            wishes.slow(run, half, reason=act.why, actor=ACTOR, now=now)
        case "unslow":
            wishes.slow(run, None, reason=act.why, actor=ACTOR, now=now)


def live_of(run: Run, node: Node, now: datetime) -> Live:
    (spec,) = hot_reads.specs({run.version_id}).values()
    tried = run.reclaimed_bytes is not None
    can = node.yields.get(run.exec_env, {})
    started_at = run.started_at or now
    return Live(
        id=run.pk,
        priority=run.priority,
        rungs=rungs_of(S(run.state), run.wish, can, spec, tried=tried),
        frozen=run.state == S.SUSPENDED,
        by_us=run.suspended_by == wishes.REBALANCING,
        slowed=run.slowed_millis is not None,
        ran_s=(now - started_at).total_seconds(),
    )


def reading_of(usage: Mapping[str, Any], now: datetime) -> Reading | None:
    """What the sampler saw; None where it has not looked for a while."""
    sampled_at = usage.get("sampled_at")
    if not sampled_at:
        return None
    at = datetime.fromisoformat(sampled_at)
    if now - at > timedelta(seconds=STALE_S):
        return None
    sent = usage.get("net_sent_bytes_per_s")
    received = usage.get("net_received_bytes_per_s")
    return Reading(
        memory=usage.get("memory_fraction"),
        memory_pressure=usage.get("memory_pressure_fraction"),
        cpu=usage.get("cpu_fraction"),
        cpu_pressure=usage.get("cpu_pressure_fraction"),
        network_bytes=None if sent is None else cast(float, sent) + (received or 0),
        battery=usage.get("battery_fraction"),
        on_mains=bool(usage.get("on_mains", True)),
    )


def limits_of(config: SchedulerConfig) -> Limits:
    rule, power = config.rebalance, config.power
    return Limits(
        touches=Priority.from_word(rule.touches),
        memory_above=rule.memory_above,
        memory_pressure=rule.memory_pressure,
        memory_share=config.max_memory_fraction,
        cpu_above=rule.cpu_above,
        cpu_pressure=rule.cpu_pressure,
        network_bytes=rule.network_bytes,
        margin=rule.margin,
        hold_below=power.hold_below,
        freeze_below=power.freeze_below,
        power_margin=power.margin,
        dwell_s=rule.dwell_s,
    )
