"""What a move of one occurrence means for the agents that follow its agent.

Those that are started by it follow by themselves. Those that wait for it and have a
schedule of their own may start late, or before it; they keep their times, or are moved
by as much in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from agents import requirements
from agents.errors import KosError, Refused
from agents.http import iso
from agents.models import Agent
from scheduling import durations, planned
from scheduling.kinds.event import source_of
from scheduling.models import Schedule
from scheduling.move_plans import Plan
from scheduling.move_targets import Target
from scheduling.planned import Planned
from scheduling.planner.followers import Follower, Link, busy, followers, judge
from scheduling.timetables import timetable_of
from scheduling.triggers.spans import span
from scheduling.triggers.words import day_and_time

Row = dict[str, Any]
LONGEST = timedelta(days=1)  # how far behind the moved one others are looked for
MOST = 200  # of them told, or moved along


@dataclass(slots=True)
class Downstream:
    rows: list[Row] = field(default_factory=list)
    refused: list[Row] = field(default_factory=list)  # those that cannot move along
    more: bool = False  # there are more than MOST

    @property
    def movable(self) -> list[Row]:
        return [row for row in self.rows if row["occurrence"] is not None]


def of(plan: Plan, now: datetime) -> Downstream:
    """Who follows the one that the plan moves, each with what would become of it."""
    target = plan.target
    if target.schedule.graph:
        return Downstream()  # its nodes are led by the graph itself
    agents = {a.agent_id: a for a in _agents()}
    name = target.schedule.agent.agent_id
    behind = followers(name, links(agents))
    if not behind:
        return Downstream()
    dues = _dues(target, [agents[one.agent].pk for one in behind], plan.scope, now)
    took = durations.expected(now)
    takes = {
        one: took.get(agent.pk, durations.UNKNOWN_S)
        for one, agent in agents.items()
        if agent.kind != "persistent"
    }
    found = Downstream()
    for one in behind:
        own = dues.get(agents[one.agent].pk, []) if one.via == "depends_on" else []
        rows = [_own(one, *due, plan, takes) for due in own] or [_by_itself(one)]
        found.rows += rows
    found.more = len(found.rows) > MOST
    del found.rows[MOST:]
    return found


def _agents() -> Iterator[Agent]:
    known = Agent.objects.filter(retired_at__isnull=True).select_related("current")
    return known.iterator()


def links(agents: Mapping[str, Agent]) -> list[Link]:
    """What leads from one agent to another, by definitions and by schedules."""
    found = []
    for name, agent in agents.items():
        for other in requirements.agents_of(agent.spec):
            found.append(Link(other, name, "depends_on"))
        for cascade in agent.spec["cascades"]:
            if cascade["agent"] in agents:
                found.append(Link(name, cascade["agent"], "cascades"))
    rows = Schedule.objects.filter(planned.ALIVE, kind="event", graph="")
    for rule, then in rows.values_list("rule", "agent__agent_id"):
        source, said = source_of(rule)
        if source == "run":
            found += [Link(one, then, "event") for one in _meant(said[source], agents)]
    return found


def _meant(said: Mapping[str, Any], agents: Mapping[str, Agent]) -> Iterator[str]:
    """The agents whose runs an event is about."""
    for name, agent in agents.items():
        if (
            said.get("agent") == name
            or said.get("tag") in agent.tags
            or said.get("capability") in agent.capabilities
        ):
            yield name


def _dues(
    target: Target, agents: Collection[int], scope: str, now: datetime
) -> dict[int, list[tuple[Schedule, Planned]]]:
    """What they have planned from the moved one on, until its own next. Of a series
    the first stands for all of it."""
    following = timetable_of(target.schedule).next_after(target.nominal_at)
    until = target.due_at + LONGEST
    if following is not None and following > target.due_at:
        until = min(until, following)
    found: dict[int, list[tuple[Schedule, Planned]]] = {}
    ahead = planned.outlooks(target.due_at, until, now=now, agents=agents)
    for outlook in ahead:
        if not outlook.schedule.graph:
            count = len(outlook.instants) if scope == "this" else 1
            own = [(outlook.schedule, one) for one in outlook.instants[:count]]
            found.setdefault(outlook.schedule.agent_id, []).extend(own)
    return found


def _by_itself(one: Follower) -> Row:
    first = one.path[-2]
    said = f"{one.agent} follows {first} by itself"
    if one.via == "depends_on":
        said = f"{one.agent} waits for {first}, and has nothing planned then"
    how = "keeps" if one.via == "depends_on" else "follows"
    return {
        **_who(one),
        **dict.fromkeys(("occurrence", "schedule", "due_at", "new_due_at")),
        **{"how": how, "late_s": 0, "text": said},
    }


def _who(one: Follower) -> Row:
    return {"agent": one.agent, "via": one.via, "path": list(one.path)}


def _own(
    one: Follower,
    schedule: Schedule,
    due: Planned,
    plan: Plan,
    takes: Mapping[str, float],
) -> Row:
    """One with a time of its own, as it would be if it kept that."""
    before = busy(one.path[:-1], plan.target.due_at, plan.wish.start, takes)
    how, late_s = judge(due.due_at, before)
    first, zone = one.path[-2], timetable_of(schedule).zone
    said = f"{one.agent} is due {day_and_time(due.due_at, zone)}"
    if how == "late":
        until = "serves" if before.serves else "has ended"
        end = day_and_time(before.end, zone)
        said += f" and would wait until {first} {until}, about {end}"
    elif how == "before":
        said += f", before {first}, and would go by what that made last"
    else:
        said += " and keeps its time"
    return {
        **_who(one),
        "occurrence": f"{schedule.uid}@{due.key}",
        "schedule": schedule.uid,
        "due_at": iso(due.due_at),
        "new_due_at": iso(due.due_at),
        **{"how": how, "late_s": round(late_s), "text": said},
    }


def shifted(row: Row, start: datetime, by: timedelta, zone: Any) -> None:
    """Say of a row that it was moved along."""
    how = f"{span(abs(by))} {'later' if by > timedelta() else 'earlier'}"
    said = f"{row['agent']} moves along, {how}, to {day_and_time(start, zone)}"
    row |= {"how": "shifted", "late_s": 0, "new_due_at": iso(start), "text": said}


def refuse(row: Row, why: KosError) -> Row:
    whose = {"agent": row["agent"], "occurrence": row["occurrence"]}
    return {**whose, "reason": str(why)}


def refusal(found: Downstream) -> Refused:
    first = found.refused[0]
    said = f"{first['agent']} cannot move along: {first['reason']}"
    return Refused(said, {"downstream": [said]}, {"downstream_refused": found.refused})
