"""Limits one by one: the configuration's list of them, read with their use and changed.

The list is one key of the configuration, so a change is checked, journaled and spread
like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from agents import config_limits, live_config
from agents.config_limits import Limit
from agents.errors import AlreadyExists, Invalid, NotFound
from agents.http import iso
from agents.models import ConfigOverride
from agents.quantities import shown
from scheduling import limiting, live_runs

KEY = "limits"
GROUPS_SHOWN = 500


def listed(now: datetime) -> dict[str, Any]:
    """Every limit with what is used of it, and the groups that have runs."""
    limits = live_config.current().limits
    running, buckets = limiting.running_by_cap(limits), limiting.buckets(now)
    items = [told(limit, running, buckets.get(limit.name)) for limit in limits]
    return {"items": items, "next": None, "groups": groups()}


def told(limit: Limit, running: Mapping[str, int], bucket: Any) -> dict[str, Any]:
    opens_at = bucket.opens_at() if bucket is not None else None
    return {
        "agent": None,
        "tag": None,
        "key": None,
        "max_running": None,
        "rate": None,
        **config_limits.write_one(limit),
        "running": running.get(limiting.cap_name(limit), 0),
        "opens_at": iso(opens_at) if bucket and not bucket.is_open() else None,
    }


def groups() -> list[dict[str, Any]]:
    """Groups of which runs wait or run: how many, and the limit they state."""
    running, waiting, limit = Counter[str](), Counter[str](), dict[str, int]()
    for rows, into in ((live_runs.began(), running), (live_runs.queued(), waiting)):
        known = rows.filter(concurrency__isnull=False).order_by()
        for own in known.values_list("concurrency", flat=True):
            assert own is not None, "asked for those alone"
            into[own["key"]] += 1
            limit[own["key"]] = own["limit"]
    return [
        {
            "key": key,
            "limit": limit[key],
            "running": running[key],
            "waiting": waiting[key],
        }
        for key in sorted(limit)[:GROUPS_SHOWN]
    ]


def find(name: str) -> Limit:
    """Raises NotFound."""
    for limit in live_config.current().limits:
        if limit.name == name:
            return limit
    raise NotFound(f"there is no limit {shown(name)}")


def add(raw: object, *, actor: str, now: datetime) -> Limit:
    """Raises Invalid naming the key at fault, AlreadyExists for a taken name."""
    fresh = checked(raw)
    with transaction.atomic():
        known = _current()
        if any(limit.name == fresh.name for limit in known):
            raise AlreadyExists(f"there is a limit {fresh.name} already")
        _keep([*known, fresh], actor, now)
    return fresh


def change(name: str, raw: object, *, actor: str, now: datetime) -> Limit:
    """Change some keys; null takes one away. Raises as add, and NotFound."""
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with what is to change")
    with transaction.atomic():
        known = _current()
        old = find(name)
        fresh = checked({**config_limits.write_one(old), **raw})
        if fresh.name != name:
            said = "a limit keeps its name; make another one"
            raise Invalid(f"name: {said}", {"name": [said]})
        _keep([fresh if one.name == name else one for one in known], actor, now)
    return fresh


def delete(name: str, *, actor: str, now: datetime) -> None:
    """Raises NotFound."""
    with transaction.atomic():
        known = _current()
        gone = find(name)
        _keep([limit for limit in known if limit != gone], actor, now)


def checked(raw: object) -> Limit:
    """Raises Invalid."""
    try:
        return config_limits.read_one(raw)
    except TypeError as error:
        raise Invalid(str(error)) from None
    except ValueError as error:
        field, _, said = str(error).partition(": ")
        raise Invalid(str(error), {field: [said]}) from None


def _current() -> list[Limit]:
    """As they stand, nobody else changing them meanwhile."""
    list(ConfigOverride.objects.select_for_update().filter(key=KEY))
    live_config.forget()
    return list(live_config.current().limits)


def _keep(limits: list[Limit], actor: str, now: datetime) -> None:
    value = config_limits.write(limits)
    live_config.set_override(KEY, value, actor=actor, now=now)
