"""Where other parts hang themselves onto the broker's messages. Imports nothing heavy.

A callback is called in a thread that may use the database, one message after the
other; what it raises is logged and stops nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Message:
    topic: str
    payload: bytes
    retained: bool
    at: datetime
    publish: Callable[[str, bytes], None]  # answers; from any thread, never waits


Callback = Callable[[Message], None]
HOOKS: dict[str, list[Callback]] = {}


def on_message(topic_filter: str, callback: Callback) -> None:
    """Have `callback` told of every message the filter meets, while a broker is
    configured."""
    HOOKS.setdefault(topic_filter, []).append(callback)
