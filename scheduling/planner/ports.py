"""Which ports a run is given on its node. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from scheduling.planner.snapshot import PortWant


def choose(
    wants: Sequence[PortWant], taken: Container[int]
) -> dict[str, int] | PortWant:
    """A port for each name, none of them taken; else the first want without one.

    The narrowest ranges choose first: who may have any port leaves the others theirs.
    """
    found: dict[str, int] = {}
    for want in sorted(wants, key=lambda w: (w.last - w.first, w.first)):
        numbers = range(want.first, want.last + 1)
        given = set(found.values())
        port = next((n for n in numbers if n not in taken and n not in given), None)
        if port is None:
            return want
        found[want.name] = port
    return {want.name: found[want.name] for want in wants}


def why_none(want: PortWant, taken: Mapping[int, str], node: str) -> str:
    """For people: who has the port."""
    if want.first == want.last:
        return f"port {want.first} on {node} is taken by {taken[want.first]}"
    return f"no port of {want.first}-{want.last} is free on {node}"
