"""What somebody drags right now, told to the others and kept nowhere.

A client says {"type": "presence", "drag": {...}} while it drags and "drag": null when
it has put down. `drag_of` checks it, `frame_of` writes what the others get. Nothing
here reaches the database: a message that is lost is followed by the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zlib import crc32

import orjson

CHANNEL = "kos:presence"
TOPIC = "presence"
SILENCE_S = 3.0  # somebody who says nothing for so long has stopped dragging
EVERY_S = 0.1  # what one process passes on of one client: the latest, so often
MOST_NAME = 100
MOST_ITEM = 200
MOST_COUNT = 500  # items carried along
MODES = frozenset({"move", "resize", "create"})
GROUPS = frozenset({"agent", "node", "priority", "tag"})
WHO = re.compile(rb'\{"type":"presence","who":"([0-9a-f]{12})"')

Drag = dict[str, Any]


class BadDrag(ValueError):
    """What the client said is no drag; the text says why."""


def drag_of(said: Mapping[str, Any]) -> Drag | None:
    """The checked drag of a presence message; None: put down. Raises BadDrag."""
    if said.keys() != {"type", "drag"}:
        raise BadDrag('expected {"type": "presence", "drag": {...} or null}')
    drag = said["drag"]
    if drag is None:
        return None
    if not isinstance(drag, dict):
        raise BadDrag("drag: expected an object or null")
    if unknown := drag.keys() - CHECKS.keys():
        raise BadDrag(f"drag: unknown key {min(unknown)[:40]!r}")
    if missing := CHECKS.keys() - drag.keys() - {"count"}:
        raise BadDrag(f"drag.{min(missing)}: is missing")
    for key, value in drag.items():
        if not CHECKS[key](value):
            raise BadDrag(f"drag.{key}: not understood")
    if datetime.fromisoformat(drag["end"]) < datetime.fromisoformat(drag["start"]):
        raise BadDrag("drag.end: before the start")
    return drag


def is_text(most: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and len(value) <= most


def is_one_of(known: frozenset[str]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and value in known


def is_instant(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > 40:
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def is_item(value: Any) -> bool:
    return value is None or is_text(MOST_ITEM)(value)


def is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MOST_COUNT


CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "item": is_item,
    "agent": is_text(MOST_NAME),
    "mode": is_one_of(MODES),
    "start": is_instant,
    "end": is_instant,
    "group": is_one_of(GROUPS),
    "row": is_text(MOST_ITEM),
    "count": is_count,
}


def name_of(actor: str) -> str:
    """How the others read somebody's name: "user:anna" is anna."""
    return actor.partition(":")[2] or actor


def frame_of(who: str, actor: str, drag: Drag | None) -> bytes:
    """What the others get. `hue` is the same for one name everywhere."""
    name = name_of(actor)
    hue = crc32(name.encode()) % 360
    frame = {"type": TOPIC, "who": who, "name": name, "hue": hue, "drag": drag}
    return orjson.dumps(frame)
