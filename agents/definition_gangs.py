"""The part of a registration that says how many runs of an agent start at once.

A schedule and a node of a graph may state the same, and go before it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agents.definition_concurrency import Concurrency

MAX_GANG = 1_000
Gang = Annotated[int, Field(ge=2, le=MAX_GANG)]


def misfit(kind: str | None, concurrency: Concurrency | None, size: int) -> str:
    """Why so many can never run at once; "" when they can."""
    if kind == "persistent":
        return "there is only one run of a persistent agent"
    if concurrency is not None and concurrency.limit < size:
        return f"{size} at once, and its concurrency lets only {concurrency.limit} run"
    return ""
