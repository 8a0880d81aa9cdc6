"""Could a run start there? What a drag is told before the drop.

Two questions: does any node ever fit its needs, and is there room beside what runs and
what is planned then. The second is a forecast: a run without room waits, it is not
lost.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from agents import live_config
from agents.errors import Refused
from agents.http import iso
from agents.models import Agent, Node
from scheduling import durations, window_bars, wish_list
from scheduling.free_room import LOOK_AHEAD, Busy, Load, Profile, free_place
from scheduling.models import Run
from scheduling.planned import Outlook, outlooks
from scheduling.planner.wishes import tolerated
from scheduling.run_state import FINAL, RunState
from scheduling.triggers.spans import span

LONGEST = timedelta(hours=6)  # an earlier start than this does not reach into it
HOLDING = "NOT ({table}.state IN ({states}))".format(
    table=Run._meta.db_table,
    states=", ".join(f"'{s}'" for s in sorted(FINAL | {RunState.QUEUED})),
)
ROOM_NAMES = {
    "slots": "the limit of agents at once",
    "cpu_millis": "CPU",
    "memory_bytes": "memory",
    "gpus": "GPU",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    start: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    feasible: bool
    reason: str | None = None
    conflicts: tuple[str, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()


def verdict(
    agent: Agent,
    start: datetime,
    end: datetime | None,
    *,
    exclude_occurrence: str,
    now: datetime,
    node: Node | None = None,
) -> Verdict:
    """Whether a run of the agent could start at `start`. `end` None: it takes as long
    as its runs usually do."""
    nodes = [node] if node is not None else list(Node.objects.all())
    missing = never_fits(agent.spec, nodes)
    if missing is not None:
        return Verdict(False, missing)
    nodes = [node for node in nodes if not missing_on(node, agent.spec)]
    fell = _fall(agent, start, node)
    conflicts, later = _told(fell)
    if fell is not None and fell.policy == "skip":
        return Verdict(False, conflicts[0], conflicts, later)
    took = durations.expected(now)
    length = (
        end - start
        if end is not None
        else timedelta(seconds=took.get(agent.pk, durations.UNKNOWN_S))
    )
    room = room_of(nodes)
    need = load_of(agent.spec)
    until = start + LOOK_AHEAD + length
    busy = busy_in(start, until, exclude_occurrence, took, now, nodes)
    profile = Profile.of(busy)
    beyond = profile.beyond(start, start + length, need, room)
    if not nodes or not beyond:
        return Verdict(True, None, conflicts, later)
    what = " and ".join(ROOM_NAMES[name] for name in beyond)
    text = f"exceeds {what} for part of {span(length)}; it will queue"
    free = free_place(profile, start, length, need, room)
    if free is None:
        return Verdict(True, None, (*conflicts, text), later)
    text += f", expected start {iso(free)}"
    room_at = Suggestion(free, f"room from {iso(free)}")
    return Verdict(True, None, (*conflicts, text), (*later, room_at))


BECOMES = {
    "skip": "it will be skipped",
    "shift": "it will be moved to its end",
    "queue": "it will wait until it is over",
}


def _fall(agent: Agent, start: datetime, node: Node | None) -> window_bars.Fall | None:
    return window_bars.fall(
        window_bars.kept(),
        start,
        agent_pk=agent.pk,
        priority=agent.priority,
        node=node.name if node else "",
    )


def refuse_windows(agent: Agent, start: datetime, node: Node | None = None) -> None:
    """Raises Refused for a start that a window would have skipped, with the window and
    when it is free of it."""
    fell = _fall(agent, start, node)
    if fell is None or fell.policy != "skip":
        return
    (text,), free = _told(fell)
    said = "; ".join([text, *(one.text for one in free)])
    raise Refused(f"{iso(start)} {said}", {"start": [said]})


def _told(
    fell: window_bars.Fall | None,
) -> tuple[tuple[str, ...], tuple[Suggestion, ...]]:
    """What windows of time make of a start, and when it is free of them."""
    if fell is None:
        return (), ()
    text = f"falls into {fell.name}; {BECOMES[fell.policy]}"
    if fell.until is None:
        return (text,), ()
    free = Suggestion(fell.until, f"free of {fell.name} from {iso(fell.until)}")
    return (text,), (free,)


def never_fits(spec: Mapping[str, Any], nodes: Sequence[Node]) -> str | None:
    """Why no node could ever run it, naming what is missing; None when one could."""
    faults = [missing_on(node, spec) for node in nodes]
    if not faults or not all(faults):
        return None
    nearest = min(faults, key=len)
    where = nodes[0].name if len(nodes) == 1 else "no node fits; the nearest"
    return f"{where}: {', '.join(nearest)}"


def missing_on(node: Node, spec: Mapping[str, Any]) -> list[str]:
    found = []
    if spec["exec_env"] not in node.environments:
        found.append(f"it has no {spec['exec_env']}")
    if spec["gpus"] > (has := len(node.devices) or node.gpus):  # one twice is one
        found.append(f"needs {spec['gpus']} GPU, it has {has}")
    if spec["cpu_millis"] > node.cpu_millis:
        cores = f"{spec['cpu_millis'] / 1000:g} cores"
        found.append(f"needs {cores}, it has {node.cpu_millis / 1000:g}")
    if spec["memory_bytes"] > memory_of(node):
        size = f"{spec['memory_bytes'] / 1e9:g} GB"
        found.append(f"needs {size}, it may give {memory_of(node) / 1e9:.1f} GB")
    return found + misplaced_on(node, spec)


def misplaced_on(node: Node, spec: Mapping[str, Any]) -> list[str]:
    """What of its placement the node does not hold, neighbours apart: they come and
    go."""
    placement, found = spec.get("placement") or {}, list[str]()
    if bar := wish_list.bar_of(placement, node.name, node.labels):
        found.append(f"it {bar.text}")
    for taint in sorted(node.taints):
        if not tolerated(taint, placement.get("tolerate", ())):
            found.append(f"it does not tolerate {taint}")
    wanted, has = spec.get("bandwidth_bps"), node.bandwidth_bps
    if wanted and has is not None and wanted > has:
        found.append(f"needs {wanted / 1e6:g} Mbit/s, it has {has / 1e6:g}")
    return found


def memory_of(node: Node) -> int:
    """What of the node's memory agents may have together."""
    return int(node.memory_bytes * live_config.current().max_memory_fraction)


def room_of(nodes: Iterable[Node]) -> Load:
    room = Load(slots=live_config.current().max_concurrent_agents)
    for node in nodes:
        if node.state == "up" and not node.cordoned and not node.draining:
            room = room.plus(Load(0, node.cpu_millis, memory_of(node), node.gpus))
    return room


def load_of(spec: Mapping[str, Any]) -> Load:
    return Load(1, spec["cpu_millis"], spec["memory_bytes"], spec["gpus"])


def busy_in(
    start: datetime,
    end: datetime,
    exclude_occurrence: str,
    took: Mapping[int, float],
    now: datetime,
    nodes: Sequence[Node],
) -> list[Busy]:
    """What runs now and what is planned, as far as it reaches into [start, end). What
    runs on other nodes than these only has its slot."""
    ahead = outlooks(max(now, start - LONGEST), end, now=now)
    planned = [o for o in ahead if o.count]
    agents = {o.schedule.agent_id for o in planned}
    specs = {
        a.pk: load_of(a.spec)
        for a in Agent.objects.filter(pk__in=agents).select_related("current")
    }
    busy = list(running(now, took, {node.pk for node in nodes}))
    for outlook in planned:
        pk = outlook.schedule.agent_id
        length = timedelta(seconds=took.get(pk, durations.UNKNOWN_S))
        busy += planned_busy(outlook, specs[pk], length, exclude_occurrence, end)
    return [b for b in busy if b.start < end and b.end > start]


def planned_busy(
    outlook: Outlook, load: Load, length: timedelta, exclude: str, end: datetime
) -> Iterable[Busy]:
    if outlook.is_band and outlook.first_at is not None:
        whole = max(end - outlook.first_at, length)
        at_once = ceil(outlook.count * length / whole)
        if outlook.schedule.overlap != "allow_all":
            at_once = min(at_once, 1)
        yield Busy(outlook.first_at, end, Load().plus(load, at_once))
    for instant in outlook.instants:
        if f"{outlook.schedule.uid}@{instant.key}" != exclude:
            yield Busy(instant.due_at, instant.due_at + length, load)


def running(
    now: datetime, took: Mapping[int, float], nodes: Container[int]
) -> Iterable[Busy]:
    """Runs that hold resources, until they probably end; persistent ones for good."""
    holding = RawSQL(HOLDING, [], output_field=BooleanField())  # type: ignore[no-untyped-call]
    rows = Run.objects.filter(holding).values_list(
        "agent_id",
        "agent__kind",
        "started_at",
        "cpu_millis",
        "memory_bytes",
        "gpus",
        "node_id",
    )
    for agent, kind, started_at, *need, node in rows:
        length = timedelta(seconds=took.get(agent, durations.UNKNOWN_S))
        ends = max((started_at or now) + length, now + timedelta(seconds=1))
        if kind == "persistent":
            ends = now + timedelta(days=3_660)
        load = Load(1, *need) if node is None or node in nodes else Load(1)
        yield Busy(now, ends, load)
