"""The part of a registration that says on which nodes a run is to be: `placement`.

Every rule raises ValueError with one sentence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    FailFast,
    Field,
    PlainValidator,
    model_validator,
)

from agents import names
from agents.definition_parts import MAX_ITEMS, AgentId, Strict, no_twins
from agents.quantities import shown

EXISTS = "exists"
ANY_TAINT = "*"
USUAL_WEIGHT = 10


def parse_labels(value: Any) -> dict[str, list[str]]:
    """Label -> the values that are right; [] for any, written "exists" or true."""
    if not isinstance(value, dict) or not value:
        raise ValueError('must be an object of labels such as {"disk": "ssd"}')
    if len(value) > MAX_ITEMS:
        raise ValueError(f"has more than {MAX_ITEMS} entries")
    return {_label(name): _values(name, item) for name, item in value.items()}


def _label(name: str) -> str:
    if "=" in name:
        raise ValueError(f'{shown(name)} has a "="; write {{"disk": "ssd"}}')
    return names.label(name)


def _values(name: str, item: Any) -> list[str]:
    if item is True or item == EXISTS:
        return []
    items = item if isinstance(item, list) else [item]
    if not items or len(items) > MAX_ITEMS:
        raise ValueError(f"{name}: must have from 1 to {MAX_ITEMS} values")
    for one in items:
        if not isinstance(one, str):
            raise ValueError(
                f'{name}: must be a value, a list of values or "{EXISTS}", '
                f"not {shown(one)}"
            )
        names.label(one)
    return no_twins(items)


def taint(text: str) -> str:
    return text if text == ANY_TAINT else names.label(text)


Labels = Annotated[dict[str, list[str]], PlainValidator(parse_labels)]
Weight = Annotated[int, Field(ge=1, le=100)]


class Preference(Strict):
    """Nodes with these labels are liked, the more the greater the weight."""

    labels: Labels
    weight: Weight = USUAL_WEIGHT


class Neighbour(Strict):
    """Runs of an agent, or of agents with a tag."""

    agent: AgentId | None = None
    tag: Annotated[str, AfterValidator(names.tag)] | None = None
    hard: bool = True
    weight: Weight = USUAL_WEIGHT

    @model_validator(mode="after")
    def one_of_them(self) -> Neighbour:
        if (self.agent is None) == (self.tag is None):
            raise ValueError("must name exactly one of agent, tag")
        return self


def widen(value: object) -> Any:
    return {"agent": value} if isinstance(value, str) else value


bounded = (FailFast(), Field(max_length=MAX_ITEMS))
Neighbours = Annotated[
    list[Annotated[Neighbour, BeforeValidator(widen)]],
    *bounded,
]
Words = Annotated[
    list[Annotated[str, AfterValidator(taint)]], *bounded, AfterValidator(no_twins)
]
NodeNames = Annotated[
    list[Annotated[str, AfterValidator(names.label)]],
    *bounded,
    AfterValidator(no_twins),
]


class Placement(Strict):
    """Which nodes may have it, which are liked, and who else is to be there or not."""

    require: Labels | None = None
    prefer: Annotated[list[Preference], *bounded] = []
    together: Neighbours = Field([], alias="with")
    apart: Neighbours = []
    strategy: Literal["spread", "pack"] | None = None
    tolerate: Words = []
    nodes: NodeNames = []


def placement_spec(placement: Placement | None) -> dict[str, Any] | None:
    """As a spec keeps it: only what was said."""
    if placement is None:
        return None
    said = {
        "require": placement.require,
        "prefer": [one.model_dump() for one in placement.prefer],
        "with": [_neighbour(one) for one in placement.together],
        "apart": [_neighbour(one) for one in placement.apart],
        "strategy": placement.strategy,
        "tolerate": list(placement.tolerate),
        "nodes": list(placement.nodes),
    }
    return {key: value for key, value in said.items() if value} or None


def _neighbour(one: Neighbour) -> dict[str, Any]:
    return {k: v for k, v in one.model_dump().items() if v is not None}


def placement_words(spec: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A placement of a spec as a registration says it."""
    if not spec:
        return None
    words = dict(spec)
    if "require" in words:
        words["require"] = _labels_words(words["require"])
    if "prefer" in words:
        words["prefer"] = [
            {"labels": _labels_words(p["labels"]), "weight": p["weight"]}
            for p in words["prefer"]
        ]
    return words


def _labels_words(labels: Mapping[str, list[str]]) -> dict[str, Any]:
    return {
        name: EXISTS if not values else values[0] if len(values) == 1 else list(values)
        for name, values in labels.items()
    }
