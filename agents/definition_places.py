"""The parts of a registration that say where a run can be: `requires` and `ports`.

Every rule raises ValueError with one sentence.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    FailFast,
    Field,
    model_validator,
)

from agents import names, requirements
from agents.definition_parts import (
    MAX_ITEMS,
    AgentId,
    Duration,
    Strict,
    no_twins,
)
from agents.quantities import shown
from agents.requirements import AUTO, KINDS, PORT, REACHABLE

AUTO_WORDS = ("auto", "0")


def host_and_port(text: str) -> str:
    match = REACHABLE.fullmatch(text)
    if match is None or not 1 <= int(match[2]) <= PORT:
        raise ValueError(f'{shown(text)} is not a host and a port such as "db:5432"')
    return text


class Requirement(Strict):
    """One thing a run waits for: exactly one of KINDS, and how long at most."""

    capability: Annotated[str, AfterValidator(names.label)] | None = None
    file: Annotated[str, AfterValidator(names.absolute)] | None = None
    command: Annotated[str, AfterValidator(names.program)] | None = None
    port_free: Annotated[int, Field(ge=1, le=PORT)] | None = None
    reachable: Annotated[str, AfterValidator(host_and_port)] | None = None
    agent: AgentId | None = None
    within: Duration | None = None

    @model_validator(mode="after")
    def one_thing(self) -> Requirement:
        if len([kind for kind in KINDS if getattr(self, kind) is not None]) != 1:
            raise ValueError(f"must name exactly one of {', '.join(KINDS)}")
        return self

    def normalised(self) -> requirements.Item:
        """As a spec keeps it; a bare capability is its word."""
        found = {k: v for k, v in self.model_dump().items() if v is not None}
        if tuple(found) == ("capability",):
            return str(found["capability"])
        if "within" in found:
            found["within_s"] = found.pop("within")
        return found


def widen(value: object) -> Any:
    if isinstance(value, str):
        return {"capability": value}
    if not isinstance(value, dict | BaseModel):
        raise ValueError(
            'must be a capability of the node or an object such as {"file": "/path"}, '
            f"not {shown(value)}"
        )
    return value


def each_once(items: list[Requirement]) -> list[Requirement]:
    no_twins([requirements.key_of(item.normalised()) for item in items])
    return items


Requirements = Annotated[
    list[Annotated[Requirement, BeforeValidator(widen)]],
    FailFast(),
    Field(max_length=MAX_ITEMS),
    AfterValidator(each_once),
]


def as_written(item: requirements.Item) -> Any:
    """A requirement of a spec as a registration says it."""
    if isinstance(item, str):
        return item
    return {key.removesuffix("_s"): value for key, value in item.items()}


# -- ports ----------------------------------------------------------------------------


def parse_ports(value: Any) -> dict[str, tuple[int, int]]:
    """Name -> first and last port, of [8080, "9000-9010"] or {"http": "auto"}."""
    if isinstance(value, list):
        value = {str(item): item for item in no_twins(value)}
    if not isinstance(value, dict):
        raise ValueError('must be a list of ports or an object such as {"http": 8080}')
    if len(value) > MAX_ITEMS:
        raise ValueError(f"has more than {MAX_ITEMS} entries")
    ports = {name: _port_range(item) for name, item in value.items()}
    for name in ports:
        names.label(name)
    if pair := requirements.twins(list(ports)):
        raise ValueError(f"{pair[0]} and {pair[1]} would share one variable")
    _refuse_overlap([ends for ends in ports.values() if ends != AUTO])
    return ports


def _port_range(item: object) -> tuple[int, int]:
    text = str(item) if isinstance(item, int | str) else ""
    if item in AUTO_WORDS and isinstance(item, str):  # the number 0 is a mistake
        return AUTO
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text, re.ASCII)
    if isinstance(item, bool) or match is None:
        raise ValueError(
            f'{shown(item)} is not a port, a range such as "8000-8010", or "auto"'
        )
    first, last = int(match[1]), int(match[2] or match[1])
    if not 1 <= first <= last <= PORT:
        raise ValueError(f"{shown(item)} must lie between 1 and {PORT}, low end first")
    return first, last


def _refuse_overlap(ranges: list[tuple[int, int]]) -> None:
    ordered = sorted(ranges)
    for (_, last), (first, _) in pairwise(ordered):
        if first <= last:
            raise ValueError(f"port {first} is named twice")


def ports_as_written(
    ports: dict[str, Any],
) -> list[str | int] | dict[str, str | int]:
    """As a list where nobody named them."""
    written = {name: _one(first, last) for name, (first, last) in ports.items()}
    if all(name == str(item) for name, item in written.items()):
        return list(written.values())
    return written


def _one(first: int, last: int) -> str | int:
    if (first, last) == AUTO:
        return "auto"
    return first if first == last else f"{first}-{last}"
