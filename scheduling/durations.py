"""How long an agent's runs take, for what is drawn: the quantiles of its forecast."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from scheduling import forecasts
from scheduling.forecast_rules import COLD_S, Quantiles
from scheduling.forecasts import Book

UNKNOWN_S = COLD_S  # expected of an agent that nobody knows anything of
LEAST_S = 1.0  # shorter than this cannot be seen on a calendar

_drawn: tuple[Book, dict[int, Quantiles], dict[int, float]] | None = None


def expected(now: datetime) -> Mapping[int, float]:
    """Agent's primary key -> seconds its next run will probably take.

    Agents without a forecast are missing; take UNKNOWN_S for them.
    """
    return _known(now)[2]


def quantiles(now: datetime) -> Mapping[int, Quantiles]:
    """Agent's primary key -> all that is known of how long its runs take. The same
    agents as in `expected`."""
    return _known(now)[1]


def _known(now: datetime) -> tuple[Book, dict[int, Quantiles], dict[int, float]]:
    global _drawn
    book = forecasts.book(now)
    if _drawn is None or _drawn[0] is not book:
        found = {
            agent: took
            for agent, history in book.of_agent.items()
            if (took := book.duration(agent, history.kind)).n
        }
        medians = {agent: max(took.p50, LEAST_S) for agent, took in found.items()}
        _drawn = (book, found, medians)
    return _drawn


def forget() -> None:
    """Read afresh next time."""
    forecasts.forget()
