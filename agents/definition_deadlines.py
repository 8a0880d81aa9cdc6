"""The part of a registration that says by when a run must have started and finished,
and what happens to one that has not. A schedule and a spawn may state the same.

Durations count from the instant a run is due. Stored is only what was stated, so that
a schedule's word goes over the agent's key by key, and a spawn's over both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol

OnMissedStart = Literal["run_late", "cancel"]
OnMissedFinish = Literal["alert", "stop"]
LIMITS = ("start_by", "finish_by")
POLICIES = ("on_missed_start", "on_missed_finish")
DEADLINE_KEYS = (*LIMITS, *POLICIES)
NO_END = "a persistent agent has no end to finish by"


class States(Protocol):
    """A checked form with the four keys, None where nothing was stated."""

    start_by: float | None
    finish_by: float | None
    on_missed_start: OnMissedStart | None
    on_missed_finish: OnMissedFinish | None


def deadlines_spec(said: States) -> dict[str, Any] | None:
    """As it is stored; None when nothing was stated."""
    found = {
        "start_by_s": said.start_by,
        "finish_by_s": said.finish_by,
        "on_missed_start": said.on_missed_start,
        "on_missed_finish": said.on_missed_finish,
    }
    return {k: v for k, v in found.items() if v is not None} or None


def deadlines_words(stored: Mapping[str, Any] | None) -> dict[str, Any]:
    """The four keys as they are sent, None where nothing was stated."""
    known = stored or {}
    return {
        **{key: known.get(f"{key}_s") for key in LIMITS},
        **{key: known.get(key) for key in POLICIES},
    }


def misfit(kind: str | None, start_by: float | None, finish_by: float) -> str:
    """What is wrong with finishing by then; "" when nothing is."""
    if kind == "persistent":
        return NO_END
    if start_by is not None and start_by >= finish_by:
        return "is not later than start_by"
    return ""
