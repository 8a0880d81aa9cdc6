"""`condition`: when an expression over sensors, runs, agents and time is true."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from scheduling.conditions import cel, rules
from scheduling.kinds.base import Context, Kind
from scheduling.triggers.base import Trigger
from scheduling.triggers.never import NeverTrigger


def read(value: object) -> str:
    condition = rules.read(value)
    if not rules.names_of(condition, "sensors"):  # else their types are wanted first
        for expression in condition.expressions:
            cel.program(expression, {})
    return rules.stored(condition)


def check(rule: str) -> None:
    from scheduling.conditions import check as against  # asks the database

    against.check(rule)


def notes(schedule: Any, now: datetime) -> list[str]:
    from scheduling.conditions import check as against

    return against.notes(schedule, now)


def value(rule: str) -> object:
    return rules.shown(rules.parse(rule))


def trigger(rule: str, context: Context) -> NeverTrigger:
    rules.parse(rule)
    return NeverTrigger(rule)


def words(trigger: Trigger, zone: ZoneInfo) -> str:
    condition = rules.parse(cast(NeverTrigger, trigger).rule)
    told = rules.words(condition)
    clock = any(one.root == "now" for one in rules.all_references(condition))
    return f"{told} ({zone.key})" if clock else told


KIND = Kind(
    *("condition", read, trigger, words, value),
    by_clocks=False,
    check=check,
    notes=notes,
    timed=False,
)
