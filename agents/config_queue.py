"""The section `queue` of the configuration: what waiting counts for. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agents.config_readers import number, seconds

LONGEST_S = 365 * 86_400.0
DURATION = "a duration from 0 (off) to 365 days, such as 10m"


@dataclass(frozen=True, slots=True)
class Queue:
    ageing_s: float = 600.0  # waiting this long counts as one priority; 0: never
    longest_wait_s: float = 7200.0  # then it goes before whatever is younger; 0: never


QUEUE_KEYS = (
    ("queue.ageing", "queue.ageing_s", DURATION, seconds(0, LONGEST_S), number),
    (
        "queue.longest_wait",
        "queue.longest_wait_s",
        DURATION,
        seconds(0, LONGEST_S),
        number,
    ),
)
