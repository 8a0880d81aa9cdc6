"""`rule`: a sentence people say, such as "every weekday at 9am except holidays".

Stored in its canonical form, which previews show; see docs/triggers.md.
"""

from __future__ import annotations

from typing import cast
from zoneinfo import ZoneInfo

from scheduling.kinds.base import Context, Kind
from scheduling.triggers.base import Trigger
from scheduling.triggers.human import names_in, needs_place
from scheduling.triggers.human_parser import parse
from scheduling.triggers.human_print import to_text
from scheduling.triggers.human_shift import shifted
from scheduling.triggers.human_trigger import HumanTrigger, human_trigger
from scheduling.triggers.words import human_words

TYPED_CHARS = 400  # no honest rule is longer


def read(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError('expected a sentence such as "every weekday at 9:00"')
    if len(value) > TYPED_CHARS:
        raise ValueError(f"longer than {TYPED_CHARS} characters")
    return to_text(parse(value))  # RuleError is a ValueError with the sentence


def trigger(rule: str, context: Context) -> HumanTrigger:
    return human_trigger(
        parse(rule),
        context.zone,
        dst=context.dst,
        shift_s=context.shift_s,
        place=context.place,
        anchor_at=context.anchor_at,
        calendars=context.calendars,
    )


def words(trigger: Trigger, zone: ZoneInfo) -> str:
    return f"{human_words(cast(HumanTrigger, trigger))} ({zone.key})"


def wants_place(rule: str) -> bool:
    return needs_place(parse(rule))


def calendars(rule: str) -> frozenset[str]:
    return names_in(parse(rule))


KIND = Kind(
    *("rule", read, trigger, words),
    moved=shifted,
    anchored=True,
    needs_place=wants_place,
    calendars=calendars,
)
