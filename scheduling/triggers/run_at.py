"""Once, at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class RunAtTrigger:
    at: datetime

    def next_after(self, moment: datetime) -> datetime | None:
        return self.at if moment < self.at else None

    def count(self, after: datetime, until: datetime) -> int:
        return int(after < self.at <= until)
