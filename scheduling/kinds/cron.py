"""`cron`: five or six fields, or an alias such as @daily."""

from __future__ import annotations

from typing import cast
from zoneinfo import ZoneInfo

from scheduling.kinds.base import Context, Kind
from scheduling.triggers import cron_rule
from scheduling.triggers.base import Trigger
from scheduling.triggers.cron import CronTrigger, cron_trigger
from scheduling.triggers.cron_shift import shifted
from scheduling.triggers.words import cron_words


def read(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('expected a string such as "0 9 * * MON-FRI"')
    rule = cron_rule.parse(value)  # CronError is a ValueError with the sentence
    text = value.strip()
    return text if text.startswith("@") else cron_rule.join(_typed(value, rule.fields))


def _typed(value: str, fields: tuple[str, ...]) -> tuple[str, ...]:
    """The fields as they were typed, without the spaces between."""
    typed = tuple(value.split())
    return typed if len(typed) == 6 else (fields[0], *typed)


def trigger(rule: str, context: Context) -> CronTrigger:
    return cron_trigger(rule, context.zone, dst=context.dst, shift_s=context.shift_s)


def words(trigger: Trigger, zone: ZoneInfo) -> str:
    return f"{cron_words(cast(CronTrigger, trigger))} ({zone.key})"


KIND = Kind("cron", read, trigger, words, moved=shifted)
