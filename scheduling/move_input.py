"""What a drag asks for, checked: the body of a move into a Wish."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from agents.errors import Invalid
from agents.http import fields_of, instant, wrong
from agents.models import Node

Scope = Literal["this", "following", "all"]
SCOPES = ("this", "following", "all")
Downstream = Literal["keep", "shift"]
DOWNSTREAM = ("keep", "shift")  # what becomes of agents that depend on the moved one
KEYS = ("start", "end", "node", "scope", "base_version", "dry_run", "downstream")
MOST_IN_BULK = 1_000
FARTHEST_S = 366 * 86_400
LONGEST_ID = 130  # a schedule's uid, "@" and a key


@dataclass(frozen=True, slots=True)
class Wish:
    start: datetime  # whole seconds
    end: datetime | None = None  # None: its time limit stays as it is
    timeout_s: float | None = None  # what `end` comes to
    node: Node | None = None
    scope: Scope = "this"
    base_version: int | None = None
    dry_run: bool = False
    downstream: Downstream = "keep"


def parse_wish(raw: object) -> Wish:
    """Raises Invalid naming the key at fault."""
    given = fields_of(raw, allowed=KEYS, required=("start",))
    start = instant(given["start"], field="start").replace(microsecond=0)
    end = given.get("end")
    end_at = None if end is None else instant(end, field="end").replace(microsecond=0)
    if end_at is not None and end_at <= start:
        raise wrong("end", "not after start")
    scope = given.get("scope", "this")
    if scope not in SCOPES:
        raise wrong("scope", f"expected one of {', '.join(SCOPES)}")
    downstream = given.get("downstream", "keep")
    if downstream not in DOWNSTREAM:
        raise wrong("downstream", f"expected one of {', '.join(DOWNSTREAM)}")
    node = _node(given.get("node"))
    if node is not None and scope != "this":
        raise wrong("node", "only one occurrence can be put on a node, not a series")
    return Wish(
        start=start,
        end=end_at,
        timeout_s=None if end_at is None else (end_at - start).total_seconds(),
        node=node,
        scope=cast(Scope, scope),
        base_version=_version(given.get("base_version")),
        dry_run=_flag(given, "dry_run"),
        downstream=cast(Downstream, downstream),
    )


def _node(name: object) -> Node | None:
    if name is None:
        return None
    found = Node.objects.filter(name=name).first() if isinstance(name, str) else None
    if found is None:
        raise wrong("node", "there is no such node")
    return found


def _version(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise wrong("base_version", "expected a whole number")
    return value


def _flag(given: Mapping[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise wrong(name, "expected true or false")
    return value


def parse_bulk(raw: object) -> tuple[list[str], int]:
    """Ids and the shift in seconds. An empty list never means all."""
    given = fields_of(raw, allowed=("ids", "shift_s"), required=("ids", "shift_s"))
    ids, shift_s = given["ids"], given["shift_s"]
    if not isinstance(ids, list) or not ids:
        raise wrong("ids", "expected a list of at least one occurrence")
    if len(ids) > MOST_IN_BULK:
        raise wrong("ids", f"more than {MOST_IN_BULK}")
    if not all(isinstance(i, str) and len(i) <= LONGEST_ID for i in ids):
        raise wrong("ids", "expected ids of occurrences")
    if len(set(ids)) < len(ids):
        raise wrong("ids", "one stands there twice")
    if not isinstance(shift_s, int) or isinstance(shift_s, bool) or shift_s == 0:
        raise wrong("shift_s", "expected whole seconds, not 0")
    if abs(shift_s) > FARTHEST_S:
        raise Invalid("shift_s: more than a year", {"shift_s": ["more than a year"]})
    return ids, shift_s
