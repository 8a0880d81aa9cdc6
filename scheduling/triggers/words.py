"""Rules in words people use, and remarks on what the clocks do to them."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import takewhile
from typing import cast
from zoneinfo import ZoneInfo

from cron_descriptor import ExpressionDescriptor, Options

from scheduling.triggers.base import Trigger
from scheduling.triggers.cron import CronTrigger, touched_by
from scheduling.triggers.cron_rule import CronRule, join
from scheduling.triggers.interval import IntervalTrigger
from scheduling.triggers.spans import span
from scheduling.triggers.zones import Change, changes_from, local

MOST_REMARKS = 4


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


def day_and_time(moment: datetime, zone: ZoneInfo) -> str:
    shown = local(zone, moment)
    clock = f"{shown:%H:%M}" if shown.second == 0 else f"{shown:%H:%M:%S}"
    return f"{shown:%a} {shown.day} {shown:%b %Y} at {clock} ({zone.key})"


def remarks_on_clocks(
    trigger: Trigger, zone: ZoneInfo, since: datetime, until: datetime
) -> list[str]:
    """What happens to the rule at each change of the clocks in (since, until]."""
    if not isinstance(trigger, CronTrigger):
        return []
    inside = takewhile(lambda c: c.at <= until, changes_from(zone, since))
    touched = [c for c in inside if touched_by(trigger, c)]
    return [remark(trigger, zone, change) for change in touched[:MOST_REMARKS]]


def remark(trigger: CronTrigger, zone: ZoneInfo, change: Change) -> str:
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


def gap_words(trigger: CronTrigger, change: Change) -> str:
    if not trigger.fires_after_a_gap:
        return "what falls there does not run"
    first = change.stretch[1]
    return f"what falls there runs at {first:%a %H:%M}"
