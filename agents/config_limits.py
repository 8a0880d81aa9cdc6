"""Limits on runs as the configuration states them: how many at once, how many starts.

A limit is of one agent, of all agents with a tag, or of one concurrency key; units
stand in the names. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents import names
from agents.quantities import parse_duration
from agents.text import unreadable

MOST = 500
MOST_AT_ONCE = 100_000
LONGEST_S = 31 * 86_400.0
LONGEST_KEY = 120
OF = ("agent", "tag", "key")
KEYS = ("name", *OF, "max_running", "rate")
SAID = (
    'a list of limits such as {"name": "api", "tag": "web", "max_running": 3, '
    '"rate": {"starts": 10, "per": "1m"}}'
)


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket of `starts` that fills again evenly, in `per_s` from empty to full."""

    starts: int
    per_s: float


@dataclass(frozen=True, slots=True)
class Limit:
    name: str
    of: str  # one of OF
    value: str
    max_running: int | None = None
    rate: Rate | None = None


def read(value: object) -> tuple[Limit, ...]:
    """Raises TypeError or ValueError."""
    if not isinstance(value, list | tuple):
        raise TypeError
    limits = tuple(read_one(one) for one in value)
    known = [limit.name for limit in limits]
    if len(limits) > MOST or len(set(known)) != len(known):
        raise ValueError
    return limits


def read_one(one: object) -> Limit:
    """Raises TypeError or ValueError with one sentence that names the key."""
    if not isinstance(one, dict):
        raise TypeError("expected an object")
    for key in one:
        if key not in KEYS:
            raise ValueError(f"{str(key)[:80]}: is not a known key")
    given = {key: value for key, value in one.items() if value is not None}
    try:
        name = names.agent_id(_text("name", given.get("name")))
    except ValueError as error:
        raise ValueError(f"name: {str(error).removeprefix('name: ')}") from None
    named = [key for key in OF if key in given]
    if len(named) != 1:
        raise ValueError(f"{(*named, 'tag')[0]}: name exactly one of {', '.join(OF)}")
    value = _text(named[0], given[named[0]])
    most, rate = _whole("max_running", given.get("max_running")), given.get("rate")
    if most is None and rate is None:
        raise ValueError("max_running: state it, or a rate, or both")
    return Limit(name, named[0], value, most, None if rate is None else _rate(rate))


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_KEY:
        raise ValueError(f"{key}: expected a text of 1 to {LONGEST_KEY} characters")
    if said := unreadable(value):
        raise ValueError(f"{key}: {said}")
    return value


def _whole(key: str, value: object) -> int | None:
    if value is None:
        return None
    if type(value) is not int or not 1 <= value <= MOST_AT_ONCE:
        raise ValueError(f"{key}: expected a whole number from 1 to {MOST_AT_ONCE}")
    return value


def _rate(value: object) -> Rate:
    if not isinstance(value, dict) or set(value) != {"starts", "per"}:
        raise ValueError('rate: expected an object such as {"starts": 10, "per": "1m"}')
    starts = _whole("rate", value["starts"])
    if starts is None:
        raise ValueError("rate: starts must be a whole number")
    try:
        per_s = parse_duration(value["per"], least_s=1, most_s=LONGEST_S)
    except ValueError as error:
        raise ValueError(f"rate: {error}") from None
    return Rate(starts, per_s)


def write(limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """As a file states them."""
    return [write_one(limit) for limit in limits]


def write_one(limit: Limit) -> dict[str, Any]:
    rate = limit.rate
    return {
        "name": limit.name,
        limit.of: limit.value,
        **({"max_running": limit.max_running} if limit.max_running else {}),
        **({"rate": {"starts": rate.starts, "per": rate.per_s}} if rate else {}),
    }
