"""What a rule of local times must tell so that a zone's clocks can be laid under it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class LocalRule(Protocol):
    """Whole seconds as a clock on the wall shows them, without a zone."""

    @property
    def repeats_within_the_day(self) -> bool:
        """It says "every so often", not fixed times of the day."""
        ...

    def next_local(self, low: datetime) -> datetime | None:
        """The first local time at or after `low` (naive); None: none any more."""
        ...

    def count_local(self, low: datetime, high: datetime) -> int:
        """How many local times lie in [low, high)."""
        ...
