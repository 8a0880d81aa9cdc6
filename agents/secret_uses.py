"""Which secrets a definition names, and how each is given. Pure, and no pydantic, since
nodes read it at every launch of an agent with secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Form = Literal["env", "file"]
DEFAULT_FORM: Form = "env"


@dataclass(frozen=True, slots=True)
class Use:
    name: str
    form: Form
    env: str  # the variable; "" for a file

    def written(self) -> Any:
        """The shortest form that says it."""
        if self.form == "file":
            return {"name": self.name, "as": "file"}
        if self.env == variable_of(self.name):
            return self.name
        return {"name": self.name, "env": self.env}


def variable_of(name: str) -> str:
    """The variable a secret is given as when nothing is said: db-key is DB_KEY."""
    text = re.sub(r"[^A-Za-z0-9]", "_", name).upper()
    return f"_{text}" if text[:1].isdigit() else text


def uses_of(spec: Mapping[str, Any]) -> list[Use]:
    """The secrets that are given to the program of a stored spec."""
    return [_use(item) for item in spec.get("secrets", ())]


def _use(item: Any) -> Use:
    if isinstance(item, str):
        return Use(item, DEFAULT_FORM, variable_of(item))
    name = item["name"]
    if item.get("as", DEFAULT_FORM) == "file":
        return Use(name, "file", "")
    return Use(name, "env", item.get("env") or variable_of(name))


def named_in(spec: Mapping[str, Any]) -> set[str]:
    """Every secret a stored spec names, for whatever it is used."""
    return set(_named(spec))


def told_of(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Every place that hears of a run's result: `results`, and hooks that dispatch."""
    yield from spec.get("results", ())
    yield from dispatched_of(spec)


def dispatched_of(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Those that hooks name."""
    for step in (spec.get("hooks") or {}).get("on_shutdown", ()):
        if "dispatch" in step:
            yield step["dispatch"]


def _named(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from (use.name for use in uses_of(spec))
    for result in told_of(spec):
        if name := result.get("secret"):
            yield name
    if name := (spec["docker"] or {}).get("registry_secret"):
        yield name
