"""The timeline: what ran, runs and will run between two instants, in rows.

Past and live runs come from their rows, what is to come from the schedules. The
answer is bounded: where there is more than fits, the busiest rows and schedules
become bands that say how many there are, and `capped` says that this happened.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast

from django.db.models import Max

from agents.models import Agent, Event, Node
from agents.priority import Priority
from scheduling import (
    deadline_views,
    durations,
    gangs,
    graph_runs,
    hot_reads,
    planned,
    queries,
    timeline_passed,
    timeline_runs,
    windows,
)
from scheduling.models import Graph, Schedule
from scheduling.planned import Outlook, Planned
from scheduling.run_ends import STARTED
from scheduling.run_state import FINAL, RunState
from scheduling.timeline_passed import Passed
from scheduling.timeline_runs import Column, RunItem, Window

Group = Literal["agent", "node", "priority", "tag"]
GROUPS: tuple[Group, ...] = ("agent", "node", "priority", "tag")
COLUMN: Mapping[Group, Column] = {
    "agent": "agent_id",
    "tag": "agent_id",  # a tag's row is that of the agents that carry it
    "node": "node_id",
    "priority": "priority",
}
LEAST_S = durations.LEAST_S
NO_TAG, NO_NODE = "untagged", "unplaced"
LEAST_OF_A_ROW = 400  # a row with fewer runs is a band only if nothing else helps
MOST_BANDS = 1000
STEPS_OF_A_ROW = (2, 96)  # bands of one row, at least and at most
Item = dict[str, Any]
Key = int | str | None  # a row's value of `column`, or the uid of a schedule


@dataclass(frozen=True, slots=True)
class Asked:
    start: datetime
    end: datetime
    group: Group = "agent"
    q: str = ""
    max_items: int = 5000


class Timeline:
    """One answer being put together: what is looked up once and used for each item."""

    def __init__(self, asked: Asked, now: datetime) -> None:
        self.asked = asked
        self.now = now
        self.agents = {a.pk: a for a in Agent.objects.select_related(None)}
        self.shown = [a for a in self.agents.values() if matches(a, asked.q)]
        chosen = {a.pk for a in self.shown} if asked.q else None
        self.window = Window(asked.start, asked.end, chosen)
        self.column = COLUMN[asked.group]
        self.nodes = dict(Node.objects.values_list("pk", "name"))
        self.kinds = dict(Schedule.objects.values_list("uid", "kind"))
        self.reasons = timeline_runs.waiting_reasons()
        self.expected = durations.expected(now)
        self.known = durations.quantiles(now)
        self.graph_lengths: dict[str, float] = {}

    def answer(self) -> dict[str, Any]:
        asked = self.asked
        outlooks = planned.outlooks(
            asked.start, asked.end, now=self.now, agents=self.window.agents
        )
        counts = timeline_runs.counts(self.window, self.column)
        whole = self.chosen(counts, outlooks)
        items = [self.run_item(run) for run in self.read_runs(counts, whole)]
        bands = list(self.run_bands(counts, whole))
        for outlook in outlooks:
            if outlook.schedule.uid in whole:
                items += self.planned_items(outlook)
            else:
                bands.append(self.planned_band(outlook))
        passed, more = timeline_passed.read(self.window)
        passed_over = [self.passed_item(one) for one in passed]
        used = {one["row"] for told in (items, bands, passed_over) for one in told}
        return {
            "rows": self.rows(used),
            "items": items,
            "bands": bands,
            "passed_over": passed_over,
            "capped": bool(bands) or more,
            "windows": windows.bands(asked.start, asked.end),
            "version": Event.objects.aggregate(last=Max("id"))["last"] or 0,
            "now": self.now,
        }

    def chosen(
        self, counts: Mapping[int | None, int], outlooks: Collection[Outlook]
    ) -> set[Key]:
        """Rows and schedules shown item by item; the others are bands."""
        sizes: list[tuple[int, Key]] = [(size, key) for key, size in counts.items()]
        sizes += [(o.count, o.schedule.uid) for o in outlooks if not o.is_band]
        room = self.asked.max_items
        return fitting(sizes, room=room, most=max(LEAST_OF_A_ROW, room // 10))

    def read_runs(
        self, counts: Mapping[int | None, int], whole: Collection[Key]
    ) -> list[RunItem]:
        """All runs of the rows shown item by item; of the others what is live."""
        keep = [key for key in counts if key in whole]
        if len(keep) == len(counts):
            return timeline_runs.read(self.window)
        runs = timeline_runs.read_of(self.window, self.column, keep)
        return runs + timeline_runs.live_except(self.window, self.column, keep)

    # items

    def run_item(self, run: RunItem) -> Item:
        agent = self.agents[run.agent_id]
        schedule, at, _ = run.occurrence_key.partition("@")
        over = run.state in FINAL
        end = seen_end(run) if over else self.expected_end(run, agent)
        return {
            "id": run.uid,
            "run": run.uid,
            "occurrence": gangs.occurrence_of(run.occurrence_key) if at else None,
            "schedule": schedule if at else None,
            "graph_run": queries.graph_run_of(run.occurrence_key),
            "row": self.row_of(agent, run.node_id, run.priority),
            "agent": agent.agent_id,
            "start": run.start,
            "end": end,
            "end_p95": None if over else self.latest_end(run, agent),
            "state": run.state,
            "moved": bool(run.moved),
            "repeating": bool(at) and self.kinds.get(schedule) != "run_at",
            "movable": False,
            "why": self.why(run),
            "priority": Priority(run.priority).word,
            "progress": run.progress,
            "end_movable": run.state in STARTED and agent.kind != "persistent",
            **deadline_views.told(run._asdict() if run.deadline else UNBOUND),
        }

    def why(self, run: RunItem) -> str | None:
        if run.state == RunState.QUEUED:
            return run.reason or self.reasons.get(run.queue_class)
        return run.reason or None if run.state != RunState.SUCCEEDED else None

    def expected_end(self, run: RunItem, agent: Agent) -> datetime:
        """When a live run will probably end: later than now, as it has not."""
        if agent.kind == "persistent" and run.state != RunState.QUEUED:
            return max(self.asked.end, self.now)
        begin = datetime.fromisoformat(run.start)
        if run.state == RunState.QUEUED:
            begin = max(begin, self.now)
        return max(begin + self.length(agent.pk), self.now)

    def latest_end(self, run: RunItem, agent: Agent) -> datetime | None:
        """When 95 of 100 runs like it have ended; None: nobody knows."""
        if agent.kind == "persistent" or (took := self.known.get(agent.pk)) is None:
            return None
        begin = datetime.fromisoformat(run.start)
        if run.state == RunState.QUEUED:
            begin = max(begin, self.now)
        return begin + timedelta(seconds=max(took.p95, LEAST_S))

    def length(self, agent: int, limit_s: float | None = None) -> timedelta:
        length_s = self.expected.get(agent, durations.UNKNOWN_S)
        return timedelta(seconds=min(length_s, limit_s or length_s))

    def planned_items(self, outlook: Outlook) -> Iterator[Item]:
        schedule = outlook.schedule
        agent = self.agents[schedule.agent_id]
        priority = agent.priority if schedule.priority is None else schedule.priority
        same = {
            "run": None,
            "schedule": schedule.uid,
            "graph": schedule.graph or None,
            "agent": agent.agent_id,
            "state": "planned",
            "repeating": schedule.kind != "run_at",
            "movable": True,
            "why": None,
            "priority": Priority(priority).word,
            "progress": None,
            "end_movable": False,
            **deadline_views.NONE,
        }
        (version,) = hot_reads.specs({agent.current_id or 0}).values()
        spec = version.get("deadlines")
        for one in outlook.instants:
            occurrence = f"{schedule.uid}@{one.key}"
            latest, p90 = self.planned_latest(schedule, one)
            yield {
                **same,
                "id": occurrence,
                "occurrence": occurrence,
                "row": self.row_of(agent, one.node_id, priority),
                "start": one.due_at,
                "end": one.due_at + self.planned_length(schedule, one),
                "end_p95": latest,
                "moved": one.moved,
                **deadline_views.planned(
                    one.due_at, spec, schedule.deadlines, expected=p90, now=self.now
                ),
            }

    def planned_latest(
        self, schedule: Schedule, one: Planned
    ) -> tuple[datetime | None, datetime | None]:
        """When 95, and when 90, of 100 runs like it would have ended."""
        took = self.known.get(schedule.agent_id)
        endless = self.agents[schedule.agent_id].kind == "persistent"
        if took is None or endless or schedule.graph:
            return None, None
        limit_s = one.timeout_s or schedule.timeout_s
        p95, p90 = (
            one.due_at + timedelta(seconds=max(min(s, limit_s or s), LEAST_S))
            for s in (took.p95, took.p90)
        )
        return p95, p90

    def planned_length(self, schedule: Schedule, one: Planned) -> timedelta:
        if schedule.graph:
            return timedelta(seconds=self.graph_length_s(schedule.graph))
        return self.length(schedule.agent_id, one.timeout_s or schedule.timeout_s)

    def graph_length_s(self, name: str) -> float:
        """Of the longest way through the graph."""
        if name not in self.graph_lengths:
            found = Graph.objects.filter(name=name).first()
            took = graph_runs.longest_s(found.spec, self.now) if found else LEAST_S
            self.graph_lengths[name] = took
        return self.graph_lengths[name]

    def passed_item(self, one: Passed) -> Item:
        agent = self.agents[one.agent_id]
        priority = agent.priority if one.priority is None else one.priority
        return {
            "id": one.id,
            "schedule": one.schedule,
            "row": self.row_of(agent, one.node_id, priority),
            "agent": agent.agent_id,
            "start": one.start,
            "end": one.end,
            "count": one.count,
            "state": one.state,
            "why": one.reason,
            "priority": Priority(priority).word,
        }

    # bands

    def run_bands(
        self, counts: Mapping[int | None, int], whole: Collection[Key]
    ) -> Iterator[dict[str, Any]]:
        keep = [key for key in counts if key in whole]
        if len(keep) == len(counts):
            return
        least, most = STEPS_OF_A_ROW
        steps = min(max(MOST_BANDS // (len(counts) - len(keep)), least), most)
        width = (self.asked.end - self.asked.start) / steps
        width_s = width.total_seconds()
        counted = timeline_runs.buckets(self.window, self.column, keep, width_s)
        for key, bucket, count, failed in counted:
            begin = self.asked.start + width * min(bucket, steps - 1)
            yield {
                "row": self.row_of_key(key),
                "from": begin,
                "to": begin + width,
                "count": count,
                "failed": failed,
                "label": f"{count} runs" + (f", {failed} failed" if failed else ""),
            }

    def planned_band(self, outlook: Outlook) -> dict[str, Any]:
        schedule = outlook.schedule
        agent = self.agents[schedule.agent_id]
        priority = agent.priority if schedule.priority is None else schedule.priority
        whole = (*outlook.instants[:1], *outlook.instants[-1:])
        first = whole[0].due_at if whole else outlook.first_at
        last = whole[-1].due_at if whole else outlook.last_at
        return {
            "row": self.row_of(agent, None, priority),
            "from": first,
            "to": last,
            "count": outlook.count,
            "failed": 0,
            "label": f"{outlook.count} planned",
            "schedule": schedule.uid,
        }

    # rows

    def row_of(self, agent: Agent, node: int | None, priority: int) -> str:
        match self.asked.group:
            case "agent":
                return agent.agent_id
            case "tag":
                return agent.tags[0] if agent.tags else NO_TAG
            case "node":
                return self.nodes[node] if node is not None else NO_NODE
            case "priority":
                return Priority(priority).word

    def row_of_key(self, key: int | None) -> str:
        """The row of a value of `column`."""
        if self.column == "agent_id":
            return self.row_of(self.agents[cast(int, key)], None, 0)
        if self.column == "node_id":
            return self.nodes[key] if key is not None else NO_NODE
        return Priority(cast(int, key)).word

    def rows(self, used: set[str]) -> list[dict[str, Any]]:
        """All rows in order; the agents asked for have one even when nothing is on."""
        if self.asked.group == "agent":
            shown = [
                a for a in self.shown if a.retired_at is None or a.agent_id in used
            ]
            status = queries.agent_status(shown)
            return [agent_row(a, status[a.pk]) for a in shown]
        names: Iterable[str] = sorted(used)
        if self.asked.group == "priority":
            names = [p.word for p in sorted(Priority, reverse=True)]
        if self.asked.group == "node":
            names = sorted(set(self.nodes.values()) | used)
        return [{**EMPTY_ROW, "id": name, "title": name} for name in names]


UNBOUND = {"deadline": None}
MINUTE = len("2027-01-31T09:00")
LEAST = timedelta(seconds=LEAST_S)
EMPTY_ROW = {"status": None, "priority": None, "kind": None, "exec_env": None}


def agent_row(agent: Agent, status: str) -> dict[str, Any]:
    return {
        "id": agent.agent_id,
        "title": agent.agent_id,
        "status": status,
        "priority": Priority(agent.priority).word,
        "kind": agent.kind,
        "exec_env": agent.exec_env,
    }


def seen_end(run: RunItem) -> str | datetime:
    """When it ended, and far enough from its start to be seen."""
    end = run.end or run.start
    if end[:MINUTE] != run.start[:MINUTE]:
        return end
    least = datetime.fromisoformat(run.start) + LEAST
    return end if datetime.fromisoformat(end) >= least else least


def matches(agent: Agent, q: str) -> bool:
    """Every word of `q` is in the agent's id or in one of its tags."""
    text = " ".join([agent.agent_id, *agent.tags]).casefold()
    return all(word in text for word in q.casefold().split())


def fitting(sizes: Iterable[tuple[int, Key]], *, room: int, most: int) -> set[Key]:
    """The smallest that fit into `room` together, none of them larger than `most`."""
    taken: set[Key] = set()
    for size, key in sorted(sizes, key=lambda one: (one[0], str(one[1]))):
        if size > most or size > room:
            break
        room -= size
        taken.add(key)
    return taken


def timeline(
    start: datetime,
    end: datetime,
    group: Group,
    q: str,
    max_items: int,
    now: datetime,
) -> dict[str, Any]:
    """Rows, items and bands of [start, end); see the module."""
    return Timeline(Asked(start, end, group, q, max_items), now).answer()
