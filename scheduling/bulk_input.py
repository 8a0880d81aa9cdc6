"""What is asked of many schedules and occurrences at once, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

from agents.errors import Invalid
from agents.http import fields_of, instant, wrong
from agents.priority import Priority
from agents.text import unstorable
from scheduling.move_input import FARTHEST_S, LONGEST_ID, MOST_IN_BULK

Action = Literal["shift", "pause", "resume", "priority"]
OWN_KEYS: Mapping[str, tuple[str, ...]] = {
    "shift": ("by_s",),
    "pause": ("note", "until"),
    "resume": (),
    "priority": ("priority",),
}
ACTIONS = tuple(OWN_KEYS)
LONGEST_NOTE = 300  # the column's width


@dataclass(frozen=True, slots=True)
class BulkWish:
    action: Action
    ids: tuple[str, ...]
    dry_run: bool = False
    by_s: int = 0
    note: str = ""
    until: datetime | None = None
    priority: str | None = None  # None: the agent's own


def parse(raw: object) -> BulkWish:
    """Raises Invalid naming the key at fault. An empty list never means all."""
    own = {key for keys in OWN_KEYS.values() for key in keys}
    known = ("action", "ids", "dry_run", *sorted(own))
    given = fields_of(raw, allowed=known, required=("action", "ids"))
    action = given["action"]
    if action not in ACTIONS:
        raise wrong("action", f"expected one of {', '.join(ACTIONS)}")
    for key in sorted(own & given.keys()):
        if key not in OWN_KEYS[action]:
            raise wrong(key, f"has no meaning for {action}")
    dry_run = given.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise wrong("dry_run", "expected true or false")
    until = given.get("until")
    return BulkWish(
        action=cast(Action, action),
        ids=_ids(given["ids"]),
        dry_run=dry_run,
        by_s=_by_s(given.get("by_s")) if action == "shift" else 0,
        note=note_of(given.get("note")),
        until=None if until is None else instant(until, field="until"),
        priority=_priority(given) if action == "priority" else None,
    )


def note_of(value: object) -> str:
    note = value or ""
    if not isinstance(note, str) or len(note) > LONGEST_NOTE or unstorable(note):
        raise wrong("note", f"expected a text of at most {LONGEST_NOTE} characters")
    return note


def _ids(ids: object) -> tuple[str, ...]:
    if not isinstance(ids, list) or not ids:
        raise wrong("ids", "expected a list of at least one schedule or occurrence")
    if len(ids) > MOST_IN_BULK:
        raise wrong("ids", f"more than {MOST_IN_BULK}")
    if not all(isinstance(i, str) and 0 < len(i) <= LONGEST_ID for i in ids):
        raise wrong("ids", "expected ids of schedules or occurrences")
    if len(set(ids)) < len(ids):
        raise wrong("ids", "one stands there twice")
    wholes = {one for one in ids if "@" not in one}
    for one in ids:
        if "@" in one and one.partition("@")[0] in wholes:
            raise wrong("ids", f"the schedule of {one} stands there as a whole too")
    return tuple(ids)


def _by_s(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value == 0:
        raise wrong("by_s", "expected whole seconds, not 0")
    if abs(value) > FARTHEST_S:
        raise Invalid("by_s: more than a year", {"by_s": ["more than a year"]})
    return value


def _priority(given: Mapping[str, Any]) -> str | None:
    words = [p.word for p in Priority]
    if "priority" not in given:
        raise wrong("priority", "is required; null is the agent's own")
    word = given["priority"]
    if word is not None and word not in words:
        raise wrong("priority", f"expected one of {', '.join(words)}")
    return cast("str | None", word)
