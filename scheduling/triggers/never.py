"""A schedule that no clock fires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class NeverTrigger:
    """`rule`: what fires it instead, for whoever puts it into words."""

    rule: str = ""

    def next_after(self, moment: datetime) -> datetime | None:
        return None

    def count(self, after: datetime, until: datetime) -> int:
        return 0
