"""The part of a registration that says which runs share a group, and how many of it may
run at once. A schedule and a spawn may state the same.

Every rule raises ValueError with one sentence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from agents.definition_parts import Strict
from agents.quantities import shown
from agents.text import unreadable

MAX_KEY = 80
MOST = 100_000
PLACE = re.compile(r"\{params\.([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*)\}", re.ASCII)


def template(text: str) -> str:
    if not 0 < len(text) <= MAX_KEY:
        raise ValueError(f"must have 1 to {MAX_KEY} characters")
    if said := unreadable(text):
        raise ValueError(said)
    rest = PLACE.sub("", text)
    if "{" in rest or "}" in rest:
        raise ValueError(
            f"{shown(text)} has braces that are no place such as {{params.table}}"
        )
    return text


class Concurrency(Strict):
    """A group of runs by its key, of which `limit` may run at once."""

    key: Annotated[str, AfterValidator(template)] | None = None  # None: the agent's id
    limit: Annotated[int, Field(ge=1, le=MOST)]
    on_full: Literal["queue", "skip", "cancel_oldest"] = "queue"


def concurrency_words(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """As a registration says it."""
    stored = spec.get("concurrency")
    return stored and {k: v for k, v in stored.items() if v is not None}
