"""Graphs of runs on drawn graphs: order, one end of a node, n of m, the long way."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.planner import dependencies
from scheduling.planner.dependencies import (
    FAILED,
    MEETS,
    ONS,
    OVER,
    SKIPPED,
    STARTED,
    SUCCEEDED,
    WAITING,
    Edge,
    Graph,
    Node,
)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any graph without a circle, its nodes in no special order."""
    names = draw(st.permutations([f"n{i}" for i in range(draw(st.integers(1, 9)))]))
    nodes = {}
    for number, name in enumerate(names):
        earlier = draw(st.sets(st.sampled_from(names[:number]))) if number else set()
        edges = tuple(Edge(e, draw(st.sampled_from(ONS))) for e in sorted(earlier))
        need = draw(st.integers(1, len(edges))) if edges else 0
        nodes[name] = Node(name, edges, need)
    shuffled = {name: nodes[name] for name in draw(st.permutations(names))}
    concurrency = draw(st.none() | st.integers(1, 3))
    return Graph(shuffled, concurrency, draw(st.booleans()))


def one_ends(states: dict[str, str], data: st.DataObject) -> None:
    running = sorted(name for name, state in states.items() if state == STARTED)
    if running:
        name = data.draw(st.sampled_from(running))
        states[name] = data.draw(st.sampled_from([SUCCEEDED, FAILED]))


@given(graphs(), st.data())
def test_every_node_ends_once_in_the_order_of_its_dependencies(
    graph: Graph, data: st.DataObject
) -> None:
    states = dict.fromkeys(graph.nodes, WAITING)
    started: list[str] = []
    while dependencies.outcome(graph, states) is None:
        step = dependencies.ready(graph, states)
        for name in step.start:
            node = graph.nodes[name]
            met = sum(states[e.node] in MEETS[e.on] for e in node.after)
            skipped = sum(
                e.node in step.skip and e.on == dependencies.FINISH for e in node.after
            )
            assert states[name] == WAITING
            assert met + skipped >= node.need
            states[name] = STARTED
            started.append(name)
        for name, why in step.skip.items():
            assert states[name] == WAITING
            assert why
            states[name] = SKIPPED
        running = sum(state == STARTED for state in states.values())
        assert graph.concurrency is None or running <= graph.concurrency
        over = dependencies.outcome(graph, states) is not None
        assert running or over, "it would wait for ever"
        one_ends(states, data)
    assert len(started) == len(set(started))
    assert all(state in OVER for state in states.values())
    assert {n for n, s in states.items() if s != SKIPPED} == set(started)


@given(graphs(), st.data())
def test_a_second_look_finds_nothing_further(graph: Graph, data: st.DataObject) -> None:
    drawn = st.sampled_from([WAITING, *OVER])
    states = {name: data.draw(drawn) for name in graph.nodes}
    step = dependencies.ready(graph, states)
    states |= dict.fromkeys(step.start, STARTED) | dict.fromkeys(step.skip, SKIPPED)
    again = dependencies.ready(graph, states)
    assert not again.start
    assert not again.skip


@given(graphs(), st.data())
def test_the_critical_path_is_the_longest_of_all_ways(
    graph: Graph, data: st.DataObject
) -> None:
    seconds = {name: float(data.draw(st.integers(0, 50))) for name in graph.nodes}
    path = dependencies.critical_path(graph, seconds)
    assert not graph.nodes[path[0]].after
    for first, then in pairwise(path):
        assert first in [edge.node for edge in graph.nodes[then].after]

    def longest_to(name: str) -> float:
        ways = [longest_to(edge.node) for edge in graph.nodes[name].after]
        return seconds[name] + max(ways, default=0.0)

    assert sum(seconds[n] for n in path) == max(map(longest_to, graph.nodes))


@pytest.mark.parametrize(
    ("need", "ended", "starts"),
    [
        (2, [SUCCEEDED, SUCCEEDED, STARTED], True),
        (2, [SUCCEEDED, FAILED, STARTED], False),
        (2, [SUCCEEDED, FAILED, SUCCEEDED], True),
        (1, [FAILED, FAILED, SUCCEEDED], True),
        (3, [SUCCEEDED, SUCCEEDED, STARTED], False),
    ],
)
def test_a_node_starts_when_n_of_m_are_met(
    need: int, ended: list[str], starts: bool
) -> None:
    graph = quorum(need)
    states = {**dict(zip("abc", ended, strict=True)), "last": WAITING}
    assert ("last" in dependencies.ready(graph, states).start) == starts


def test_it_is_skipped_with_the_reason_as_soon_as_n_of_m_cannot_come() -> None:
    states = {"a": FAILED, "b": FAILED, "c": STARTED, "last": WAITING}
    assert dependencies.ready(quorum(2), states).skip == {
        "last": "a failed, b failed; 2 of 3 needed"
    }


def quorum(need: int) -> Graph:
    edges = (Edge("a"), Edge("b"), Edge("c"))
    nodes = {name: Node(name) for name in "abc"} | {"last": Node("last", edges, need)}
    return Graph(nodes, stop_on_failure=False)


def line(*ons: str, stop: bool = True) -> Graph:
    """a, then b on the first word, then c on the second."""
    nodes = {"a": Node("a")}
    for first, then, on in zip("abc", "bcd", ons, strict=False):
        nodes[then] = Node(then, (Edge(first, on),), 1)
    return Graph(nodes, stop_on_failure=stop)


@pytest.mark.parametrize(
    ("on", "ended", "outcome"),
    [
        ("failure", FAILED, SUCCEEDED),  # somebody waited for it
        ("finish", FAILED, FAILED),  # tidying up is not dealing with it
        ("success", SUCCEEDED, SUCCEEDED),
    ],
)
def test_a_failure_counts_unless_a_node_reckoned_with_it(
    on: str, ended: str, outcome: str
) -> None:
    assert dependencies.outcome(line(on), {"a": ended, "b": SUCCEEDED}) == outcome


def test_after_a_failure_only_what_deals_with_one_still_starts() -> None:
    nodes = {
        "a": Node("a"),
        "other": Node("other"),
        "tidy": Node("tidy", (Edge("other", "finish"),), 1),
    }
    states = {"a": FAILED, "other": WAITING, "tidy": WAITING}
    stopping = dependencies.ready(Graph(nodes), states)
    assert stopping.skip == {"other": "a failed, and the graph stops on a failure"}
    assert stopping.start == ["tidy"]
    going_on = dependencies.ready(Graph(nodes, stop_on_failure=False), states)
    assert (going_on.start, going_on.skip) == (["other"], {})


def test_a_circle_is_named_in_its_order() -> None:
    before = {"c": ["b"], "b": ["a"], "a": ["c"], "d": ["a"]}
    assert dependencies.cycle_in(before) == ["a", "b", "c", "a"]
    assert dependencies.cycle_in({"a": ["a"]}) == ["a", "a"]
    assert dependencies.cycle_in({"b": ["a"]}) == []
