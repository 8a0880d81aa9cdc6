"""A graph as people send it, checked: the HTTP shape into the spec that is stored.

Strict, all faults at once under the name of their field. Whether its agents exist is
for graphs.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import ErrorDetails

from agents import names
from agents.definition_gangs import Gang
from agents.definition_parts import MAX_RETRIES, AgentId, Duration
from agents.errors import Invalid
from agents.http import unknown_key
from agents.quantities import shown
from agents.text import fault_in
from scheduling.planner import dependencies
from scheduling.planner.dependencies import Edge, Graph, Node
from scheduling.schedule_input import Params, sentence

MOST_NODES = 500
MOST_EDGES = 200  # of one node
FAULTS_TOLD = 20
On = Literal["success", "failure", "finish"]
Name = Annotated[str, AfterValidator(names.agent_id)]  # the same letters


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EdgeForm(Strict):
    node: Name
    on: On | None = None  # None: as the node's `when` says


def _widen(value: object) -> Any:
    if isinstance(value, str):
        return {"node": value}
    if not isinstance(value, dict):
        raise ValueError('expected a node\'s name or {"node": …, "on": "success"}')
    return value


class NodeForm(Strict):
    name: Name | None = None  # None: its agent's id
    agent: AgentId
    params: Params = {}
    after: Annotated[
        list[Annotated[EdgeForm, BeforeValidator(_widen)]],
        Field(max_length=MOST_EDGES),
    ] = []
    when: On = "success"
    need: Literal["all", "any"] | Annotated[int, Field(ge=1, le=MOST_EDGES)] = "all"
    retries: Annotated[int, Field(ge=0, le=MAX_RETRIES)] | None = None
    timeout: Duration | None = None
    gang: Gang | None = None  # None: as many at once as its agent says


class GraphForm(Strict):
    name: Name
    nodes: Annotated[list[NodeForm], Field(min_length=1, max_length=MOST_NODES)]
    params: Params = {}
    concurrency: Annotated[int, Field(ge=1, le=MOST_NODES)] | None = None
    on_failure: Literal["stop", "continue"] = "stop"


KEYS = tuple(GraphForm.model_fields)


def parse_graph(raw: object) -> tuple[str, dict[str, Any]]:
    """The name and the spec. Raises Invalid naming every fault."""
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with a graph")
    given = {key: value for key, value in raw.items() if value is not None}
    faults = {
        str(key)[:80]: [unknown_key(str(key), KEYS)]
        for key in list(given)[:100]
        if key not in KEYS
    }
    for key in KEYS:
        if said := fault_in(given.get(key)):
            faults[key] = [said]
    fit = {key: value for key, value in given.items() if key not in faults}
    try:
        form = GraphForm.model_validate(fit)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            _add(faults, detail)
        raise _refusal(faults) from None
    if unfit := list(_unfit(form))[:FAULTS_TOLD]:
        faults["nodes"] = unfit
    if faults:
        raise _refusal(faults)
    spec = normalised(form)
    _check_ways(spec)
    return form.name, spec


def _add(faults: dict[str, list[str]], detail: ErrorDetails) -> None:
    field, *inner = detail["loc"] or ("",)
    if str(field) in faults and detail["type"] == "missing":
        return
    steps = [f"item {s + 1}" if isinstance(s, int) else str(s) for s in inner]
    plain = [s for s in steps if not s.startswith(("literal", "constrained"))]
    said = sentence(detail)
    told = faults.setdefault(str(field), [])
    if len(told) < FAULTS_TOLD:
        told.append(f"{', '.join(plain)}: {said}" if plain else said)


def _refusal(faults: Mapping[str, list[str]]) -> Invalid:
    field, said = next(iter(faults.items()))
    return Invalid(f"{field}: {said[0]}", faults)


def _name(node: NodeForm) -> str:
    return node.name or node.agent


def _unfit(form: GraphForm) -> Iterator[str]:
    """What is wrong between nodes: names twice, edges to nobody, vain needs."""
    known = [_name(node) for node in form.nodes]
    for number, node in enumerate(form.nodes, start=1):
        here = f"item {number}"
        if known.index(_name(node)) != number - 1:
            yield f"{here}, name: {shown(_name(node))} is named twice"
        waits_for = [edge.node for edge in node.after]
        for name in waits_for:
            if name not in known:
                yield f"{here}, after: there is no node {shown(name)}"
        if len(set(waits_for)) != len(waits_for):
            yield f"{here}, after: a node stands there twice"
        if isinstance(node.need, int) and node.need > len(waits_for):
            yield f"{here}, need: {node.need} of only {len(waits_for)}"


def normalised(form: GraphForm) -> dict[str, Any]:
    """The spec as it is stored, all keys always present."""
    return {
        "nodes": [_node(node) for node in form.nodes],
        "params": form.params,
        "concurrency": form.concurrency,
        "on_failure": form.on_failure,
    }


def _node(node: NodeForm) -> dict[str, Any]:
    return {
        "name": _name(node),
        "agent": node.agent,
        "params": node.params,
        "after": [{"node": e.node, "on": e.on or node.when} for e in node.after],
        "need": node.need,
        "retries": node.retries,
        "timeout": node.timeout,
        "gang": node.gang,
    }


def graph_of(spec: Mapping[str, Any]) -> Graph:
    """A stored spec as the planner knows it."""
    nodes = {}
    for one in spec["nodes"]:
        edges = tuple(Edge(e["node"], e["on"]) for e in one["after"])
        counts = {"all": len(edges), "any": min(1, len(edges))}
        need = counts.get(one["need"], one["need"])
        nodes[one["name"]] = Node(one["name"], edges, need)
    return Graph(nodes, spec["concurrency"], spec["on_failure"] == "stop")


def _check_ways(spec: Mapping[str, Any]) -> None:
    """Raises Invalid for a circle, named in its order, and for params that ask for the
    result of a node that does not come before."""
    graph = graph_of(spec)
    if circle := dependencies.cycle_in(dependencies.ways(graph)):
        raise wrong_nodes(f"{' -> '.join(circle)} is a circle")
    for number, node in enumerate(spec["nodes"], start=1):
        earlier = dependencies.before(graph, node["name"])
        for name, _ in references(node["params"]):
            if name not in earlier:
                said = f"{shown(name)} does not come before {node['name']}"
                raise wrong_nodes(f"item {number}, params: {said}")


def wrong_nodes(said: str) -> Invalid:
    return Invalid(f"nodes: {said}", {"nodes": [said]})


# -- results that are passed on ----------------------------------------------------


class NotThere(Exception):
    """A result that is referred to has nothing at that place."""


def is_reference(value: object) -> bool:
    """{"from": node} or {"from": node, "path": "a.b"} and nothing else."""
    if not isinstance(value, Mapping) or "from" not in value:
        return False
    return set(value) <= {"from", "path"} and all(
        isinstance(text, str) for text in value.values()
    )


def references(value: object) -> Iterator[tuple[str, str]]:
    """(node, path) of every reference in params, however deep."""
    if is_reference(value):
        assert isinstance(value, Mapping)
        yield value["from"], value.get("path", "")
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolved(value: Any, results: Mapping[str, Any]) -> Any:
    """Params with every reference replaced by what stands there. Raises NotThere."""
    if is_reference(value):
        name, path = value["from"], value.get("path", "")
        return _at(path, name, results)
    if isinstance(value, Mapping):
        return {key: resolved(inner, results) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, results) for inner in value]
    return value


def _at(path: str, name: str, results: Mapping[str, Any]) -> Any:
    if name not in results:
        raise NotThere(f"{name} has left no result")
    found = results[name]
    for step in path.split(".") if path else ():
        if isinstance(found, Mapping) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            raise NotThere(f"the result of {name} has nothing at {shown(path)}")
    return found
