"""Could a run start there? What a drag is told before the drop.

Two questions: does any node ever fit its needs, and is there room beside what runs and
what is planned then. The second is a forecast: a run without room waits, it is not
lost.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, NamedTuple

from django.db.models import BooleanField
from django.db.models.expressions import RawSQL

from agents import live_config
from agents.http import iso
from agents.models import Agent, Node
from scheduling import durations, window_bars
from scheduling.models import Run
from scheduling.planned import Outlook, outlooks
from scheduling.run_state import FINAL, RunState
from scheduling.triggers.spans import span

LOOK_AHEAD = timedelta(hours=12)  # how far the nearest free place is looked for
LONGEST = timedelta(hours=6)  # an earlier start than this does not reach into it
MOST_TRIES = 200  # free places tried
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


class Load(NamedTuple):
    """An amount of each thing that runs share."""

    slots: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0
    gpus: int = 0

    def plus(self, other: Load, times: int = 1) -> Load:
        a, b = self, other
        return Load(
            a[0] + times * b[0],
            a[1] + times * b[1],
            a[2] + times * b[2],
            a[3] + times * b[3],
        )

    def beyond(self, room: Load) -> list[str]:
        """Names of what is more than there is room for."""
        pairs = zip(self._fields, self, room, strict=True)
        return [name for name, asked, there in pairs if asked > there]


@dataclass(frozen=True, slots=True)
class Busy:
    """Something that holds `load` in [start, end)."""

    start: datetime
    end: datetime
    load: Load


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
    conflicts, later = _windows_at(agent, start, node)
    took = durations.expected(now)
    length = (
        end - start
        if end is not None
        else timedelta(seconds=took.get(agent.pk, durations.UNKNOWN_S))
    )
    room = room_of(nodes)
    need = load_of(agent.spec)
    busy = busy_in(start, start + LOOK_AHEAD, exclude_occurrence, took, now)
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


def _windows_at(
    agent: Agent, start: datetime, node: Node | None
) -> tuple[tuple[str, ...], tuple[Suggestion, ...]]:
    """What windows of time make of a start, and when it is free of them."""
    fell = window_bars.fall(
        window_bars.kept(),
        start,
        agent_pk=agent.pk,
        priority=agent.priority,
        node=node.name if node else "",
    )
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
) -> list[Busy]:
    """What runs now and what is planned, as far as it reaches into [start, end)."""
    ahead = outlooks(max(now, start - LONGEST), end, now=now)
    planned = [o for o in ahead if o.count]
    agents = {o.schedule.agent_id for o in planned}
    specs = {
        a.pk: load_of(a.spec)
        for a in Agent.objects.filter(pk__in=agents).select_related("current")
    }
    busy = list(running(now, took))
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


def running(now: datetime, took: Mapping[int, float]) -> Iterable[Busy]:
    """Runs that hold resources, until they probably end; persistent ones for good."""
    holding = RawSQL(HOLDING, [], output_field=BooleanField())  # type: ignore[no-untyped-call]
    rows = Run.objects.filter(holding).values_list(
        "agent_id",
        "agent__kind",
        "started_at",
        "cpu_millis",
        "memory_bytes",
        "gpus",
    )
    for agent, kind, started_at, cpu_millis, memory_bytes, gpus in rows:
        length = timedelta(seconds=took.get(agent, durations.UNKNOWN_S))
        ends = max((started_at or now) + length, now + timedelta(seconds=1))
        if kind == "persistent":
            ends = now + timedelta(days=3_660)
        yield Busy(now, ends, Load(1, cpu_millis, memory_bytes, gpus))


@dataclass(frozen=True, slots=True)
class Profile:
    """What is held over time: `held[i]` from `moments[i]` up to the next moment."""

    moments: list[datetime]
    held: list[Load]

    @classmethod
    def of(cls, busy: Iterable[Busy]) -> Profile:
        changes: dict[datetime, Load] = {}
        for b in busy:
            changes[b.start] = changes.get(b.start, Load()).plus(b.load)
            changes[b.end] = changes.get(b.end, Load()).plus(b.load, -1)
        moments, held, now_held = sorted(changes), [], Load()
        for moment in moments:
            now_held = now_held.plus(changes[moment])
            held.append(now_held)
        return cls(moments, held)

    def beyond(
        self, start: datetime, end: datetime, need: Load, room: Load
    ) -> list[str]:
        """Names of what runs out if `need` comes on top within [start, end)."""
        first = max(bisect_right(self.moments, start) - 1, 0)
        last = bisect_left(self.moments, end)
        names: list[str] = need.beyond(room)
        for held in self.held[first:last]:
            names += [n for n in held.plus(need).beyond(room) if n not in names]
        return names


def free_place(
    profile: Profile, start: datetime, length: timedelta, need: Load, room: Load
) -> datetime | None:
    """The first moment after `start` with room for the whole length, among those at
    which something changes."""
    first = bisect_right(profile.moments, start)
    for moment in profile.moments[first : first + MOST_TRIES]:
        end = moment + length
        if moment < start + LOOK_AHEAD and not profile.beyond(moment, end, need, room):
            whole = moment.replace(microsecond=0)
            return whole if whole == moment else whole + timedelta(seconds=1)
    return None
