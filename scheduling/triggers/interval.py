"""Every so many seconds from an anchor: exact, whatever clocks show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

LEAST_S = 1
MOST_S = 3_660 * 86_400  # ten years


@dataclass(frozen=True, slots=True)
class IntervalTrigger:
    """Fires at anchor, anchor + every, anchor + 2·every …"""

    anchor_at: datetime
    every: timedelta

    def next_after(self, moment: datetime) -> datetime | None:
        if moment < self.anchor_at:
            return self.anchor_at
        steps = (moment - self.anchor_at) // self.every + 1
        return self.anchor_at + steps * self.every

    def count(self, after: datetime, until: datetime) -> int:
        return max(0, self._up_to(until) - self._up_to(after))

    def _up_to(self, moment: datetime) -> int:
        return max(0, (moment - self.anchor_at) // self.every + 1)
