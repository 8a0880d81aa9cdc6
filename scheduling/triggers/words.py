"""Rules in words people use, and remarks on what the clocks do to them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from itertools import takewhile
from typing import cast
from zoneinfo import ZoneInfo

from cron_descriptor import ExpressionDescriptor, Options

from scheduling.triggers.base import Trigger
from scheduling.triggers.calendars import CalendarTrigger, Choice, PassedOver
from scheduling.triggers.cron import CronTrigger, touched_by
from scheduling.triggers.cron_rule import CronRule, join
from scheduling.triggers.human import Every, is_anchored
from scheduling.triggers.human_print import to_text
from scheduling.triggers.human_trigger import HumanTrigger
from scheduling.triggers.interval import IntervalTrigger
from scheduling.triggers.spans import span
from scheduling.triggers.zones import Change, changes_from, local

MOST_REMARKS = 4
MOST_DAYS = 5  # that calendars take away, told one by one


def interval_words(trigger: IntervalTrigger, zone: ZoneInfo) -> str:
    since = day_and_time(trigger.anchor_at, zone)
    return f"Every {span(trigger.every)}, counted from {since}"


def cron_words(trigger: CronTrigger) -> str:
    options = Options()
    options.use_24hour_time_format = True
    rule = cast(CronRule, trigger.rule)
    expression = ExpressionDescriptor(join(rule.fields), options)
    said = str(expression.get_full_description())
    said = said.replace(", only on", ", on").replace(", only in", ", in")
    if rule.sets.day_and:  # both must match; cron-descriptor always says "or"
        said = said.replace(", or on ", ", and on ")
    if rule.shift:
        way = "later" if rule.shift > timedelta() else "earlier"
        said += f", {span(abs(rule.shift))} {way}"
    return said


def human_words(trigger: HumanTrigger) -> str:
    """The canonical text, and what it leaves unsaid: from which day it counts."""
    rule = trigger.rule
    text = to_text(rule)
    said = text[0].upper() + text[1:]
    times = rule.times
    if isinstance(times, Every) and times.end is None and 86_400 % times.step_s:
        said += ", counted anew each day"
    if trigger.shift:
        way = "later" if trigger.shift > timedelta() else "earlier"
        said += f", {span(abs(trigger.shift))} {way}"
    if is_anchored(rule) and (day := trigger.anchor) is not None:
        said += f", counted from {day:%a} {day.day} {day:%b %Y}"
    return said


def calendar_words(choice: Choice) -> str:
    """ ", only on business_days, except holidays (then on the next such day)"."""
    text = f", only on {' or '.join(choice.on)}" if choice.on else ""
    text += f", except {' and '.join(choice.without)}" if choice.without else ""
    if choice.shift == "skip":
        return text
    return f"{text} (what falls on another day moves to the {choice.shift} such day)"


def remarks_on_days(
    trigger: Trigger, since: datetime, until: datetime
) -> tuple[str, ...]:
    """Which days calendars take away, in (since, until]."""
    if not isinstance(trigger, CalendarTrigger):
        return ()
    found = trigger.passed_over(since, until, at_most=MOST_DAYS + 1)
    if not found:
        return ()
    shown = "; ".join(passed_words(one) for one in found[:MOST_DAYS])
    more = ", and more" if len(found) > MOST_DAYS else ""
    return (f"Skipped: {shown}{more}.",)


def passed_words(one: PassedOver) -> str:
    """ "Fri 25 Dec 2026 (holidays; it runs on Mon 28 Dec)"."""
    moved = one.moved_to
    then = f"; moved to {moved:%a} {moved.day} {moved:%b %Y}" if moved else ""
    return f"{one.day:%a} {one.day.day} {one.day:%b %Y} ({one.why}{then})"


def day_and_time(moment: datetime, zone: ZoneInfo) -> str:
    shown = local(zone, moment)
    clock = f"{shown:%H:%M}" if shown.second == 0 else f"{shown:%H:%M:%S}"
    return f"{shown:%a} {shown.day} {shown:%b %Y} at {clock} ({zone.key})"


def remarks_on_clocks(
    trigger: Trigger, zone: ZoneInfo, since: datetime, until: datetime
) -> list[str]:
    """What happens to the rule at each change of the clocks in (since, until]."""
    if isinstance(trigger, CronTrigger):
        touches: Callable[[Change], bool] = partial(touched_by, trigger)
    elif isinstance(trigger, HumanTrigger):
        touches = trigger.touched_by
    else:
        return []
    inside = takewhile(lambda c: c.at <= until, changes_from(zone, since))
    touched = [c for c in inside if touches(c)]
    return [remark(trigger, zone, change) for change in touched[:MOST_REMARKS]]


def remark(trigger: CronTrigger | HumanTrigger, zone: ZoneInfo, change: Change) -> str:
    low, high = change.stretch
    shown = f"{low:%H:%M} to {high:%H:%M}"
    day = f"{low:%a} {low.day} {low:%b %Y}"
    if change.is_gap:
        return f"{day}: {zone.key} leaves out {shown}; {gap_words(trigger, change)}"
    said = {
        "once": "it runs the first time only",
        "both": "it runs both times",
        "skip": "it does not run then",
    }[trigger.repeated]
    return f"{day}: {shown} comes twice in {zone.key}; {said}"


def gap_words(trigger: CronTrigger | HumanTrigger, change: Change) -> str:
    if not trigger.fires_after_a_gap:
        return "what falls there does not run"
    first = change.stretch[1]
    return f"what falls there runs at {first:%a %H:%M}"
