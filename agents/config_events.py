"""The config section `events`: what fires schedules from outside. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agents.config_readers import is_root, texts, whole


@dataclass(frozen=True, slots=True)
class Events:
    file_roots: tuple[str, ...] = ()  # where files may be waited for; (): nowhere
    hook_calls_per_minute: int = 600  # of one hook; more are answered with 429


def keys(key: Callable[..., Any]) -> tuple[Any, ...]:
    """The section's rows of KEYS, made with its `Key`."""
    calls = "events.hook_calls_per_minute"
    roots = "events.file_roots"
    return (
        key(roots, roots, "a list of absolute folders", texts(is_root), list),
        key(calls, calls, "a whole number from 1 to 100000", whole(1, 100_000)),
    )
