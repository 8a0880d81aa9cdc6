"""How long an agent's runs take, for what is drawn: the median of its forecast."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from scheduling import forecasts
from scheduling.forecast_rules import COLD_S
from scheduling.forecasts import Book

UNKNOWN_S = COLD_S  # expected of an agent that nobody knows anything of
LEAST_S = 1.0  # shorter than this cannot be seen on a calendar

_drawn: tuple[Book, dict[int, float]] | None = None


def expected(now: datetime) -> Mapping[int, float]:
    """Agent's primary key -> seconds its next run will probably take.

    Agents without a forecast are missing; take UNKNOWN_S for them.
    """
    global _drawn
    book = forecasts.book(now)
    if _drawn is None or _drawn[0] is not book:
        found = {
            agent: book.duration(agent, history.kind)
            for agent, history in book.of_agent.items()
        }
        medians = {agent: max(q.p50, LEAST_S) for agent, q in found.items() if q.n}
        _drawn = (book, medians)
    return _drawn[1]


def forget() -> None:
    """Read afresh next time."""
    forecasts.forget()
