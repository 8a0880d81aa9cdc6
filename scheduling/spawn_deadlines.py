"""The deadlines of one request to run: durations from when it is due, or instants."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from agents.definition_deadlines import (
    LIMITS,
    NO_END,
    OnMissedFinish,
    OnMissedStart,
    misfit,
)
from agents.errors import Invalid
from agents.http import instant
from agents.models import Agent
from agents.quantities import QuantityError, parse_duration

Faults = dict[str, list[str]]
A_DAY = re.compile(r"\d{4}-\d\d", re.ASCII)  # so begins an instant, and no duration
CHOICES = {
    "on_missed_start": get_args(OnMissedStart),
    "on_missed_finish": get_args(OnMissedFinish),
}


def read(
    body: Mapping[str, Any], due_at: datetime, faults: Faults
) -> dict[str, Any] | None:
    """As runs.Wanted takes them; None when none are stated. Notes each fault."""
    found: dict[str, Any] = {}
    for name in LIMITS:
        if (value := body.get(name)) is not None:
            try:
                found[f"{name}_s"] = seconds(value, due_at, name)
            except Invalid as wrong:
                faults |= wrong.fields
    for name, words in CHOICES.items():
        if (value := body.get(name)) is not None:
            found[name] = value
            if value not in words:
                faults[name] = [f"expected one of {', '.join(words)}"]
    finish = found.get("finish_by_s")
    if finish and (said := misfit(None, found.get("start_by_s"), finish)):
        faults["finish_by"] = [said]
    return found or None


def seconds(value: object, due_at: datetime, field: str) -> float:
    """From when it is due. Raises Invalid naming the field."""
    if isinstance(value, str) and A_DAY.match(value):
        after_s = (instant(value, field=field) - due_at).total_seconds()
        if after_s > 0:
            return after_s
        said = "is not later than when the run is due"
        raise Invalid(f"{field}: {said}", {field: [said]})
    try:
        return parse_duration(value)
    except QuantityError as error:
        said = f'{error}; or an instant such as "2026-11-23T14:00:00Z"'
        raise Invalid(f"{field}: {said}", {field: [said]}) from None


def check(found: Mapping[str, Any] | None, agent: Agent) -> None:
    """Raises Invalid for what an agent of this kind cannot do."""
    if found and "finish_by_s" in found and agent.kind == "persistent":
        raise Invalid(f"finish_by: {NO_END}", {"finish_by": [NO_END]})
