"""Which groups and limits a run falls under: by its key, its agent, its agent's tags.

Decided when it is queued, and marked in the name of its class, so that runs without
any cost the planner nothing. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from agents.config_limits import LONGEST_KEY, Limit
from agents.definition_concurrency import PLACE
from scheduling.queue_marks import GROUPED

Concurrency = Mapping[str, Any]  # {"key", "limit", "on_full"}
HASHED = 12  # characters that stand for the rest of a key that is too long


def resolved(
    stated: Concurrency | None, params: Mapping[str, Any], agent_id: str
) -> dict[str, Any] | None:
    """What a run keeps of it: its key with the places filled in from its params. A
    place without a value is left empty."""
    if stated is None:
        return None
    key = PLACE.sub(lambda found: _value(found[1], params), stated["key"] or agent_id)
    if len(key) > LONGEST_KEY:
        rest = hashlib.blake2b(key.encode(), digest_size=HASHED // 2).hexdigest()
        key = f"{key[: LONGEST_KEY - HASHED - 1]}#{rest}"
    return {
        "key": key or agent_id,
        "limit": stated["limit"],
        "on_full": on_full(stated),
    }


def on_full(stated: Concurrency) -> str:
    return str(stated.get("on_full", "queue"))


def _value(path: str, params: Mapping[str, Any]) -> str:
    found: Any = params
    for step in path.split("."):
        found = found.get(step) if isinstance(found, Mapping) else None
    if found is None:
        return ""
    text = found if isinstance(found, str) else orjson.dumps(found).decode()
    return text.replace("{", "(").replace("}", ")")  # never a place itself


def limits_of(
    spec: Mapping[str, Any], concurrency: Concurrency | None, limits: Sequence[Limit]
) -> list[Limit]:
    """Those of the configured limits that hold for such a run."""
    if not limits:
        return []
    key = concurrency["key"] if concurrency else None
    held: Mapping[str, Sequence[Any]] = {
        "agent": [spec["agent_id"]],
        "tag": spec["tags"],
        "key": [key],
    }
    return [limit for limit in limits if limit.value in held[limit.of]]


def mark(
    spec: Mapping[str, Any], concurrency: Concurrency | None, limits: Sequence[Limit]
) -> str:
    """What tells the class of such a run from others; "" where nothing holds."""
    if concurrency is None and not limits:  # nearly all
        return ""
    names = [limit.name for limit in limits_of(spec, concurrency, limits)]
    if concurrency is None and not names:
        return ""
    packed = orjson.dumps([concurrency, names], option=orjson.OPT_SORT_KEYS)
    return GROUPED + hashlib.blake2b(packed, digest_size=5).hexdigest()


def remarked(name: str, mark_now: str) -> str:
    """The class's name with another mark."""
    return name.partition(GROUPED)[0] + mark_now
