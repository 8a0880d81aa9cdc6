"""Whether a condition can be asked at all, and what it comes to now."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from django.conf import settings

from agents.errors import Invalid
from agents.http import wrong
from agents.models import Agent, Node
from scheduling import sensor_values
from scheduling.conditions import cel, facts, rules, values
from scheduling.conditions.rules import Condition, Reference, Root
from scheduling.conditions.values import Held
from scheduling.models import Schedule
from scheduling.sensor_models import Sensor

MAX_VALUES = 200


def check(rule: str) -> None:
    """Raises ValueError with a sentence: what it names is missing or does not fit."""
    condition = rules.parse(rule)
    wanted = rules.all_references(condition)
    kinds = kinds_of(wanted)
    for one in wanted:
        _there(one, kinds)
    for expression in condition.expressions:
        cel.program(expression, kinds)


def kinds_of(wanted: tuple[Reference, ...]) -> dict[str, cel.Kind]:
    names = {one.name for one in wanted if one.root == "sensors"}
    rows = Sensor.objects.filter(name__in=names, per_topic=False)
    return {
        name: cast(cel.Kind, kind) for name, kind in rows.values_list("name", "type")
    }


def _there(one: Reference, kinds: Mapping[str, cel.Kind]) -> None:
    if one.root == "sensors" and one.name not in kinds:
        _missing("sensor", one, Sensor.objects.values_list("name", flat=True))
    if one.root == "agents":
        live = Agent.objects.filter(retired_at__isnull=True)
        if not live.filter(agent_id=one.name).exists():
            _missing("agent", one, live.values_list("agent_id", flat=True))
    if one.root == "nodes" and not Node.objects.filter(name=one.name).exists():
        _missing("node", one, Node.objects.values_list("name", flat=True))


def _missing(what: str, one: Reference, known: Any) -> None:
    if what == "sensor" and Sensor.objects.filter(name=one.name).exists():
        raise ValueError(
            f"at {one.start + 1}: {one.name} has a sensor for each of its topics; "
            "name one of them"
        )
    close = difflib.get_close_matches(one.name[:80], list(known[:1000]), n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise ValueError(f"at {one.start + 1}: there is no {what} {one.name[:80]!r}{hint}")


def held_now(names: set[str]) -> dict[str, Held]:
    rows = Sensor.objects.filter(name__in=names, enabled=True)
    return {
        row.name: Held(row.value, row.at, row.previous, row.stale_after_s)
        for row in rows
    }


def looked_at(
    expression: str, held: Mapping[str, Held], zone: ZoneInfo, now: datetime
) -> dict[str, Any]:
    """{level, used, error} of one expression now."""
    wanted = rules.references(expression)
    known = values.variables(wanted, held, facts.read(wanted, now), zone, now)
    level = cel.program(expression, kinds_of(wanted)).level(known)
    error = values.missing(wanted, known, held, now) or level.error
    return {
        "level": level.value,
        "used": values.by_name(wanted, known),
        "error": error if level.value is None else None,
    }


def notes(schedule: Schedule, now: datetime) -> list[str]:
    """What the condition comes to now, for a preview."""
    condition = rules.parse(schedule.rule)
    held = held_now(rules.names_of(condition, "sensors"))
    zone = ZoneInfo(schedule.timezone)
    found = looked_at(condition.when, held, zone, now)
    told = ", ".join(
        f"{name} is {values.text_of(value)}"
        for name, value in found["used"].items()
        if value is not None
    )
    level = {True: "true", False: "false", None: "unknown"}[found["level"]]
    lines = [f"It is {level} now{': ' + told if told else ''}."]
    if found["error"]:
        lines.append(f"It {found['error']}.".replace("It it", "It"))
    lines.append("It fires when it becomes true, not at fixed times.")
    return lines


def dry_run(raw: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """POST conditions/test/: a condition, with values in place of the sensors' own.

    Raises Invalid naming the field.
    """
    condition = _condition(raw.get("condition"))
    held = held_now(rules.names_of(condition, "sensors"))
    held |= _given(raw.get("values"), condition, now)
    zone = ZoneInfo(settings.TIME_ZONE)
    answer = looked_at(condition.when, held, zone, now)
    answer["human"] = rules.words(condition)
    if condition.reset_when is not None:
        answer["reset"] = looked_at(condition.reset_when, held, zone, now)["level"]
    return answer


def _condition(value: object) -> Condition:
    try:
        condition = rules.read(value)
        check(rules.stored(condition))
    except ValueError as error:
        raise wrong("condition", str(error)) from None
    return condition


def _given(raw: object, condition: Condition, now: datetime) -> dict[str, Held]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping) or len(raw) > MAX_VALUES:
        raise wrong("values", "expected an object of sensors and their values")
    root: Root = "sensors"
    kinds = dict(
        Sensor.objects.filter(name__in=rules.names_of(condition, root)).values_list(
            "name", "type"
        )
    )
    held = {}
    for name, value in raw.items():
        if name not in kinds:
            raise wrong("values", f"the condition names no sensor {str(name)[:80]!r}")
        try:
            held[name] = Held(sensor_values.typed(value, kinds[name]), now)
        except sensor_values.Unfit as unfit:
            raise Invalid(
                f"values: {name}: {unfit}", {"values": [f"{name}: {unfit}"]}
            ) from None
    return held
