"""What a sink is handed: one message on its way to one target, complete."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from agents.config_sections import Results


@dataclass(frozen=True, slots=True)
class Parcel:
    id: str  # the same in every attempt, so that a receiver can drop doubles
    target: str
    body: bytes  # JSON, one line
    at: datetime  # of this attempt
    rules: Results
    run: str  # uid
    secret: str | None = field(default=None, repr=False)


class NotDelivered(Exception):
    """The target did not take it; the text says why, for people. `for_good`: trying
    again would change nothing."""

    def __init__(self, why: str, *, for_good: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good
