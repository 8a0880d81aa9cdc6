"""The configuration in force: default < file < override row.

A change is a row with its Event, never a change of the file. Every process reads it
again within CACHE_S, so that all follow within one heartbeat.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from datetime import datetime
from threading import Lock
from typing import Any

from django.conf import settings
from django.db import transaction

from agents import journal, redis
from agents.config_keys import KEYS, ConfigError, SchedulerConfig
from agents.config_words import ABOUT
from agents.errors import Invalid
from agents.http import iso
from agents.models import ConfigOverride

logger = logging.getLogger(__name__)
CACHE_S = 1.0


class Cache:
    """The last answer and until when it holds, for all threads of the process."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.config: SchedulerConfig | None = None
        self.good_until = 0.0


cache = Cache()


def current(now_monotonic: float | None = None) -> SchedulerConfig:
    """The configuration as of at most a second ago."""
    now_s = time.monotonic() if now_monotonic is None else now_monotonic
    config = cache.config
    if config is not None and now_s < cache.good_until:
        return config
    with cache.lock:
        cache.config = merged(overrides())
        cache.good_until = now_s + CACHE_S
        return cache.config


def forget() -> None:
    """Read the rows again on the next call."""
    cache.config = None


def of_file() -> SchedulerConfig:
    config: SchedulerConfig = settings.KOS
    return config


def overrides() -> dict[str, object]:
    return dict(ConfigOverride.objects.values_list("key", "value"))


def merged(rows: Mapping[str, object]) -> SchedulerConfig:
    """The file with the rows on top. A row that no longer fits is left out, loudly."""
    config = of_file()
    for key, value in rows.items():
        try:
            config = config.with_overrides({key: value})
        except ConfigError as error:
            logger.error("a stored override is ignored: %s", error)
    return config


def keys() -> tuple[str, ...]:
    return tuple(KEYS)


def describe() -> list[dict[str, Any]]:
    """Every key: its value, where that comes from, and what is allowed."""
    rows = {row.key: row for row in ConfigOverride.objects.all()}
    config = merged({key: row.value for key, row in rows.items()})
    return [one_key(name, config, rows.get(name)) for name in KEYS]


def one_key(
    name: str, config: SchedulerConfig, row: ConfigOverride | None
) -> dict[str, Any]:
    file = of_file()
    source = "file" if name in file.given else "default"
    return {
        "key": name,
        "value": config.value_of(name),
        "source": source if row is None else "override",
        "about": ABOUT.get(name, ""),
        "allowed": KEYS[name].allowed,
        "default": SchedulerConfig().value_of(name),
        "file": file.value_of(name) if name in file.given else None,
        "needs_restart": KEYS[name].restart,
        "set_at": iso(row.set_at) if row else None,
        "set_by": row.set_by if row else None,
    }


def set_override(key: str, value: object, *, actor: str, now: datetime) -> None:
    """Change one key; see set_overrides."""
    set_overrides({key: value}, actor=actor, now=now)


def preview(values: Mapping[str, object]) -> dict[str, Any]:
    """What `set_overrides` would change, and what would take it back. Nothing does.

    Raises Invalid as it does.
    """
    refuse_wrong(values)
    rows = overrides()
    kept = {key: row for key, row in rows.items() if key not in values}
    fresh = {key: value for key, value in values.items() if value is not None}
    before, after = merged(rows), merged({**kept, **fresh})
    changed = [
        {
            "key": name,
            "before": before.value_of(name),
            "after": after.value_of(name),
            "needs_restart": KEYS[name].restart,
        }
        for name in KEYS
        if before.value_of(name) != after.value_of(name)
    ]
    return {"changed": changed, "undo": {key: rows.get(key) for key in values}}


def refuse_wrong(values: Mapping[str, object]) -> None:
    wanted = {key: value for key, value in values.items() if value is not None}
    refuse_faults({**wanted, **{k: None for k in values if k not in KEYS}})


def set_overrides(
    values: Mapping[str, object], *, actor: str, now: datetime
) -> dict[str, Any]:
    """Change keys, all or none; null takes an override back. Answers as `preview`.

    Raises Invalid naming every key at fault. What already is so leaves no Event.
    """
    refuse_wrong(values)
    with transaction.atomic():
        told, before = preview(values), merged(overrides())
        for key, value in values.items():
            if value is None:
                ConfigOverride.objects.filter(key=key).delete()
            else:
                row = {"value": value, "set_at": now, "set_by": actor}
                ConfigOverride.objects.update_or_create(key=key, defaults=row)
        record_changes(before, merged(overrides()), actor=actor, now=now)
        transaction.on_commit(spread)
    return told


def replace_overrides(
    values: Mapping[str, object], *, actor: str, now: datetime
) -> None:
    """Make the configuration be what a whole file says: its keys, else defaults."""
    default = SchedulerConfig()
    refuse_faults(values)
    whole = {name: values.get(name, default.value_of(name)) for name in KEYS}
    file = of_file()
    wanted = default.with_overrides(whole)
    changes = {
        name: whole[name] if wanted.value_of(name) != file.value_of(name) else None
        for name in KEYS
    }
    set_overrides(changes, actor=actor, now=now)


def refuse_faults(values: Mapping[str, object]) -> None:
    try:
        of_file().with_overrides(values)
    except ConfigError as error:
        raise Invalid(
            str(error), {key: [said] for key, said in error.fields.items()}
        ) from None


def record_changes(
    before: SchedulerConfig, after: SchedulerConfig, *, actor: str, now: datetime
) -> None:
    for name in KEYS:
        old, new = before.value_of(name), after.value_of(name)
        if old != new:
            journal.record(
                "config.changed",
                f"config:{name}",
                actor=actor,
                at=now,
                key=name,
                before=old,
                after=new,
            )


def spread() -> None:
    """This process at once, the controller by a wake-up, all others within CACHE_S."""
    forget()
    redis.wake("config")
