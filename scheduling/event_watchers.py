"""Which schedules wait for an event, by its source.

Ends of runs and changes of nodes ask for it on their way, so the answer is kept for a
second; what ended in the second before this process heard of a new schedule is found
by the leader, see run_events.catch_up.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from typing import Any, cast

from scheduling import hot_reads
from scheduling.batch_sql import as_instant
from scheduling.kinds.event import source_of
from scheduling.models import Schedule

KEPT_S = 1.0
# In these words the condition is that of the index schedule_of_events.
WATCHERS = f"""
SELECT id, rule, cursor_at FROM {Schedule._meta.db_table}
WHERE kind = 'event' AND ended_at IS NULL AND enabled ORDER BY id
"""


@dataclass(frozen=True, slots=True)
class Watcher:
    """A schedule that waits for an event. `since`: when its rule was made."""

    schedule_id: int
    source: str
    rule: Mapping[str, Any]
    since: datetime

    @property
    def what(self) -> Any:
        return self.rule[self.source]

    @property
    def schedule(self) -> Schedule:
        return Schedule(pk=self.schedule_id)


class _Kept:
    def __init__(self) -> None:
        self.lock = Lock()
        self.watchers: Sequence[Watcher] = ()
        self.good_until = 0.0


_kept = _Kept()


def read(source: str) -> list[Watcher]:
    """Those of the source, as the database has them now."""
    return [one for one in _read() if one.source == source]


def kept(source: str) -> Sequence[Watcher]:
    """The same as of at most KEPT_S ago; mostly none."""
    if time.monotonic() >= _kept.good_until:
        with _kept.lock:
            _kept.watchers = _read()
            _kept.good_until = time.monotonic() + KEPT_S
    if not _kept.watchers:
        return ()
    return [one for one in _kept.watchers if one.source == source]


def forget() -> None:
    """Read them afresh on the next call."""
    _kept.good_until = 0.0


def _read() -> list[Watcher]:
    found = []
    for pk, rule, cursor_at in hot_reads.rows(WATCHERS):
        source, value = source_of(rule)
        since = cast(datetime, as_instant(cursor_at))
        found.append(Watcher(pk, source, value, since))
    return found
