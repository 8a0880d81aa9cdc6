"""Periodic chores by name. rq-scheduler says when, `run_worker` does them.

Apps above add theirs with `register` when they are loaded; what is due stands only in
Redis, so the leader puts missing entries back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Chore:
    every_s: float
    work: Callable[[datetime], Any]  # told the instant it runs at


CHORES: dict[str, Chore] = {}


def register(name: str, *, every_s: float, work: Callable[[datetime], Any]) -> None:
    """Have `work(now)` done every so often, on one node, at least once each time."""
    CHORES[name] = Chore(every_s, work)
