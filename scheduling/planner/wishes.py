"""Where a class of runs wants to be among the nodes it could be on. Pure.

What a node is by itself (its labels, its name) is judged by whoever reads the world
and stands in QueueClass.unmet and Wishes.liked. Who else is there changes while a plan
is written, so neighbours are judged here, as the plan goes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

ANY_TAINT = "*"
Names = frozenset[str]  # what a run is called by others: "agent:db", "tag:noisy"


@dataclass(frozen=True, slots=True)
class Near:
    """To be with, or apart from, runs that are called `name`."""

    name: str
    apart: bool = False
    hard: bool = True
    weight: int = 1  # of a soft one

    def holds(self, here: Collection[str]) -> bool:
        return (self.name in here) != self.apart


@dataclass(frozen=True, slots=True)
class Wishes:
    liked: Mapping[str, int] = field(default_factory=dict)  # node -> weight
    near: tuple[Near, ...] = ()
    strategy: str = ""  # "": the snapshot's
    tolerates: tuple[str, ...] = ()  # taints it may be with


NO_WISHES = Wishes()


def tolerated(taint: str, tolerates: Collection[str]) -> bool:
    """ "gpu" and "gpu=a100" tolerate the taint "gpu=a100"; "*" tolerates all."""
    name = taint.partition("=")[0]
    return not {taint, name, ANY_TAINT}.isdisjoint(tolerates)


def liking(wishes: Wishes, node: str, here: Collection[str]) -> int:
    """How much the class likes the node; more is better."""
    soft = (n for n in wishes.near if not n.hard)
    return wishes.liked.get(node, 0) + sum(n.weight for n in soft if n.holds(here))


def unwanted(
    wishes: Wishes, own: Collection[str], here: Collection[str], anywhere: Names
) -> Near | None:
    """The first hard wish about neighbours that does not hold on a node.

    A run that wants to be with its own like may be the first of them.
    """
    for near in wishes.near:
        if not near.hard or near.holds(here):
            continue
        if near.apart or near.name not in own or near.name in anywhere:
            return near
    return None


def called(name: str) -> str:
    """For people: "agent:db" is "agent db"."""
    kind, _, rest = name.partition(":")
    return f"agent {rest}" if kind == "agent" else f"runs with the tag {rest}"
