"""What an executor says happened, turned into moves of runs, once each.

The offset of the executor's log is stored in the same transaction as what was done
with its lines, so however often the reader is killed each line counts exactly once.
"""

from __future__ import annotations

import random
import signal
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from agents import journal, live_config
from agents.agent_lifecycle_hooks import END, POST, is_helper
from agents.executors.base import Ended, Happening, NotStarted, Started
from agents.models import NodeLog
from scheduling import (
    backfills,
    confidential,
    crash_loops,
    graph_runs,
    hot_reads,
    launch,
    phases,
    restarts,
    result_bus,
    runs,
    tellings,
    wishes,
)
from scheduling.batch_sql import as_instant
from scheduling.models import Delivery, Run
from scheduling.result_dispatcher import deliveries_of, send_on_commit
from scheduling.run_folders import read_result
from scheduling.run_state import FINAL, RunState
from scheduling.runs import Step

S = RunState
SEEN = ("id", "uid", "token", "state", "stop_as", "reason", "may_follow", "started_at")
READ_TO = f'UPDATE {NodeLog._meta.db_table} SET "offset" = %s WHERE id = %s'
SELECT_SEEN = f"SELECT {', '.join(SEEN)} FROM {Run._meta.db_table}"


@dataclass(slots=True)
class Seen:
    """A run as the transaction finds it, kept up to date while it is worked through."""

    id: int
    uid: str
    token: int
    state: RunState
    stop_as: str
    reason: str
    may_follow: bool
    started_at: datetime | None


@dataclass(frozen=True, slots=True)
class Close:
    run: Seen
    to: RunState
    reason: str
    facts: Mapping[str, Any]


def apply(
    happenings: Sequence[Happening], *, log: NodeLog, offset: int, now: datetime
) -> int:
    """Do what the happenings say and remember `offset`, in one transaction.

    Returns how many runs ended. Happenings of another token, and ends of runs that
    are over, change nothing: a terminal state never changes.
    """
    actor = f"node:{log.node.name}"
    helpers = [h for h in happenings if is_helper(h.uid)]
    if helpers:
        happenings = [h for h in happenings if not is_helper(h.uid)]
    results = {h.uid: read_result(h.uid) for h in happenings if isinstance(h, Ended)}
    with transaction.atomic():
        if helpers:
            phases.heard(helpers, actor=actor, now=now)
        seen = _seen([h.uid for h in happenings])
        mine = [h for h in happenings if h.uid in seen and h.token == seen[h.uid].token]
        _start([h for h in mine if isinstance(h, Started)], seen, actor, now)
        for stopped in tellings.apply(mine, actor=actor, now=now):
            seen[stopped.uid].state = S.STOPPING
            seen[stopped.uid].stop_as = S.FAILED
            seen[stopped.uid].reason = stopped.reason
        closes = [c for h in mine if (c := _close(h, seen, results))]
        close_many(closes, actor=actor, now=now)
        with connection.cursor() as cursor:
            cursor.execute(READ_TO, [offset, log.pk])
    return len(closes)


@transaction.atomic
def refuse(uid: str, token: int, reason: str, *, node: str, now: datetime) -> None:
    """Fail a run that is STARTING (or asked to stop meanwhile) and will not start."""
    rows = Run.objects.filter(uid=uid, token=token).values_list(*SEEN)
    closes = [
        Close(run, S.FAILED, reason, {"ended_at": now})
        for run in map(seen_of, rows)
        if run.state in (S.STARTING, S.STOPPING)
    ]
    close_many(closes, actor=f"node:{node}", now=now)


def _seen(uids: Sequence[str]) -> dict[str, Seen]:
    """The runs of these uids, locked where the database locks rows."""
    said, parameter = hot_reads.among("uid", uids)
    lock = " FOR UPDATE" if connection.features.has_select_for_update else ""
    found = hot_reads.rows(f"{SELECT_SEEN} WHERE {said}{lock}", [parameter])
    return {row[1]: seen_of(row) for row in found}


def seen_of(row: Sequence[Any]) -> Seen:
    """A row of the columns SEEN."""
    pk, uid, token, state, stop_as, reason, may_follow, started_at = row
    started_at = as_instant(started_at)
    return Seen(pk, uid, token, S(state), stop_as, reason, bool(may_follow), started_at)


def _start(
    started: Sequence[Started], seen: dict[str, Seen], actor: str, now: datetime
) -> None:
    steps = []
    for said in started:
        run, at = seen[said.uid], _instant(said.at_ns)
        run.started_at = at
        facts = {"started_at": at, "handle": dict(said.handle)}
        if run.state == S.STARTING:
            steps.append(Step(run.id, run.token, also_set=facts))
            run.state = S.RUNNING
        elif run.state == S.STOPPING:
            runs.note_started(run.id, facts)  # the stop came first; it goes on
    moved = runs.move_many(steps, before=S.STARTING, to=S.RUNNING, actor=actor, now=now)
    launch.lay_out(moved, POST)


def _close(
    said: Happening, seen: dict[str, Seen], results: Mapping[str, Any]
) -> Close | None:
    run = seen[said.uid]
    if not isinstance(said, NotStarted | Ended) or run.state in FINAL:
        return None
    if isinstance(said, NotStarted):
        to = S(run.stop_as) if run.state == S.STOPPING else S.FAILED
        facts = _facts(said.at_ns, None)
        close = Close(run, to, f"cannot start: {said.reason}", facts)
    else:
        to, reason = verdict(run, said)
        facts = {
            **_facts(said.at_ns, results.get(said.uid)),
            "exit_code": said.exit_code,
            "signal": said.signal,
            "oom_killed": said.oom_killed,
            "cpu_seconds": said.cpu_seconds,
            "peak_memory_bytes": said.peak_memory_bytes,
        }
        close = Close(run, to, reason, facts)
    return close


def _facts(at_ns: int, result: Any) -> dict[str, Any]:
    return {
        "ended_at": _instant(at_ns),
        "exit_code": None,
        "signal": None,
        "oom_killed": False,
        "cpu_seconds": None,
        "peak_memory_bytes": None,
        "result": result,
    }


def verdict(run: Seen, end: Ended) -> tuple[RunState, str]:
    """The final state of a run whose program ended so, and why, in words."""
    if end.lost:
        return S.LOST, "its program is gone and nobody saw how it ended"
    if end.timed_out:
        return S.TIMED_OUT, "its time limit was reached"
    if run.state == S.STOPPING and end.stopped and run.stop_as:
        return S(run.stop_as), run.reason
    if end.oom_killed:
        return S.FAILED, "out of memory: it reached its memory limit"
    if end.signal is not None:
        return S.FAILED, f"ended by {signal_name(end.signal)}"
    if end.exit_code == 0:
        return S.SUCCEEDED, ""
    return S.FAILED, f"exit code {end.exit_code}"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names of their own
        return f"signal {number}"


def _instant(at_ns: int) -> datetime:
    return datetime.fromtimestamp(at_ns / 1e9, UTC)


def close_many(closes: Sequence[Close], *, actor: str, now: datetime) -> None:
    """End runs inside the caller's transaction, with all that follows from it: the
    next attempt, and deliveries to those that wait for the result."""
    groups: dict[tuple[RunState, RunState], list[Close]] = defaultdict(list)
    for close in closes:
        groups[close.run.state, close.to].append(close)
    ended: set[int] = set()
    for (before, to), group in groups.items():
        steps = [Step(c.run.id, c.run.token, c.reason, c.facts) for c in group]
        moved = runs.move_many(steps, before=before, to=to, actor=actor, now=now)
        ended.update(run["id"] for run in moved)
        left = [c for c in group if c.facts.get("result") is not None]
        if left:
            results = {c.run.id: c.facts["result"] for c in left}
            result_bus.publish_on_commit(moved, results, to)
    follow([c for c in closes if c.run.id in ended], actor=actor, now=now)
    if ended:
        runs.wake_on_commit("ended")


def follow(closes: Sequence[Close], *, actor: str, now: datetime) -> None:
    """Queue what comes after each ended run, if anything does."""
    wanting = [c for c in closes if c.run.may_follow or c.to in (S.PREEMPTED, S.LOST)]
    if not wanting:
        return
    rows = Run.objects.select_related(
        "agent__current", "version", "occurrence", "schedule", "pinned_node", "node"
    ).in_bulk([c.run.id for c in wanting])
    clear_up(rows.values())
    wanted = [w for c in wanting if (w := _next(rows[c.run.id], c, now))]
    runs.queue_many(wanted, now=now)
    graph_runs.after_ends([run.occurrence_key for run in rows.values()], now=now)
    backfills.after_ends(rows.values(), now=now)
    deliveries = [d for c in wanting for d in deliveries_of(rows[c.run.id], c.to, now)]
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    send_on_commit(deliveries)
    confidential.take_back_on_commit(rows.values())


def clear_up(ended: Iterable[Run]) -> None:
    """Make due what comes after the end, and have what goes on beside it ended."""
    hooked = [(run.pk, run.version.spec) for run in ended if run.version.spec["hooks"]]
    phases.lay_out(hooked, END)
    if hooked:
        phases.call_on_commit()


def _next(run: Run, close: Close, now: datetime) -> runs.Wanted | None:
    agent, spec = run.agent, run.version.spec
    started = close.run.started_at
    ran_for_s = (close.facts["ended_at"] - started).total_seconds() if started else 0.0
    number = close.facts.get("signal")
    end = restarts.End(
        state=close.to,
        exit_code=close.facts.get("exit_code"),
        signal_name=signal_name(number) if number else None,
        attempt=run.attempt,
        ran_for_s=ran_for_s,
        wanted=agent.enabled and not agent.held and agent.retired_at is None,
        crashes=crash_loops.crashes_of(run, spec["restart"]),
    )
    decision = restarts.after_end(
        end,
        kind=agent.kind,
        retries=graph_runs.retries_of(run, spec["retries"]),
        restart=spec["restart"],
        reschedule_on_crash=live_config.current().reschedule_on_crash,
        now=now,
        chance=random.random(),
    )
    if isinstance(decision, restarts.GiveUp):
        if decision.is_loop:
            _tell_loop(run, decision.why, now)
        return None
    changed = {"attempt": decision.attempt, "why": decision.why}
    if agent.kind == "persistent":
        changed["version"] = agent.current
    if close.to == S.PREEMPTED and run.rung == wishes.CHECKPOINT:
        changed["pinned_node"] = run.node  # where its saved work is
    return runs.again(run, actor="scheduler", at=decision.at, **changed)


def _tell_loop(run: Run, why: str, now: datetime) -> None:
    agent = run.agent.agent_id
    facts = {"agent": agent, "reason": f"{why}; the last: {run.reason}"}
    journal.record(
        "agent.crash_loop", f"agent:{agent}", actor="scheduler", at=now, **facts
    )
