"""From a message to a typed value: topics, paths in a payload, types. Pure.

A path is a small part of JSON path: names and places, `a.b[0].c`. Nothing is guessed:
a number in quotes is a text, 1 is no boolean.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from agents.errors import Invalid
from agents.http import instant
from agents.text import unstorable

MAX_TEXT_CHARS = 1_000
MAX_PATH_STEPS = 16
CLOCKS_DIFFER_S = 5.0  # a time this far ahead of ours still counts as now
LEAST = timedelta(microseconds=1)
STEP = re.compile(r"(?:^|\.)([A-Za-z0-9_$-]{1,64})|\[(\d{1,4})\]", re.ASCII)
FILTER_LEVEL = re.compile(r"[^+#\0]*|\+")
Value = float | bool | str


class Unfit(ValueError):
    """A value or payload that cannot be taken; the text says why."""


@dataclass(frozen=True, slots=True)
class Came:
    """What one message brought."""

    value: Value
    at: datetime


def steps(path: str) -> tuple[str | int, ...]:
    """Raises ValueError for a path that is not of our form."""
    found: list[str | int] = []
    at = 0
    while at < len(path):
        match = STEP.match(path, at)
        if match is None or path.startswith("."):
            raise ValueError('expected a path such as "a.b[0].c"')
        found.append(match[1] if match[1] is not None else int(match[2]))
        at = match.end()
    if len(found) > MAX_PATH_STEPS:
        raise ValueError(f"more than {MAX_PATH_STEPS} steps")
    return tuple(found)


def found_at(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        if isinstance(step, int) and isinstance(document, list):
            if step >= len(document):
                raise Unfit(f"the list has no place {step}")
            document = document[step]
        elif isinstance(step, str) and isinstance(document, dict):
            if step not in document:
                raise Unfit(f"there is no {step}")
            document = document[step]
        else:
            raise Unfit(f"nothing can be found at {step}")
    return document


def typed(value: Any, kind: str) -> Value:
    """The value as the sensor's type has it. Raises Unfit."""
    if kind == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Unfit(f"expected a number, not {told(value)}")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise Unfit("expected a finite number")
        return number
    if kind == "boolean":
        if not isinstance(value, bool):
            raise Unfit(f"expected true or false, not {told(value)}")
        return value
    if not isinstance(value, str):
        raise Unfit(f"expected a text, not {told(value)}")
    if len(value) > MAX_TEXT_CHARS:
        raise Unfit(f"longer than {MAX_TEXT_CHARS} characters")
    if said := unstorable(value):
        raise Unfit(said)
    return value


def told(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", type(None): "null"}
    return names.get(type(value), str(value)[:40])


def decoded(payload: bytes, *, kind: str, plain: bool) -> Any:
    """A payload as a document; without a path a text is the payload as it stands."""
    if plain and kind == "text":
        try:
            return payload.decode()
        except UnicodeDecodeError:
            raise Unfit("not UTF-8") from None
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        raise Unfit("not JSON") from None


def taken(
    payload: bytes,
    *,
    kind: str,
    path: tuple[str | int, ...],
    at_path: tuple[str | int, ...],
    now: datetime,
) -> Came:
    """The value in a payload and its time: of the payload, or now. Raises Unfit."""
    document = decoded(payload, kind=kind, plain=not path and not at_path)
    value = typed(found_at(document, path), kind)
    if not at_path:
        return Came(value, now)
    return Came(value, not_ahead(time_in(found_at(document, at_path)), now))


def time_in(value: Any) -> datetime:
    """ISO 8601 with a zone, or seconds since 1970."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return datetime.fromtimestamp(value, UTC)
        except (ValueError, OverflowError, OSError):
            raise Unfit("its time is not one") from None
    try:
        return instant(value)
    except Invalid:
        raise Unfit("its time is not an instant with a zone") from None


def not_ahead(at: datetime, now: datetime) -> datetime:
    """Raises Unfit for a time in the future; a little is two clocks' difference."""
    if at > now + timedelta(seconds=CLOCKS_DIFFER_S):
        raise Unfit("its time is in the future")
    return min(at, now)


def check_filter(topic: str) -> None:
    """Raises ValueError for what no broker would subscribe to."""
    levels = topic.split("/")
    if not topic or len(topic.encode()) > 512:
        raise ValueError(
            "expected a topic of 1 to 512 bytes, such as home/+/temperature"
        )
    if said := unstorable(topic):
        raise ValueError(said)
    if levels[-1] == "#":
        levels = levels[:-1]
    if not all(FILTER_LEVEL.fullmatch(level) for level in levels):
        raise ValueError("+ and # stand for whole levels, and # only for the last ones")
    if topic.startswith("$share/"):
        raise ValueError("a shared subscription cannot be used here")


def is_wild(topic: str) -> bool:
    return "+" in topic or "#" in topic


def matcher(topic: str) -> re.Pattern[str]:
    """What topics a filter meets: full match; the part that differs is group "rest"."""
    parts = []
    for level in topic.split("/"):
        if level == "+":
            parts.append(r"/([^/]*)")
        elif level == "#":
            parts.append(r"(?:/(.*))?")
        else:
            parts.append("/" + re.escape(level))
    wild_first = topic[:1] in "+#"
    return re.compile((r"(?!/\$)" if wild_first else "") + "".join(parts), re.DOTALL)


def meets(pattern: re.Pattern[str], topic: str) -> tuple[str, ...] | None:
    """What stands for the wildcards; None: it does not match."""
    match = pattern.fullmatch("/" + topic)
    return None if match is None else tuple(part or "" for part in match.groups())


def child_name(parent: str, differing: tuple[str, ...]) -> str:
    """The name of the sensor of one topic: home/+/temperature, kitchen → x_kitchen."""
    slug = re.sub(r"[^a-z0-9]+", "_", "_".join(differing).lower()).strip("_")
    return f"{parent}_{slug}"[:64] if slug else parent[:64]
