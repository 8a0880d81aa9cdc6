"""A condition as people write it, as it is stored, and as it reads in words. Pure.

The expression itself is CEL; here only its references to our own values are found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, cast

import orjson

from agents.http import unknown_key
from agents.quantities import QuantityError, parse_duration
from agents.text import unstorable
from scheduling.triggers.condition import Mode, Rule
from scheduling.triggers.spans import span

MAX_CHARS = 1_000
MAX_HOLD_S = 7 * 86_400
MAX_COOLDOWN_S = 366 * 86_400
KEYS = ("when", "hold", "reset_when", "cooldown", "mode")
FORM = (
    'expected an expression such as "sensors.temperature > 30", or an object with when'
)

Root = Literal["sensors", "agents", "nodes", "runs", "now"]
FIELDS: Mapping[str, tuple[str, ...]] = {
    "sensors": ("", "at", "age", "previous"),
    "agents": ("running", "queued", "last_state", "since_s"),
    "nodes": ("up", "memory_used_fraction", "cpu_used_fraction", "runs"),
    "runs": (
        *("queued", "admitted", "starting", "running", "suspended", "stopping"),
        *("succeeded_last_hour", "failed_last_hour"),
    ),
    "now": ("hour", "minute", "weekday", "day", "month"),
}
WRITTEN = {
    "sensors": "sensors.NAME, or one of its .age, .at and .previous",
    "agents": 'agents["NAME"].FIELD',
    "nodes": 'nodes["NAME"].FIELD',
    "runs": "runs.FIELD",
    "now": "now.FIELD",
}
TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*)
  | (?<![\w.])sensors\s*\.\s*(?P<sensor>[A-Za-z_]\w*)
        (?:\s*\.\s*(?P<part>\w++)(?!\s*\())?
  | (?<![\w.])(?P<root>agents|nodes)\s*\[\s*(?P<quote>["'])(?P<name>[^"'\\\n]*)
        (?P=quote)\s*\]\s*\.\s*(?P<field>\w+)
  | (?<![\w.])(?P<plain>runs|now)\s*\.\s*(?P<word>\w+)
  | (?P<text>[rRbB]{0,2}(?:\"{3}.*?\"{3}|'{3}.*?'{3}
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?<![\w.])(?P<stray>sensors|agents|nodes|runs|now)\b
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Reference:
    root: Root
    name: str  # of the sensor, agent or node; "" for runs and now
    field: str  # "" for a sensor's value
    start: int
    end: int
    variable: str  # as CEL knows it: sensors.x.age, runs.queued; agents is a map

    @property
    def label(self) -> str:
        if self.root in ("agents", "nodes"):
            return f"{self.name} {self.field}"
        shown = self.name if self.root == "sensors" else self.root
        return f"{shown} {self.field}".strip()


@dataclass(frozen=True, slots=True)
class Condition:
    when: str
    hold_s: float = 0.0
    reset_when: str | None = None
    cooldown_s: float = 0.0
    mode: Mode = "edge"

    @property
    def machine(self) -> Rule:
        return Rule(self.hold_s, self.cooldown_s, self.mode)

    @property
    def expressions(self) -> tuple[str, ...]:
        return (self.when,) if self.reset_when is None else (self.when, self.reset_when)


def references(expression: str) -> tuple[Reference, ...]:
    """What of ours the expression asks for. Raises ValueError for what is not there."""
    found = []
    for match in TOKEN.finditer(expression):
        if (stray := match["stray"]) is not None:
            at = match.start() + 1
            raise ValueError(f"at {at}: {stray} is written {WRITTEN[stray]}")
        if (reference := _reference(match)) is None:
            continue
        known = FIELDS[reference.root]
        if reference.field not in known:
            said = unknown_key(reference.field, [k for k in known if k], "field")
            raise ValueError(f"at {match.start() + 1}: {said}")
        found.append(reference)
    return tuple(found)


def _reference(match: re.Match[str]) -> Reference | None:
    if (sensor := match["sensor"]) is not None:
        part = match["part"] or ""
        variable = f"sensors.{sensor}.{part}" if part else f"sensors.{sensor}"
        return Reference("sensors", sensor, part, *match.span(), variable)
    if (root := match["root"]) is not None:
        named = cast(Root, root)
        return Reference(named, match["name"], match["field"], *match.span(), root)
    if (plain := match["plain"]) is not None:
        variable = f"{plain}.{match['word']}"
        return Reference(cast(Root, plain), "", match["word"], *match.span(), variable)
    return None


def all_references(condition: Condition) -> tuple[Reference, ...]:
    return tuple(r for text in condition.expressions for r in references(text))


def read(value: object) -> Condition:
    """What was sent under `condition`, its form checked. Raises ValueError."""
    if isinstance(value, str):
        value = {"when": value}
    if not isinstance(value, Mapping):
        raise ValueError(FORM)
    given = {key: item for key, item in value.items() if item is not None}
    for key in given:
        if key not in KEYS:
            raise ValueError(unknown_key(str(key), KEYS))
    mode = given.get("mode", "edge")
    if mode not in ("edge", "level"):
        raise ValueError("mode: expected edge or level")
    condition = Condition(
        when=_expression("when", given.get("when")),
        hold_s=_seconds("hold", given, MAX_HOLD_S),
        reset_when=_optional("reset_when", given),
        cooldown_s=_seconds("cooldown", given, MAX_COOLDOWN_S),
        mode=mode,
    )
    if mode == "level" and condition.cooldown_s < 1:
        raise ValueError("cooldown: by level it is needed, at least 1s")
    if mode == "level" and condition.reset_when is not None:
        raise ValueError("reset_when: only in mode edge does it mean anything")
    return condition


def _optional(name: str, given: Mapping[str, Any]) -> str | None:
    return _expression(name, given[name]) if name in given else None


def _expression(name: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name}: {FORM}" if name != "when" else FORM)
    text = value.strip()
    if len(text) > MAX_CHARS:
        raise ValueError(f"{name}: longer than {MAX_CHARS} characters")
    if said := unstorable(text):
        raise ValueError(f"{name}: {said}")
    return text


def _seconds(name: str, given: Mapping[str, Any], most_s: float) -> float:
    if name not in given:
        return 0.0
    try:
        return parse_duration(given[name], least_s=0, most_s=most_s)
    except QuantityError as error:
        raise ValueError(f"{name}: {error}") from None


def names_of(condition: Condition, root: Root) -> set[str]:
    return {one.name for one in all_references(condition) if one.root == root}


def stored(condition: Condition) -> str:
    """The text a schedule keeps as its rule."""
    return orjson.dumps(shown(condition)).decode()


def shown(condition: Condition) -> dict[str, Any]:
    """As the API shows it; reads back as the same condition."""
    shape: dict[str, Any] = {"when": condition.when}
    if condition.hold_s:
        shape["hold"] = _number(condition.hold_s)
    if condition.reset_when is not None:
        shape["reset_when"] = condition.reset_when
    if condition.cooldown_s:
        shape["cooldown"] = _number(condition.cooldown_s)
    if condition.mode != "edge":
        shape["mode"] = condition.mode
    return shape


def _number(seconds: float) -> float | int:
    return int(seconds) if seconds == int(seconds) else seconds


def parse(rule: str) -> Condition:
    """A condition from a schedule's rule. Raises ValueError."""
    try:
        return read(orjson.loads(rule))
    except orjson.JSONDecodeError:
        raise ValueError("not a condition as it is stored") from None


def filled(expression: str, say: Callable[[Reference], str]) -> str:
    """The expression with each reference replaced by what `say` makes of it."""
    text, last = "", 0
    for one in references(expression):
        text += expression[last : one.start] + say(one)
        last = one.end
    return text + expression[last:]


def words(condition: Condition) -> str:
    """ "When temperature > 30 for 30 seconds, at most once in 10 minutes"."""
    parts = [f"When {filled(condition.when, lambda r: r.label)}"]
    if condition.hold_s:
        parts[0] += f" for {length(condition.hold_s)}"
    if condition.reset_when is not None:
        again = filled(condition.reset_when, lambda r: r.label)
        parts.append(f"again only after {again}")
    if condition.mode == "level":
        parts.append(f"again every {length(condition.cooldown_s)} while it is so")
    elif condition.cooldown_s:
        parts.append(f"at most once in {length(condition.cooldown_s)}")
    return ", ".join(parts)


def length(seconds: float) -> str:
    text = span(timedelta(seconds=seconds))
    return text if text[0].isdigit() else f"1 {text}"
