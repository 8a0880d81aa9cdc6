"""What the variables of a condition are at an instant. Pure.

A value that is missing or stale is left out, and whatever hangs on it is unknown; the
age of a stale one is still told, so that a condition can watch for silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scheduling.conditions.rules import Reference
from scheduling.sensor_values import Value


@dataclass(slots=True)
class Held:
    """What is known of one sensor."""

    value: Value | None = None
    at: datetime | None = None
    previous: Value | None = None
    stale_after_s: float | None = None

    def stale_at(self) -> datetime | None:
        if self.at is None or self.stale_after_s is None:
            return None
        return self.at + timedelta(seconds=self.stale_after_s)

    def is_stale(self, now: datetime) -> bool:
        end = self.stale_at()
        return end is not None and now >= end


def variables(
    references: Iterable[Reference],
    sensors: Mapping[str, Held],
    facts: Mapping[str, Any],
    zone: ZoneInfo,
    now: datetime,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in references:
        if one.root == "sensors":
            value = of_sensor(sensors.get(one.name), one.field, now)
        elif one.root == "now":
            value = of_clock(one.field, now.astimezone(zone))
        else:
            value = facts.get(one.variable)
        if value is not None:
            found[one.variable] = value
    return found


def of_sensor(held: Held | None, field: str, now: datetime) -> Any:
    if held is None or held.at is None:
        return None
    if field == "at":
        return held.at
    if field == "age":
        return max(0.0, (now - held.at).total_seconds())
    if held.is_stale(now):
        return None
    return held.previous if field == "previous" else held.value


def of_clock(field: str, local: datetime) -> int:
    return local.isoweekday() if field == "weekday" else int(getattr(local, field))


def shown(one: Reference, values: Mapping[str, Any]) -> Any:
    """The value of one reference among the variables; None where it is unknown."""
    value = values.get(one.variable)
    if one.root in ("agents", "nodes"):
        return (value or {}).get(one.name, {}).get(one.field)
    return value.isoformat() if isinstance(value, datetime) else value


def by_name(
    references: Iterable[Reference], values: Mapping[str, Any]
) -> dict[str, Any]:
    """Each reference as it is written, and its value."""
    return {written(one): shown(one, values) for one in references}


def written(one: Reference) -> str:
    if one.root in ("agents", "nodes"):
        return f'{one.root}["{one.name}"].{one.field}'
    return one.variable


def text_of(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return f'"{value[:60]}"' if isinstance(value, str) else str(value)


def missing(
    references: Iterable[Reference],
    values: Mapping[str, Any],
    sensors: Mapping[str, Held],
    now: datetime,
) -> str:
    """What a condition waits for, in words; "" when nothing is missing."""
    for one in references:
        if shown(one, values) is not None:
            continue
        if one.root != "sensors":
            return f"waits for {one.label}"
        held = sensors.get(one.name)
        if held is None or held.at is None:
            return f"waits for sensor {one.name}: it has no value yet"
        if one.field == "previous" and not held.is_stale(now):
            return f"waits for sensor {one.name}: it has had one value only"
        told = held.at.strftime("%Y-%m-%d %H:%M:%S UTC")
        return f"waits for sensor {one.name}: its value of {told} is too old"
    return ""
