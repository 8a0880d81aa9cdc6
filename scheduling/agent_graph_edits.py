"""One edge between two agents, made or taken away by hand.

`depends_on` stands in the definition of the one that follows, `cascades` in that of the
one that comes first: each edit is a new version of that agent, with its event, and the
other edit takes it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from agents import agent_registry
from agents.errors import AlreadyExists, NotAllowedNow, NotFound
from agents.http import fields_of, wrong
from agents.models import Agent
from scheduling import agent_graph

KEYS = ("from", "to", "kind", "on", "base_version", "dry_run")
KINDS = ("depends_on", "cascades")
ONS = ("success", "failure", "finish")


@dataclass(frozen=True, slots=True)
class EdgeWish:
    first: str
    then: str
    kind: str
    on: str | None  # of a cascade; None: the usual, or all of them to take away
    base_version: int | None
    dry_run: bool

    @property
    def changed(self) -> str:
        """The agent whose definition says it."""
        return self.then if self.kind == "depends_on" else self.first


def parse(raw: Any) -> EdgeWish:
    """Raises Invalid naming the key at fault."""
    given = fields_of(raw, allowed=KEYS, required=("from", "to"))
    for name in ("from", "to"):
        if not isinstance(given[name], str) or not given[name]:
            raise wrong(name, "expected the id of an agent")
    kind, on = given.get("kind", "depends_on"), given.get("on")
    if kind not in KINDS:
        raise wrong("kind", f"expected one of {', '.join(KINDS)}")
    if on is not None and (kind != "cascades" or on not in ONS):
        said = f"expected one of {', '.join(ONS)}"
        raise wrong("on", said if kind == "cascades" else "only a cascade has it")
    version, dry_run = given.get("base_version"), given.get("dry_run", False)
    if version is not None and (type(version) is not int or version < 1):
        raise wrong("base_version", "must be the number of a version")
    if not isinstance(dry_run, bool):
        raise wrong("dry_run", "expected true or false")
    return EdgeWish(given["from"], given["to"], kind, on, version, dry_run)


class _NotKept(Exception):
    """Undoes what a dry run did."""


def edit(wish: EdgeWish, *, add: bool, rights: Mapping[str, Any]) -> dict[str, Any]:
    """Make the edge, or take it away. A dry run tells the same and leaves nothing.
    `rights`: who changes it, when, and what they may, as the registry asks.

    Raises NotFound for an agent or an edge that is not there, AlreadyExists, Invalid
    with the `cycle` it would close, ChangedMeanwhile for a stale `base_version`.
    """
    told: dict[str, Any] = {}
    try:
        with transaction.atomic():
            told = _edit(wish, add, rights)
            if wish.dry_run:
                raise _NotKept
    except _NotKept:
        pass
    return {**told, "dry_run": wish.dry_run}


def _edit(wish: EdgeWish, add: bool, rights: Mapping[str, Any]) -> dict[str, Any]:
    agent = agent_registry.resolve(wish.changed)
    if add:
        agent_registry.resolve(
            wish.then if agent.agent_id == wish.first else wish.first
        )
    keys = _added(agent, wish) if add else _removed(agent, wish)
    version = wish.base_version
    changed = agent_registry.change(agent, keys, base_version=version, **rights)
    after = agent_graph.read(rights["now"])
    assert changed.current is not None, "an agent is made together with a version"
    return {
        "edge": _shown(after, wish) if add else None,
        "agent": changed.agent_id,
        "version": changed.current.number,
        "changed": True,
        "critical_path": after["critical_path"],
    }


def _added(agent: Agent, wish: EdgeWish) -> dict[str, Any]:
    said = f"{wish.then} follows {wish.first} already"
    if wish.kind == "depends_on":
        if wish.first in agent.spec["depends_on"]:
            raise AlreadyExists(said)
        return {"depends_on": [*agent.spec["depends_on"], wish.first]}
    made = {"agent": wish.then, "on": wish.on or ONS[0]}
    if made in agent.spec["cascades"]:
        raise AlreadyExists(said)
    return {"cascades": [*agent.spec["cascades"], made]}


def _removed(agent: Agent, wish: EdgeWish) -> dict[str, Any]:
    """The key as it is without the edge; null where nothing is left of it."""
    if wish.kind == "depends_on":
        names = agent.spec["depends_on"]
        if wish.first not in names and wish.first in _required(agent):
            said = f"{agent.agent_id} says it in `requires`; change that"
            raise NotAllowedNow(said)
        left: list[Any] = [name for name in names if name != wish.first]
        before = len(names)
    else:
        stated = agent.spec["cascades"]
        left = [one for one in stated if not _meant(one, wish)]
        before = len(stated)
    if len(left) == before:
        raise NotFound(f"{wish.then} does not follow {wish.first} by {wish.kind}")
    return {wish.kind: left or None}


def _required(agent: Agent) -> set[str]:
    edges = agent_graph.edges_of([agent.spec])
    return {e["from"] for e in edges if e["kind"] == "depends_on"}


def _meant(cascade: Mapping[str, Any], wish: EdgeWish) -> bool:
    return cascade["agent"] == wish.then and wish.on in (None, cascade["on"])


def _shown(graph: Mapping[str, Any], wish: EdgeWish) -> dict[str, Any]:
    on = "ready" if wish.kind == "depends_on" else wish.on or ONS[0]
    wanted = (wish.first, wish.then, wish.kind, on)
    found: dict[str, Any] = next(
        edge
        for edge in graph["edges"]
        if tuple(edge[key] for key in ("from", "to", "kind", "on")) == wanted
    )
    return found
