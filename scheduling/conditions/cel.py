"""The one door to CEL, the language of conditions.

An expression is compiled once. What goes wrong when it is asked comes back as a value,
never as an exception; loops are bounded by CEL's own budget of iterations.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from scheduling.conditions.rules import Reference, references

Kind = Literal["number", "boolean", "text"]
SAMPLES: Mapping[str, object] = {"number": 1.5, "boolean": True, "text": ""}
SAMPLE_FACTS: Mapping[str, object] = {
    "running": 1,
    "queued": 0,
    "last_state": "",
    "since_s": 1.5,
    "up": True,
    "memory_used_fraction": 0.5,
    "cpu_used_fraction": 0.5,
    "runs": 0,
}
PLACE = re.compile(r"ERROR: <input>:(\d+):(\d+): ([^\n]*)")
CODE = re.compile(r"^[A-Z_]+: ")
UNFIT = "No matching overloads"


@dataclass(frozen=True, slots=True)
class Level:
    """What an expression came to; None: it cannot be told, `error` says why."""

    value: bool | None
    error: str = ""


class Program:
    """A compiled expression."""

    def __init__(self, text: str, compiled: Any) -> None:
        self.text = text
        self.references = references(text)
        self._compiled = compiled

    def level(self, values: Mapping[str, Any]) -> Level:
        """Of these variables; one that is missing is unknown, and so is what hangs
        on it."""
        try:
            found = self._compiled.eval(data=values).value()
        except RuntimeError as error:  # the budget
            return Level(None, plain(str(error)))
        if isinstance(found, bool):
            return Level(found)
        said = found if isinstance(found, str) else "neither true nor false"
        return Level(None, plain(said))


def program(expression: str, kinds: Mapping[str, Kind]) -> Program:
    """The expression compiled; `kinds` of the sensors it names, the rest are numbers.

    Raises ValueError with a sentence that points at the fault.
    """
    used = references(expression)
    typed = {r.name: kinds.get(r.name, "number") for r in used if r.root == "sensors"}
    return _program(expression, tuple(sorted(typed.items())))


@lru_cache(maxsize=1024)
def _program(expression: str, kinds: tuple[tuple[str, Kind], ...]) -> Program:
    from cel_expr_python import cel  # only where there are conditions: 10 MB

    used, typed = references(expression), dict(kinds)
    env = cel.NewEnv(variables={r.variable: _type(cel, r, typed) for r in used})
    try:
        compiled = env.compile(expression)
    except RuntimeError as error:
        raise ValueError(pointed(str(error))) from None
    if not used:
        raise ValueError("it names no sensor, agent, node or run, and no time of day")
    made = Program(expression, compiled)
    _try_out(made, compiled, used, typed)
    return made


def _type(cel: Any, one: Reference, typed: Mapping[str, Kind]) -> Any:
    if one.root == "sensors":
        if one.field == "at":
            return cel.Type.TIMESTAMP
        if one.field in ("", "previous") and typed[one.name] != "number":
            return {"boolean": cel.Type.BOOL, "text": cel.Type.STRING}[typed[one.name]]
        return cel.Type.DYN  # compares with whole numbers too
    if one.root in ("agents", "nodes"):
        return cel.Type.Map(
            cel.Type.STRING, cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
        )
    return cel.Type.INT


def _try_out(
    made: Program, compiled: Any, used: tuple[Reference, ...], typed: Mapping[str, Kind]
) -> None:
    """Refuse what can only fail: values that do not fit, and what is no condition."""
    level = made.level(samples(used, typed))
    if UNFIT in level.error:
        fits = level.error.rpartition(":")[2].strip()
        raise ValueError(
            f"{fits} do not fit together; a sensor's number is written with a point "
            "where it is calculated with, such as 2.0"
        )
    if level.error == "neither true nor false" or (
        str(compiled.return_type().name()) not in ("BOOL", "DYN")
    ):
        raise ValueError("it must come to true or false, such as sensors.x > 30")


def samples(used: tuple[Reference, ...], typed: Mapping[str, Kind]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for one in used:
        if one.root in ("agents", "nodes"):
            values.setdefault(one.root, {})[one.name] = dict(SAMPLE_FACTS)
        elif one.root != "sensors":
            values[one.variable] = 1
        elif one.field in ("", "previous"):
            values[one.variable] = SAMPLES[typed[one.name]]
        elif one.field == "age":
            values[one.variable] = 1.5
    return values


def pointed(said: str) -> str:
    """CEL's complaint in one line, with the place it is about."""
    if (match := PLACE.search(said)) is None:
        return plain(said)
    line, column, text = match.groups()
    text = text.replace(" (in container '')", "")
    where = f"at {column}" if line == "1" else f"line {line}, at {column}"
    return f"{where}: {text}"[:300]


def plain(said: str) -> str:
    return CODE.sub("", said.partition(" [")[0]).strip()[:300]
