"""Say a cron rule anew, so many seconds later, where cron can say it.

"0 9 * * MON-FRI" an hour later is "0 10 * * MON-FRI"; "30 23 * * FRI" is "30 0 * * 6".
Where the fields cannot hold the answer (an L, times that spill over midnight in part)
there is none, and the caller keeps an offset beside the rule.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise, product

from scheduling.triggers.cron_rule import DAY_S, LONG_AGO, CronRule, join, parse

MOST_TIMES = 1_500  # a rule by the second is not said anew, it is moved by an offset
SAFE_DAYS = range(1, 29)  # every month has them


def shifted(text: str, by_s: int) -> str | None:
    """The expression for the same times `by_s` seconds later; None: cannot be said."""
    rule = parse(text)
    if by_s == 0:
        return text
    times = _times(rule)
    if times is None:
        return None
    moved = [t + by_s for t in times]
    carries = {t // DAY_S for t in moved}
    every_day = rule.fields[3:] == ("*", "*", "*")
    if len(carries) > 1 and not every_day:
        return None
    of_day = _as_fields(rule, {t % DAY_S for t in moved})
    days = rule.fields[3:] if every_day else _later_days(rule, carries.pop())
    if of_day is None or days is None:
        return None
    return _proven(rule, of_day + days, by_s)


def _times(rule: CronRule) -> list[int] | None:
    if rule.per_day > MOST_TIMES:
        return None
    parts = product(rule.hours, rule.minutes, rule.seconds)
    return [h * 3600 + m * 60 + s for h, m, s in parts]


def _as_fields(rule: CronRule, times: set[int]) -> tuple[str, str, str] | None:
    """Second, minute and hour fields for exactly these times of the day."""
    hours = {t // 3600 for t in times}
    minutes = {t // 60 % 60 for t in times}
    seconds = {t % 60 for t in times}
    if len(hours) * len(minutes) * len(seconds) != len(times):
        return None
    old = (rule.seconds, rule.minutes, rule.hours)
    said = [
        text if values == set(before) else _field(values, span)
        for text, values, before, span in zip(
            rule.fields, (seconds, minutes, hours), old, (60, 60, 24), strict=False
        )
    ]
    return said[0], said[1], said[2]


def _field(values: set[int], span: int) -> str:
    """The shortest usual way to write a set of numbers."""
    ordered = sorted(values)
    if len(ordered) == span:
        return "*"
    steps = {b - a for a, b in pairwise(ordered)}
    if len(ordered) < 3 or len(steps) != 1:
        return ",".join(map(str, ordered))
    step = steps.pop()
    low, high = ordered[0], ordered[-1]
    if low == 0 and high + step >= span:
        return f"*/{step}"
    if high + step >= span:
        high = span - 1
    return f"{low}-{high}" if step == 1 else f"{low}-{high}/{step}"


def _later_days(rule: CronRule, days: int) -> tuple[str, str, str] | None:
    """Day of month, month and day of week so many days later; None: cannot be said."""
    day, month, weekday = rule.fields[3:]
    if days == 0:
        return day, month, weekday
    if day == "*" and month == "*":
        numbers = rule.sets.weekdays
        if not all(isinstance(n, int) for n in numbers):
            return None
        later = {(n + days) % 7 for n in numbers if isinstance(n, int)}
        return day, month, _field(later, 7)
    if weekday == "*" and {d + days for d in rule.sets.days} <= set(SAFE_DAYS):
        return _field({d + days for d in rule.sets.days}, 31), month, weekday
    return None


def _proven(rule: CronRule, fields: tuple[str, ...], by_s: int) -> str | None:
    """The new expression, once it is shown to mean the old one moved: the same first
    times of a year, and the same nature where clocks change."""
    text = join(fields)
    new, wanted = parse(text), replace(rule, shift=timedelta(seconds=by_s))
    if new.repeats_within_the_day != rule.repeats_within_the_day:
        return None
    return text if _same_year(new, wanted) else None


def _same_year(new: CronRule, wanted: CronRule) -> bool:
    at = LONG_AGO
    for _ in range(400):
        a, b = new.next_local(at), wanted.next_local(at)
        if a != b or a is None:
            return a == b
        at = a + timedelta(seconds=1)
    return True
