"""The longest way through agents that wait for and trigger one another. Pure.

Those that wait never form a circle; those that trigger may. A trigger that closes a
circle is left out of the way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from scheduling.planner.dependencies import Edge, Graph, Node, critical_path

Way = tuple[str, str, bool]  # first, then, whether `then` waits for it


def longest_way(ways: Iterable[Way], seconds: Mapping[str, float]) -> list[str]:
    """First to last; [] where nothing leads anywhere."""
    before = without_circles(ways)
    nodes = {
        name: Node(name, tuple(Edge(one) for one in sorted(firsts)))
        for name, firsts in before.items()
    }
    return critical_path(Graph(nodes), seconds) if nodes else []


def without_circles(ways: Iterable[Way]) -> dict[str, set[str]]:
    """Each name with those before it; what waits first, then triggers in their order
    of names as long as they close no circle."""
    before: dict[str, set[str]] = defaultdict(set)
    for first, then, waits in sorted(set(ways), key=lambda way: (not way[2], *way)):
        if first == then or first in before.get(then, ()):
            continue
        if not waits and _comes_before(then, first, before):
            continue
        before[then].add(first)
        before[first] |= set()
    return dict(before)


def _comes_before(name: str, later: str, before: Mapping[str, set[str]]) -> bool:
    """Whether one leads to the other already."""
    seen: set[str] = set()
    ahead = [later]
    while ahead:
        here = ahead.pop()
        if here == name:
            return True
        if here not in seen:
            seen.add(here)
            ahead += before.get(here, ())
    return False
