"""What may start next in a graph of runs, what never will, and its longest way. Pure.

A node waits for others, each by an edge that asks how they end. It starts when enough
of its edges are met, and is skipped as soon as that can no longer come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

WAITING, STARTED = "waiting", "started"
SUCCEEDED, FAILED, SKIPPED = "succeeded", "failed", "skipped"
STATES = (WAITING, STARTED, SUCCEEDED, FAILED, SKIPPED)
OVER = frozenset({SUCCEEDED, FAILED, SKIPPED})
SUCCESS, FAILURE, FINISH = "success", "failure", "finish"
ONS = (SUCCESS, FAILURE, FINISH)
MEETS = {  # what an edge asks for -> the ends of its node that meet it
    SUCCESS: frozenset({SUCCEEDED}),
    FAILURE: frozenset({FAILED}),
    FINISH: OVER,
}


@dataclass(frozen=True, slots=True)
class Edge:
    node: str
    on: str = SUCCESS


@dataclass(frozen=True, slots=True)
class Node:
    name: str
    after: tuple[Edge, ...] = ()
    need: int = 0  # how many of its edges must be met

    @property
    def needs_all(self) -> bool:
        return self.need >= len(self.after)


@dataclass(frozen=True, slots=True)
class Graph:
    nodes: Mapping[str, Node]
    concurrency: int | None = None  # nodes of one run at once
    stop_on_failure: bool = True


@dataclass(slots=True)
class Step:
    """What follows from the states as they are."""

    start: list[str] = field(default_factory=list)
    skip: dict[str, str] = field(default_factory=dict)  # node -> why


Ways = Mapping[str, Iterable[str]]  # each name with those that come before it


def cycle_in(before: Ways) -> list[str]:
    """One circle, in the order it goes round, its first name again at the end; []
    where there is none."""
    try:
        TopologicalSorter(before).prepare()
    except CycleError as found:
        circle: Sequence[str] = found.args[1]
        first = min(range(len(circle) - 1), key=lambda n: circle[n])
        return [*circle[first:-1], *circle[:first], circle[first]]
    return []


def ways(graph: Graph) -> dict[str, list[str]]:
    return {name: [e.node for e in node.after] for name, node in graph.nodes.items()}


def in_order(graph: Graph) -> list[str]:
    """Every node after those it waits for."""
    return list(TopologicalSorter(ways(graph)).static_order())


def before(graph: Graph, name: str) -> set[str]:
    """All that a node waits for, directly or through others."""
    found: set[str] = set()
    ahead = [edge.node for edge in graph.nodes[name].after]
    while ahead:
        if (one := ahead.pop()) not in found and one in graph.nodes:
            found.add(one)
            ahead += [edge.node for edge in graph.nodes[one].after]
    return found


def ready(graph: Graph, states: Mapping[str, str]) -> Step:
    """Which waiting nodes start now and which never will. One call is enough: what a
    skipped node decides for those behind it is part of the answer."""
    step, seen = Step(), dict(states)
    room = len(seen) if graph.concurrency is None else graph.concurrency
    room -= sum(state == STARTED for state in seen.values())
    failed = next((n for n, state in seen.items() if state == FAILED), None)
    stopped = failed if graph.stop_on_failure else None
    for name in in_order(graph):
        if seen[name] != WAITING:
            continue
        node = graph.nodes[name]
        if why := _never(node, seen, stopped):
            seen[name], step.skip[name] = SKIPPED, why
        elif room > 0 and _met(node, seen) >= node.need:
            seen[name] = STARTED
            step.start.append(name)
            room -= 1
    return step


def _met(node: Node, states: Mapping[str, str]) -> int:
    return sum(states[edge.node] in MEETS[edge.on] for edge in node.after)


def _never(node: Node, states: Mapping[str, str], stopped: str | None) -> str:
    """Why a waiting node will not start any more; "" while it may."""
    broken = [
        edge
        for edge in node.after
        if states[edge.node] in OVER and states[edge.node] not in MEETS[edge.on]
    ]
    if len(node.after) - len(broken) < node.need:
        said = [f"{edge.node} {states[edge.node]}" for edge in broken]
        wanted = f"{node.need} of {len(node.after)} needed" if len(said) > 1 else ""
        asked = {edge.on for edge in broken}
        told = wanted or f"it waits for {next(iter(asked))}"
        return f"{', '.join(said[:5])}; {told}"
    if stopped is not None and all(edge.on == SUCCESS for edge in node.after):
        return f"{stopped} failed, and the graph stops on a failure"
    return ""


def outcome(graph: Graph, states: Mapping[str, str]) -> str | None:
    """How the whole ended, None while it goes on. A failure counts unless a node that
    reckoned with it has started: one that waits for that failure, or one that needs
    only some of what it waits for."""
    if not all(state in OVER for state in states.values()):
        return None
    borne = {
        edge.node
        for node in graph.nodes.values()
        if states[node.name] in (SUCCEEDED, FAILED)
        for edge in node.after
        if edge.on == FAILURE or (edge.on == SUCCESS and not node.needs_all)
    }
    failed = {name for name, state in states.items() if state == FAILED}
    return FAILED if failed - borne else SUCCEEDED


def lengths(graph: Graph, seconds: Mapping[str, float]) -> dict[str, float]:
    """Of each node, how long the longest way from its start to the end of the graph
    takes, itself included."""
    behind: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for name, node in graph.nodes.items():
        for edge in node.after:
            behind[edge.node].append(name)
    found: dict[str, float] = {}
    for name in reversed(in_order(graph)):
        longest = max((found[later] for later in behind[name]), default=0.0)
        found[name] = seconds.get(name, 0.0) + longest
    return found


def critical_path(graph: Graph, seconds: Mapping[str, float]) -> list[str]:
    """The nodes of the longest way through the graph, first to last; of ways equally
    long the one that comes first by name."""
    left = lengths(graph, seconds)
    path: list[str] = []
    among = [name for name, node in graph.nodes.items() if not node.after]
    while among:
        path.append(min(among, key=lambda name: (-left[name], name)))
        here = path[-1]
        among = [
            name
            for name, node in graph.nodes.items()
            if any(edge.node == here for edge in node.after)
        ]
    return path
