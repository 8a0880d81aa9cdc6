"""What may be done to a run. The only module that writes Run rows.

Every move is a compare-and-set on the state *and* the fencing token its caller saw,
with its Event in the same transaction. Hot paths move whole batches: one statement
and one insert of events, however many runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction

from agents import crash_points, journal, live_config, redis, requirements
from agents.errors import ChangedMeanwhile, NotAllowedNow
from agents.models import Agent, AgentVersion, Node
from agents.priority import Priority
from scheduling import (
    deadline_rules,
    gangs,
    groups,
    lines,
    nodes,
    run_events,
    run_journal,
)
from scheduling.batch_sql import compare_and_set, insert, iso
from scheduling.models import Occurrence, Run, Schedule, new_uid
from scheduling.queue_marks import RANKED
from scheduling.run_state import FINAL, HAS_PROGRAM, RunState, allowed

S = RunState
LONGEST_REASON = 300  # the column's width
BACKFILL = "backfill:"  # who asked for its runs, see backfills
GRAPH_KEY = "graph:"  # begins the occurrence key of a node's run, see graph_runs


@dataclass(frozen=True, slots=True)
class Step:
    """One run's move as its caller saw the run, and what else to set."""

    id: int
    token: int
    reason: str = ""
    also_set: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run to be queued. What is None comes from the agent."""

    agent: Agent
    version: AgentVersion
    requested_by: str
    due_at: datetime
    occurrence_key: str = ""  # "": its own uid, a first attempt on demand
    occurrence: Occurrence | None = None
    schedule: Schedule | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    priority: int | None = None
    timeout_s: float | None = None
    pinned_node: Node | None = None
    parent_id: int | None = None
    root_uid: str = ""
    depth: int = 0
    retry_of_id: int | None = None
    attempt: int = 1
    why: str = ""
    concurrency: Mapping[str, Any] | None = None  # None: as the agent says
    deadlines: Mapping[str, Any] | None = None  # over the schedule's and the agent's
    counted_from: datetime | None = None  # what its deadlines count from; None: due_at
    path_s: float = 0.0  # of a graph's node: the longest way from here to its end
    gang: str = ""  # its members start together or not at all
    gang_size: int = 0


def request_run(agent: Agent, **how: Any) -> Run:
    """Queue one run of the agent; see request_many."""
    return request_many(agent, 1, **how)[0]


@transaction.atomic
def request_many(
    agent: Agent,
    count: int,
    *,
    actor: str,
    now: datetime,
    due_at: datetime | None = None,
    **wanted: Any,
) -> list[Run]:
    """Queue `count` runs of the agent's current version; nothing starts before due_at.

    `wanted` takes the further fields of Wanted; without a `gang`, even none, each of
    them is as many runs as the agent starts at once. A run of a persistent agent on
    demand is *the* run of that agent: there is never a second live one.

    Raises NotAllowedNow if the agent is retired, disabled, or already runs.
    """
    if agent.retired_at is not None:
        raise NotAllowedNow(f"{agent.agent_id} is retired")
    if not agent.enabled:
        raise NotAllowedNow(f"{agent.agent_id} is disabled; enable it first")
    assert agent.current is not None, "an agent is made together with a version"
    if agent.kind == "persistent":
        wanted.setdefault("occurrence_key", f"persistent:{agent.agent_id}")
    one = Wanted(agent, agent.current, actor, due_at or now, **wanted)
    size = 0 if "gang" in wanted else gangs.of_agent(agent.current.spec)
    fresh = [w for _ in range(count) for w in gangs.formed(one, size)]
    return queue_many(fresh, now=now)


def retry(run: Run, *, actor: str, now: datetime) -> Run:
    """Run the same work again, as its next attempt. Raises NotAllowedNow while it or
    another attempt is live."""
    if run.state not in FINAL:
        raise NotAllowedNow(
            f"the run is {run.state}; it can be retried when it is over"
        )
    with transaction.atomic():
        anew = deadline_rules.anew(run.deadline)
        return queue_many([again(run, actor=actor, at=now, **anew)], now=now)[0]


def again(run: Run, *, actor: str, at: datetime, **changed: Any) -> Wanted:
    """What follows `run` under the same occurrence: one attempt later."""
    same = Wanted(
        agent=run.agent,
        version=run.version,
        requested_by=run.requested_by
        if run.requested_by.startswith(BACKFILL)
        else actor,
        due_at=at,
        occurrence_key=run.occurrence_key,
        occurrence=run.occurrence,
        schedule=run.schedule,
        params=run.params,
        priority=run.priority,
        timeout_s=run.timeout_s,
        pinned_node=run.pinned_node,
        parent_id=run.parent_id,
        root_uid=run.root_uid,
        depth=run.depth,
        retry_of_id=run.pk,
        attempt=run.attempt + 1,
        concurrency=run.concurrency,
        path_s=run.path_s,
        **deadline_rules.carried(run.deadline, has_started=run.started_at is not None),
    )
    return replace(same, **changed)


def queue_many(
    wanted: Sequence[Wanted], *, now: datetime, wake: bool = True
) -> list[Run]:
    """Queue runs inside the caller's transaction, each with its Event. `wake` the
    controller once they stand, unless it is the caller.

    Raises NotAllowedNow when an occurrence already has a live run of the agent.
    """
    fresh = [_row(w, now) for w in wanted]
    try:
        with transaction.atomic():
            insert(Run, fresh, known_by=("uid",))
    except IntegrityError as taken:
        raise NotAllowedNow("it already has a live run") from taken
    if wake:  # first: announcing them may take a moment
        wake_on_commit("queued")
    if any(requirements.MARK in run.queue_class for run in fresh):
        transaction.on_commit(nodes.look_around, robust=True)
    told = zip(wanted, fresh, strict=True)
    journal.record_many([run_journal.queued(w, run) for w, run in told])
    return fresh


def _row(w: Wanted, now: datetime) -> Run:
    spec = w.version.spec
    uid = new_uid()
    priority = w.agent.priority if w.priority is None else w.priority
    stated = spec.get("concurrency") if w.concurrency is None else w.concurrency
    concurrency = stated and groups.resolved(stated, w.params, w.agent.agent_id)
    limits = live_config.current().limits
    return Run(
        uid=uid,
        agent=w.agent,
        version=w.version,
        state=S.QUEUED,
        state_since=now,
        reason=w.why[:LONGEST_REASON],
        priority=priority,
        attempt=w.attempt,
        occurrence=w.occurrence,
        occurrence_key=w.occurrence_key or uid,
        schedule=w.schedule,
        retry_of_id=w.retry_of_id,
        parent_id=w.parent_id,
        root_uid=w.root_uid,
        depth=w.depth,
        params=dict(w.params),
        requested_by=w.requested_by,
        exec_env=spec["exec_env"],
        cpu_millis=spec["cpu_millis"],
        memory_bytes=spec["memory_bytes"],
        gpus=spec["gpus"],
        may_follow=may_follow(w, spec),
        queue_class=queue_class(spec, priority, w.pinned_node)
        + (RANKED if w.path_s else "")
        + gangs.mark(w.gang_size)
        + groups.mark(spec, concurrency, limits),
        concurrency=concurrency,
        path_s=w.path_s,
        pinned_node=w.pinned_node,
        gang=w.gang,
        timeout_s=w.timeout_s,
        due_at=w.due_at,
        queued_at=now,
        **deadline_rules.of(w, spec),
    )


def may_follow(w: Wanted, spec: Mapping[str, Any]) -> bool:
    """Whether anything may come after its end."""
    return bool(
        spec["kind"] == "persistent"
        or spec["cascades"]
        or spec["retries"]["limit"]
        or spec["hooks"]
        or spec.get("results")
        or spec.get("secrets")  # which are taken away
        or w.occurrence_key.startswith(GRAPH_KEY)
        or w.requested_by.startswith(BACKFILL)
    )


def queue_class(spec: Mapping[str, Any], priority: int, pinned: Node | None) -> str:
    """The name shared by runs that the planner cannot tell apart."""
    need = f"{spec['cpu_millis']}m/{spec['memory_bytes']}b/{spec['gpus']}g"
    where = f"@{pinned.pk}" if pinned else ""
    urgency = Priority.CRITICAL - priority
    return f"{urgency}/{spec['exec_env']}/{need}{where}{requirements.mark(spec)}"


def move_many(
    steps: Sequence[Step],
    *,
    before: RunState,
    to: RunState,
    actor: str,
    now: datetime,
    also_answer: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Take each run from `before` to `to` where state and token are as seen.

    Inside the caller's transaction. Every step sets the same further columns
    ("+token" raises the token by one). Returns the runs that moved, as
    batch_sql.ANSWER names them, with the columns of `also_answer`; who is missing was
    moved by somebody else.

    Raises NotAllowedNow if the table has no such step.
    """
    if not steps:
        return []
    if not allowed(before, to):
        raise NotAllowedNow(f"a run cannot go from {before} to {to}")
    basic = {"state": to, "state_since": now, "reason_code": ""}
    rows = [
        {
            **basic,
            "reason": step.reason[:LONGEST_REASON],
            **step.also_set,
            "id": step.id,
            "token": step.token,
        }
        for step in steps
    ]
    columns = [name for name in rows[0] if name not in ("id", "token")]
    moved = compare_and_set(
        rows, before=before, columns=columns, also_answer=also_answer
    )
    crash_points.reach("after_save_before_event")
    journal.record_many(
        [run_journal.moved(run, before, to, actor, now) for run in moved]
    )
    crash_points.reach("after_event")
    if to in FINAL:
        run_events.ended(moved, to, now)
    return moved


@transaction.atomic
def move(
    run: Run,
    to: RunState,
    *,
    actor: str,
    now: datetime,
    reason: str = "",
    **also_set: Any,
) -> Run:
    """Take one run from the state and token the caller saw to `to`, or raise.

    Raises NotAllowedNow if the table has no such step, ChangedMeanwhile if somebody
    else moved the run first.
    """
    seen = S(run.state)
    if not allowed(seen, to):
        raise NotAllowedNow(f"the run is {seen}; it cannot become {to}")
    step = Step(run.pk, run.token, reason, also_set)
    if not move_many([step], before=seen, to=to, actor=actor, now=now):
        raise ChangedMeanwhile(f"the run is no longer {seen}")
    run.refresh_from_db()
    return run


def stop(
    run: Run,
    *,
    actor: str,
    now: datetime,
    reason: str = "",
    stop_as: RunState = S.CANCELLED,
    grace_s: float | None = None,
    **also_set: Any,
) -> Run:
    """Ask the run to end: at once if nothing of it has begun, else through STOPPING.

    It ends as `stop_as` if the stop is what ended it. grace_s None: the agent's own.
    Stopping what is already stopping changes nothing.

    Raises NotAllowedNow when it is over, ChangedMeanwhile when it moved meanwhile.
    """
    why = reason or f"stopped by {actor}"
    if run.state in FINAL:
        raise NotAllowedNow(f"the run is over: it {run.state}")
    if run.state == S.STOPPING:
        return run
    if run.state not in HAS_PROGRAM:
        ended = {"ended_at": now}
        stopped = move(run, S.CANCELLED, actor=actor, now=now, reason=why, **ended)
        redis.wake("stopped")
        return stopped
    grace = run.version.spec["grace_s"] if grace_s is None else grace_s
    with transaction.atomic():
        run = move(
            run,
            S.STOPPING,
            actor=actor,
            now=now,
            reason=why,
            stop_as=stop_as,
            stop_grace_s=grace,
            **also_set,
        )
        tell_node_on_commit(run.node)
    return run


def tell_node_on_commit(node: Node | None) -> None:
    """Have the node look for runs to stop once the caller's transaction stands."""
    if node is not None:
        transaction.on_commit(partial(nodes.tell, node.name, "stop"), robust=True)


def note_waits(reasons: Mapping[int, tuple[str, str]], *, now: datetime) -> None:
    """Write why queued runs wait: id -> (code, text). Only call for a changed code."""
    for run_id, (code, text) in reasons.items():
        waiting = Run.objects.filter(pk=run_id, state=S.QUEUED)
        waiting = waiting.exclude(queue_class__startswith=lines.HELD)
        text = text[:LONGEST_REASON]
        if not waiting.update(reason_code=code, reason=text):
            continue
        run = waiting.select_related("agent").first()
        if run is not None:
            journal.record(
                "run.waiting",
                f"run:{run.uid}",
                actor="scheduler",
                at=now,
                agent=run.agent.agent_id,
                code=code,
                reason=text,
                priority=Priority(run.priority).word,
                due_at=iso(run.due_at),
                **run_journal.occurrence_of(run.occurrence_key),
            )


def note_started(run_id: int, facts: Mapping[str, Any]) -> None:
    """Keep when and as what a run started that is already being stopped."""
    Run.objects.filter(pk=run_id).update(**facts)


def wake_on_commit(reason: str) -> None:
    """Have the controller look once the caller's transaction stands."""
    transaction.on_commit(partial(redis.wake, reason), robust=True)
