"""The life of a graph's run: each node's run is queued when what it waits for is over.

The only writer of GraphRun and GraphNode rows. What follows from the end of a run is
written in the transaction that ends it (endings.py); a node's runs share one occurrence
key, so a node never has two live ones. What such a transaction could not do, the leader
finds and does in its housekeeping.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any

import orjson
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Exists, OuterRef, Q

from agents import journal
from agents.errors import ChangedMeanwhile, KosError, NotAllowedNow, NotFound
from agents.models import Agent
from agents.quantities import shown
from scheduling import durations, gangs, graph_gangs, runs
from scheduling.graph_input import NotThere, graph_of, references, resolved
from scheduling.graphs import check_agents
from scheduling.models import (
    Graph,
    GraphNode,
    GraphRun,
    Occurrence,
    Run,
    new_uid,
)
from scheduling.planner import dependencies
from scheduling.planner.dependencies import FAILED, SKIPPED, STARTED, WAITING
from scheduling.run_state import FINAL
from scheduling.runs import GRAPH_KEY, Wanted
from scheduling.schedule_input import MAX_PARAMS_BYTES

log = logging.getLogger(__name__)
ACTOR = "scheduler"
REPAIRED_AT_ONCE = 100
LONGEST_REASON = 300  # the column's width
COLUMNS = ("state", "reason", "run", "ended_at")


def find(uid: str) -> GraphRun:
    """Raises NotFound."""
    found = GraphRun.objects.filter(uid=uid).first() if uid.isascii() else None
    if found is None:
        raise NotFound(f"there is no graph run {shown(uid)}")
    return found


def key_of(uid: str, node: str) -> str:
    return f"{GRAPH_KEY}{uid}/{node}"


def node_of(key: str) -> tuple[str, str]:
    """The uid of the graph's run and the node of an occurrence key."""
    uid, _, node = key.removeprefix(GRAPH_KEY).partition("/")
    return uid, gangs.occurrence_of(node)


@transaction.atomic
def start(
    graph: Graph,
    *,
    params: Mapping[str, Any],
    actor: str,
    now: datetime,
    occurrence: Occurrence | None = None,
) -> GraphRun:
    """Run the graph as it is defined now, by hand or for an instant of a schedule.
    Raises Invalid when one of its agents is gone."""
    schedule = occurrence.schedule if occurrence else None
    check_agents(graph.spec)
    row = GraphRun.objects.create(
        uid=new_uid(),
        graph=graph,
        name=graph.name,
        version=graph.version,
        spec=graph_gangs.sized(graph.spec),
        params={**graph.spec["params"], **params},
        schedule=schedule,
        occurrence=occurrence,
        priority=schedule.priority if schedule else None,
        started_by=actor,
        started_at=now,
    )
    GraphNode.objects.bulk_create(
        [GraphNode(graph_run=row, name=node["name"]) for node in graph.spec["nodes"]]
    )
    _tell("started", row, actor, now)
    return advance(row.pk, now=now)


@transaction.atomic
def cancel(uid: str, *, actor: str, now: datetime) -> GraphRun:
    """Start nothing further of it and stop what runs. Raises NotAllowedNow when it is
    over."""
    row = _locked(find(uid).pk)
    if row.state != "running":
        raise NotAllowedNow(f"the graph run is over: it {row.state}")
    if row.cancelled_at is None:
        row.cancelled_at, row.cancelled_by = now, actor
        row.save(update_fields=["cancelled_at", "cancelled_by"])
        _tell("cancelling", row, actor, now)
    return advance(row.pk, now=now)


@transaction.atomic
def retry(uid: str, *, actor: str, now: datetime) -> GraphRun:
    """Go on from where it failed: nodes that succeeded keep their results, all others
    wait again. Raises NotAllowedNow while it runs, or when it succeeded."""
    row = _locked(find(uid).pk)
    if row.state == "running":
        raise NotAllowedNow("the graph run is not over; it can be retried when it is")
    unmade = row.nodes.exclude(state=dependencies.SUCCEEDED)
    if row.state == "succeeded" or not unmade.exists():
        raise NotAllowedNow("the graph run succeeded; start the graph again instead")
    unmade.update(state=WAITING, reason="", ended_at=None)
    row.state, row.reason, row.ended_at = "running", "", None
    row.cancelled_at, row.cancelled_by = None, ""
    row.attempt += 1
    row.save()
    _tell("retried", row, actor, now)
    return advance(row.pk, now=now)


def _locked(pk: int) -> GraphRun:
    return GraphRun.objects.select_for_update().get(pk=pk)


# -- what follows ------------------------------------------------------------------


def after_ends(keys: Iterable[str], *, now: datetime) -> None:
    """Runs of these occurrence keys ended, in the caller's transaction; do what follows
    for their graphs. A graph that cannot go on must not undo the ends: it is left to
    the next repair."""
    uids = {node_of(key)[0] for key in keys if key.startswith(GRAPH_KEY)}
    if uids:
        found = GraphRun.objects.filter(uid__in=uids, state="running").order_by("pk")
        _advance_each(found.values_list("pk", flat=True), now)


def repair(*, now: datetime) -> int:
    """Do what is due and was not done: for the leader, at each of its chores."""
    begun = GraphNode.objects.filter(graph_run=OuterRef("pk"), state=STARTED)
    ended = begun.filter(Q(run=None) | Q(run__state__in=sorted(FINAL)))
    stuck = GraphRun.objects.filter(Exists(ended) | ~Exists(begun), state="running")
    pks = list(stuck.order_by("pk").values_list("pk", flat=True)[:REPAIRED_AT_ONCE])
    _advance_each(pks, now)
    return len(pks)


def _advance_each(pks: Iterable[int], now: datetime) -> None:
    for pk in list(pks):
        try:
            with transaction.atomic():
                advance(pk, now=now)
        except (OperationalError, InterfaceError):
            raise  # the database is at fault, no graph is
        except Exception:  # poison-row guard
            log.exception("graph run %s cannot go on", pk)


def advance(pk: int, *, now: datetime) -> GraphRun:
    """Settle nodes that are over, start and skip what follows, end the whole when all
    is over. Inside the caller's transaction; the row's lock orders those who call."""
    row = _locked(pk)
    if row.state != "running":
        return row
    turn = Turn(row, now)
    turn.hear()
    if row.cancelled_at is not None:
        turn.call_off()
    while turn.go_on():
        continue
    turn.save()
    return row


class Turn:
    """One look at a graph's run: nodes and their runs as they are, and what changes."""

    def __init__(self, row: GraphRun, now: datetime) -> None:
        self.row, self.now = row, now
        self.graph = graph_of(row.spec)
        self.specs = {node["name"]: node for node in row.spec["nodes"]}
        self.nodes = {node.name: node for node in row.nodes.order_by("id")}
        self.changed: set[str] = set()
        self.newest: dict[str, list[Run]] = {}  # node -> of each member, first first
        self._seconds: dict[str, float] | None = None

    @property
    def states(self) -> dict[str, str]:
        return {name: node.state for name, node in self.nodes.items()}

    def hear(self) -> None:
        """What became of the runs that were started."""
        names = [name for name, node in self.nodes.items() if node.state == STARTED]
        keys = [key_of(self.row.uid, name) for name in names]
        together = any(graph_gangs.size_of(self.specs[name]) for name in names)
        found = graph_gangs.newest(self.row.uid, keys, has_gangs=together)
        for key in sorted(found, key=gangs.number_of):
            self.newest.setdefault(node_of(key)[1], []).append(found[key])
        for name in names:
            self._hear_of(name)

    def _hear_of(self, name: str) -> None:
        node, members = self.nodes[name], self.newest.get(name)
        if not members:
            self._end(name, FAILED, "its run is gone")
            return
        if node.run_id != members[0].pk:
            node.run = members[0]
            self.changed.add(name)
        if (end := graph_gangs.ended(members)) is not None:
            went_well, why = end
            self._end(name, dependencies.SUCCEEDED if went_well else FAILED, why)
            node.ended_at = max(run.ended_at or self.now for run in members)

    def call_off(self) -> None:
        for name, node in self.nodes.items():
            if node.state == WAITING:
                self._end(name, SKIPPED, f"cancelled by {self.row.cancelled_by}")
            elif node.state == STARTED:
                self._stop(name)

    def _stop(self, name: str) -> None:
        by = self.row.cancelled_by
        why = f"the graph run was cancelled by {by}"
        members = [
            run if run.state in FINAL else self._stopped(run, by, why)
            for run in self.newest[name]
        ]
        if (end := graph_gangs.ended(members)) is not None:
            self._end(name, FAILED, end[1])

    def _stopped(self, run: Run, by: str, why: str) -> Run:
        """As the run is after it was asked to end."""
        with suppress(NotAllowedNow, ChangedMeanwhile):
            return runs.stop(run, actor=by, now=self.now, reason=why)
        return run

    def go_on(self) -> bool:
        """Start and skip what follows; whether that settled something at once, so that
        more may follow."""
        step = dependencies.ready(self.graph, self.states)
        for name, why in step.skip.items():
            self._end(name, SKIPPED, why)
        started = self._start(step.start) if step.start else len(step.start)
        return started < len(step.start)

    def _start(self, names: Collection[str]) -> int:
        """Queue their runs, all together; returns how many could be."""
        wanted = {name: one for name in names if (one := self._wanted(name))}
        formed = {
            name: gangs.formed(one, graph_gangs.size_of(self.specs[name]))
            for name, one in wanted.items()
        }
        fresh = [member for members in formed.values() for member in members]
        queued = iter(runs.queue_many(fresh, now=self.now))
        for name, members in formed.items():
            node = self.nodes[name]
            node.state, node.reason = STARTED, ""
            node.run, *_ = islice(queued, len(members))
            node.ended_at = None
            self.changed.add(name)
        return len(formed)

    def _wanted(self, name: str) -> Wanted | None:
        """The node's run; None when it failed because it cannot be."""
        spec, before = self.specs[name], self.nodes[name].run
        try:
            agent = _runnable(spec["agent"])
            params = self._params(spec["params"])
        except (NotThere, KosError) as refused:
            self._end(name, FAILED, str(refused))
            return None
        assert agent.current is not None, "an agent is made together with a version"
        return Wanted(
            agent=agent,
            version=agent.current,
            requested_by=f"graph:{self.row.name}",
            due_at=self.now,
            occurrence_key=key_of(self.row.uid, name),
            params=params,
            priority=self.row.priority,
            timeout_s=spec["timeout"],
            root_uid=self.row.uid,
            retry_of_id=before.pk if before else None,
            attempt=before.attempt + 1 if before else 1,
            why=f"node {name} of graph {self.row.name}",
            path_s=self._lengths()[name],
        )

    def _params(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the graph's run, the node's own over them with results filled in."""
        asked = {name for name, _ in references(own)}
        found: dict[str, Any] = {}
        if asked:
            pks = {self.nodes[name].run_id: name for name in asked}
            ended = Run.objects.filter(pk__in=[pk for pk in pks if pk is not None])
            told = ended.filter(result__isnull=False).values_list("pk", "result")
            found = {pks[pk]: result for pk, result in told}
        params = {**self.row.params, **resolved(own, found)}
        if (size := len(orjson.dumps(params))) > MAX_PARAMS_BYTES:
            raise NotThere(
                f"its params would have {size} bytes, more than {MAX_PARAMS_BYTES}"
            )
        return params

    def _lengths(self) -> dict[str, float]:
        if self._seconds is None:
            took = seconds_of(self.row.spec, self.now)
            self._seconds = dependencies.lengths(self.graph, took)
        return self._seconds

    def _end(self, name: str, state: str, reason: str) -> None:
        node = self.nodes[name]
        node.state, node.reason = state, reason[:LONGEST_REASON]
        node.ended_at = self.now
        self.changed.add(name)
        data = {"node": name, "reason": node.reason}
        if state != dependencies.SUCCEEDED:
            _tell(f"node_{state}", self.row, ACTOR, self.now, **data)

    def save(self) -> None:
        nodes = [self.nodes[name] for name in sorted(self.changed)]
        GraphNode.objects.bulk_update(nodes, COLUMNS)
        ended = dependencies.outcome(self.graph, self.states)
        if ended is None:
            return
        row = self.row
        row.state = "cancelled" if row.cancelled_at is not None else ended
        failed = [name for name, state in self.states.items() if state == FAILED]
        if row.state == "cancelled":
            row.reason = f"cancelled by {row.cancelled_by}"
        elif row.state == FAILED:
            row.reason = f"{', '.join(failed)} failed"[:LONGEST_REASON]
        row.ended_at = self.now
        row.save(update_fields=["state", "reason", "ended_at"])
        _tell(row.state, row, ACTOR, self.now, reason=row.reason)


def _runnable(agent_id: str) -> Agent:
    """Raises NotAllowedNow for an agent that may not run, or never ends."""
    known = Agent.objects.select_related("current").filter(agent_id=agent_id)
    agent = known.first()
    if agent is None or agent.retired_at is not None:
        raise NotAllowedNow(f"{agent_id} is retired")
    if not agent.enabled:
        raise NotAllowedNow(f"{agent_id} is disabled; enable it first")
    if agent.kind == "persistent":
        raise NotAllowedNow(f"{agent_id} is persistent; it never ends")
    return agent


def seconds_of(spec: Mapping[str, Any], now: datetime) -> dict[str, float]:
    """How long each node will probably take."""
    names = {node["agent"] for node in spec["nodes"]}
    known = dict(Agent.objects.filter(agent_id__in=names).values_list("agent_id", "pk"))
    took = durations.expected(now)
    usual = durations.UNKNOWN_S
    return {
        node["name"]: took.get(known.get(node["agent"], 0), usual)
        for node in spec["nodes"]
    }


def longest_s(spec: Mapping[str, Any], now: datetime) -> float:
    """How long the longest way through the graph will probably take."""
    ways = dependencies.lengths(graph_of(spec), seconds_of(spec, now))
    return max(ways.values())


def retries_of(run: Run, own: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rule of retries of a node's run: the node may state another limit."""
    if not run.occurrence_key.startswith(GRAPH_KEY):
        return own
    uid, name = node_of(run.occurrence_key)
    spec = GraphRun.objects.filter(uid=uid).values_list("spec", flat=True).first()
    nodes = spec["nodes"] if spec else ()
    limit = next((n["retries"] for n in nodes if n["name"] == name), None)
    return own if limit is None else {**own, "limit": limit}


def _tell(kind: str, row: GraphRun, actor: str, now: datetime, **more: str) -> None:
    facts = {"graph": row.name, **more}
    subject = f"graph-run:{row.uid}"
    journal.record(f"graph_run.{kind}", subject, actor=actor, at=now, **facts)
