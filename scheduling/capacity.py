"""How full the machines were and will be: the strip beneath the timeline.

What runs held in the past and what planned ones will probably hold, as a fraction of
what all nodes together offer, averaged over each step. It is drawn, not decided on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Sum

from agents import live_config
from agents.models import Agent, Node
from scheduling import durations, planned
from scheduling.batch_sql import database_instant
from scheduling.models import Run
from scheduling.planned import Outlook
from scheduling.timeline_runs import BEGAN, OVER, sql

MOST_STEPS = 2000
NAMES = ("cpu", "memory", "gpu", "slots")
Need = tuple[float, float, float, float]  # in the order of NAMES
NOTHING: Need = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Held:
    """Some room, from one instant to another (seconds since the epoch)."""

    begin_s: float
    end_s: float
    need: Need


def capacity(
    start: datetime, end: datetime, step_s: float, now: datetime
) -> dict[str, list[float]]:
    """{"times": [epoch s], "cpu": [fraction], …}, one value for each step."""
    begin_s = start.timestamp()
    steps = min(max(int((end.timestamp() - begin_s) // step_s), 1), MOST_STEPS)
    strip = Strip(begin_s, step_s, steps)
    for held in (*past(start, end, now), *to_come(start, end, now)):
        strip.add(held)
    offered = offer()
    times = [begin_s + step_s * n for n in range(steps)]
    return {"times": times, **strip.fractions(offered)}


class Strip:
    """Adds up what is held, step by step: each edge once, summed at the end."""

    def __init__(self, begin_s: float, step_s: float, steps: int) -> None:
        self.begin_s, self.step_s, self.steps = begin_s, step_s, steps
        self.levels = [[0.0] * (steps + 2) for _ in NAMES]  # changes of whole steps
        self.parts = [[0.0] * (steps + 2) for _ in NAMES]  # of the step of an edge

    def add(self, held: Held) -> None:
        """Held room counts in a step for the share of it that it covers."""
        low = max((held.begin_s - self.begin_s) / self.step_s, 0.0)
        high = min((held.end_s - self.begin_s) / self.step_s, float(self.steps))
        if low >= high:
            return
        for at, sign in ((low, 1.0), (high, -1.0)):
            step = int(at)
            before = sign * (at - step)  # the share of the step before the edge
            for level, part, need in zip(
                self.levels, self.parts, held.need, strict=True
            ):
                level[step] += sign * need
                part[step] -= before * need

    def fractions(self, offered: Need) -> dict[str, list[float]]:
        found = {}
        for name, level, part, whole in zip(
            NAMES, self.levels, self.parts, offered, strict=True
        ):
            total, values = 0.0, []
            for step in range(self.steps):
                total += level[step]
                held = max(total + part[step], 0.0)
                values.append(round(held / whole, 4) if whole else 0.0)
            found[name] = values
        return found


def offer() -> Need:
    """What all nodes that are up have together."""
    sums = Node.objects.filter(state="up").aggregate(
        cpu=Sum("cpu_millis"), memory=Sum("memory_bytes"), gpu=Sum("gpus")
    )
    slots = live_config.current().max_concurrent_agents
    return (sums["cpu"] or 0, sums["memory"] or 0, sums["gpu"] or 0, slots)


def past(start: datetime, end: datetime, now: datetime) -> Iterator[Held]:
    """Room that runs held, from admission to their end; live ones until now."""
    admitted, ended = sql("epoch", "run.admitted_at"), sql("epoch", "run.ended_at")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {admitted}, {ended}, run.cpu_millis, run.memory_bytes, run.gpus "
            f"FROM {Run._meta.db_table} run "
            f"WHERE (({OVER} AND run.ended_at >= %s) OR {BEGAN}) "
            "AND run.admitted_at < %s",
            [database_instant(start), database_instant(end)],
        )
        rows = cursor.fetchall()
    for begin_s, end_s, *need in rows:
        yield Held(begin_s, end_s or now.timestamp(), (*need, 1))


def to_come(start: datetime, end: datetime, now: datetime) -> Iterator[Held]:
    """Room that planned instants will need, for as long as their agents usually run."""
    expected = durations.expected(now)
    outlooks = planned.outlooks(max(start, now), end, now=now)
    agents = {o.schedule.agent_id for o in outlooks}
    specs = Agent.objects.filter(pk__in=agents).values_list("pk", "current__spec")
    needs = {pk: need_of(spec) for pk, spec in specs}
    for outlook in outlooks:
        agent = outlook.schedule.agent_id
        length_s = expected.get(agent, durations.UNKNOWN_S)
        yield from held_by(outlook, needs.get(agent, NOTHING), length_s)


def held_by(outlook: Outlook, need: Need, length_s: float) -> Iterator[Held]:
    if outlook.first_at is None or outlook.last_at is None:
        for one in outlook.instants:
            begin_s = one.due_at.timestamp()
            yield Held(begin_s, begin_s + length_s, need)
        return
    begin_s, end_s = outlook.first_at.timestamp(), outlook.last_at.timestamp()
    share = outlook.count * length_s / max(end_s - begin_s, length_s)
    cpu, memory, gpu, slots = (part * share for part in need)
    yield Held(begin_s, end_s, (cpu, memory, gpu, slots))


def need_of(spec: Mapping[str, Any]) -> Need:
    return (spec["cpu_millis"], spec["memory_bytes"], spec["gpus"], 1)
