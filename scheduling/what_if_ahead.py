"""What would become of the next hours, were schedules otherwise. Changes nothing.

The schedules are changed as asked in a transaction that is taken back; what they plan
then is stepped through by the planner, beside what they plan now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from agents.errors import Invalid, KosError
from agents.http import iso, wrong
from agents.models import Agent, Node
from scheduling import durations, feasibility, planned, runs, why_reader
from scheduling import schedules as service
from scheduling.models import Run
from scheduling.planner.ahead import Ahead, Coming, look_ahead
from scheduling.planner.forward import Running
from scheduling.planner.snapshot import (
    QueueClass,
    Resources,
    Snapshot,
    Unmet,
    WaitingRun,
)

Row = dict[str, Any]
ACTOR = "what-if"
HOURS, MOST_HOURS = 6, 48
MOST_CHANGES = 50  # of schedules, at once
MOST_INSTANTS = 100  # of one schedule
MOST_COMING = 500
FOR_GOOD_S = 366 * 86_400.0  # of an agent that never ends
LATE_S = 1.0


@dataclass(frozen=True, slots=True)
class One:
    """A planned run: what it is known by, and where it comes from."""

    name: str  # occurrence, or schedule and instant for one that is made
    agent: str
    schedule: str
    due_at: datetime
    never: bool  # no node could ever run it


@dataclass(slots=True)
class Plans:
    """What is planned of the next hours, as the planner reads it."""

    ones: dict[int, One] = field(default_factory=dict)
    coming: list[Coming] = field(default_factory=list)
    takes: dict[int, float] = field(default_factory=dict)
    capped: bool = False


class _NotKept(Exception):
    """Undoes what was changed to look at it."""


def hours_in(value: Any) -> timedelta:
    if value is None:
        return timedelta(hours=HOURS)
    if type(value) is not int or not 1 <= value <= MOST_HOURS:
        raise wrong("hours", f"expected a whole number from 1 to {MOST_HOURS}")
    return timedelta(hours=value)


def answer(
    given: Any, length: timedelta, before: Snapshot, after: Snapshot, now: datetime
) -> Row:
    """Raises Invalid naming the item at fault."""
    until = now + length
    plans = read(until, now)
    would_plan = Plans()
    try:
        with transaction.atomic():
            _change_all(given, now)
            would_plan = read(until, now)
            raise _NotKept
    except _NotKept:
        pass
    outlook = why_reader.read(now)
    running = list(outlook.running.values())
    was = _look(before, plans, running, outlook.takes, now, until)
    would = _look(after, would_plan, running, outlook.takes, now, until)
    return {
        "from": iso(now),
        "to": iso(until),
        "before": _summed(plans, was),
        "after": _summed(would_plan, would),
        "changes": _changes(plans, was, would_plan, would),
        "capped": plans.capped
        or would_plan.capped
        or not (was.complete and would.complete),
    }


def _change_all(given: Any, now: datetime) -> None:
    if not isinstance(given, list) or len(given) > MOST_CHANGES:
        raise wrong("schedules", f"expected a list of at most {MOST_CHANGES} changes")
    for number, item in enumerate(given, 1):
        try:
            _change(item, now)
        except KosError as fault:
            said = f"item {number}: {fault}"
            raise Invalid(f"schedules: {said}", {"schedules": [said]}) from None


def _change(item: Any, now: datetime) -> None:
    who: Row = {"actor": ACTOR, "now": now}
    match item:
        case {"add": dict(raw), **rest} if not rest:
            service.create(None, raw, **who)
        case {"id": str(uid), "change": dict(raw), **rest} if not rest:
            service.change(service.find(uid), raw, **who)
        case {"id": str(uid), "remove": True, **rest} if not rest:
            service.end(service.find(uid), **who)
        case _:
            raise Invalid("expected add, or id with change or remove")


def read(until: datetime, now: datetime) -> Plans:
    """Every instant up to then, as a run that joins the line when it is due."""
    plans = Plans()
    outlooks = planned.outlooks(now, until, now=now, most_walked=MOST_INSTANTS)
    pks = {outlook.schedule.agent_id for outlook in outlooks}
    known = Agent.objects.filter(pk__in=pks).select_related("current")
    agents = {agent.pk: agent for agent in known}
    nodes, took = list(Node.objects.all()), durations.expected(now)
    lines = {pk: _line(agent, nodes) for pk, agent in agents.items()}
    for outlook in outlooks:
        plans.capped |= outlook.is_band
        schedule, agent = outlook.schedule, agents[outlook.schedule.agent_id]
        ends = agent.kind != "persistent"
        took_s = took.get(agent.pk, durations.UNKNOWN_S) if ends else FOR_GOOD_S
        for due in outlook.instants:
            if len(plans.ones) == MOST_COMING:
                plans.capped = True
                return plans
            number = -1 - len(plans.ones)  # no run has it
            never = len(lines[agent.pk].unmet) == len(nodes)
            name = f"{schedule.uid}@{due.key}"
            plans.ones[number] = One(
                name, agent.agent_id, schedule.uid, due.due_at, never
            )
            plans.takes[number] = took_s
            priority = schedule.priority
            line = _with(lines[agent.pk], agent, number, due.due_at, priority)
            plans.coming.append(Coming(due.due_at, line))
    return plans


def _line(agent: Agent, nodes: list[Node]) -> QueueClass:
    spec = agent.spec
    unmet = {
        node.name: Unmet("never:node", ", ".join(missing))
        for node in nodes
        if (missing := feasibility.missing_on(node, spec))
    }
    need = Resources(spec["cpu_millis"], spec["memory_bytes"], spec["gpus"])
    return QueueClass("", spec["exec_env"], need, agent.priority, (), unmet=unmet)


def _with(
    line: QueueClass, agent: Agent, number: int, at: datetime, priority: int | None
) -> QueueClass:
    rank = agent.priority if priority is None else priority
    return QueueClass(
        f"{runs.queue_class(agent.spec, rank, None)}?{agent.pk}",
        line.environment,
        line.need,
        rank,
        (WaitingRun(number, 0, at, rank),),
        unmet=line.unmet,
    )


def _look(
    snapshot: Snapshot,
    plans: Plans,
    running: list[Running],
    takes: Mapping[int, float],
    now: datetime,
    until: datetime,
) -> Ahead:
    seconds = defaultdict(lambda: durations.UNKNOWN_S, {**takes, **plans.takes})
    return look_ahead(snapshot, running, seconds, plans.coming, now=now, until=until)


# -- what differs ----------------------------------------------------------------------


def _summed(plans: Plans, ahead: Ahead) -> Row:
    starts = {n: ahead.starts[n] for n in plans.ones if n in ahead.starts}
    late = [n for n, at in starts.items() if _seconds(plans.ones[n].due_at, at)]
    return {
        "planned": len(plans.ones),
        "starts": len(starts),
        "late": len(late),
        "never": sum(one.never for one in plans.ones.values()),
        "peak": {
            "cpu_millis": ahead.peak.cpu_millis,
            "memory_bytes": ahead.peak.memory_bytes,
            "gpus": ahead.peak.gpus,
            "slots": ahead.peak_slots,
        },
    }


def _changes(plans: Plans, was: Ahead, would_plan: Plans, would: Ahead) -> list[Row]:
    """What starts at another time, or not at all, or newly; then who waits now."""
    old = {one.name: (one, was.starts.get(n)) for n, one in plans.ones.items()}
    new = {o.name: (o, would.starts.get(n)) for n, o in would_plan.ones.items()}
    found = []
    of = {name: one for name, (one, _) in {**old, **new}.items()}
    for name, one in sorted(of.items(), key=lambda named: named[1].due_at):
        before, after = (side.get(name, (one, None))[1] for side in (old, new))
        what = _what(name in old, name in new, before, after, one.never)
        if what:
            own = {"agent": one.agent, "schedule": one.schedule, "run": None}
            found.append({**own, **_told(one.due_at, before, after, what)})
    return found + _waiting(was, would)


def _what(
    was_there: bool,
    is_there: bool,
    before: datetime | None,
    after: datetime | None,
    never: bool,
) -> str:
    if not is_there:
        return "gone"
    if never:
        return "infeasible" if not was_there else ""
    if not was_there:
        return "new"
    if before is None or after is None:
        pair = (before is None, after is None)
        return {(True, False): "earlier", (False, True): "later"}.get(pair, "")
    moved = _seconds(before, after)
    return "later" if moved > 0 else "earlier" if moved < 0 else ""


def _seconds(before: datetime, after: datetime) -> float:
    moved = (after - before).total_seconds()
    return moved if abs(moved) >= LATE_S else 0.0


def _told(
    due_at: datetime | None, before: datetime | None, after: datetime | None, what: str
) -> Row:
    by_s = None
    if before is not None and after is not None:
        by_s = (after - before).total_seconds()
    return {
        "due_at": iso(due_at),
        "before": iso(before),
        "after": iso(after),
        "what": what,
        "by_s": by_s,
    }


def _waiting(was: Ahead, would: Ahead) -> list[Row]:
    """Runs that wait now and would start at another time."""
    differ = {}
    for pk in {n for n in (*was.starts, *would.starts) if n > 0}:
        before, after = was.starts.get(pk), would.starts.get(pk)
        if what := _what(True, True, before, after, never=False):
            differ[pk] = (before, after, what)
    rows = Run.objects.filter(pk__in=differ).order_by("pk")
    names = rows.values_list("pk", "uid", "agent__agent_id", "due_at")
    return [
        {"agent": agent, "schedule": None, "run": uid, **_told(due, *differ[pk])}
        for pk, uid, agent, due in names
    ]
