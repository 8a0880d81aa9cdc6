"""How often: "every other Tuesday", "every 15 minutes", "twice a day", "monthly"."""

from __future__ import annotations

from typing import cast

from scheduling.triggers.human import (
    Days,
    EveryDay,
    EveryDays,
    Nth,
    OnWeekdays,
    Period,
)
from scheduling.triggers.human_dates import Chosen, day_item
from scheduling.triggers.human_draft import Draft
from scheduling.triggers.human_tokens import Cursor, Token
from scheduling.triggers.human_words import (
    ADVERBS,
    MONTH,
    PARTS,
    PERIODS,
    STEPS,
    WEEKDAY,
)

TIMES_A_DAY = (1, 2, 3, 4, 6, 8, 12, 24)
MOST_DAYS, MOST_WEEKS = 366, 52


def every(draft: Draft) -> None:
    cursor = draft.cursor
    token = cursor.here
    if _fraction(draft):
        return
    place = cursor.place
    number, ordinal = 1, None
    if cursor.take("other"):
        number = 2
    elif cursor.sees("second") and not _counts(cursor):
        pass  # the unit
    elif (ordinal := cursor.ordinal()) is not None:
        number = ordinal
        in_a_period = cursor.ahead().text in ("of", "in")
        if _is_unit(cursor.here) and number < 2 and not in_a_period:
            cursor.fail(f'of what? write "{token.raw} day of the month"', token)
        if not _is_unit(cursor.here) or in_a_period:
            cursor.place = place
            _ordinal_days(draft)
            return
    elif (given := cursor.number()) is not None:
        number = given
    if number < 1:
        cursor.fail("is not a number to count by", token)
    _days_or_unit(draft, number, token)


def _counts(cursor: Cursor) -> bool:
    """In "every second …": whether it is the ordinal, not the length of time."""
    place = cursor.place
    cursor.step()
    after = cursor.here
    cursor.place = place
    return _is_unit(after) or after.text in (*WEEKDAY, "weekday", "business", "weekend")


def _is_unit(token: Token) -> bool:
    names = ("day", "days", "week", "weeks", "fortnight", "month", "months")
    return token.text in (*names, *STEPS, *PERIODS)


def _ordinal_days(draft: Draft) -> None:
    """ "every 1st and 15th", "every last Friday of the month"; "every third Friday"
    means two things."""
    cursor = draft.cursor
    chosen = day_item(cursor)
    if chosen is None:
        cursor.fail()
    if chosen.open and isinstance(chosen.days, Nth) and chosen.days.what != "day":
        token, what = chosen.token, chosen.days.what
        weeks = max(2, chosen.days.ordinals[0])
        cursor.fail(
            f'has two meanings; write "every {weeks} weeks on {what}" or '
            f'"{token.raw} {what} of the month"',
            token,
        )
    draft.choose(chosen)


def _fraction(draft: Draft) -> bool:
    """ "every half hour", "every quarter of an hour"."""
    cursor, place = draft.cursor, draft.cursor.place
    token = cursor.here
    if not cursor.take("half", "quarter"):
        return False
    step_s = 1800 if cursor.last.text == "half" else 900
    cursor.take("of")
    cursor.take("an", "a")
    if cursor.take("hour"):
        draft.every(token, step_s)
        return True
    cursor.place = place
    return False


def _days_or_unit(draft: Draft, number: int, token: Token) -> None:
    cursor = draft.cursor
    here = cursor.here
    if here.text in STEPS and here.text not in ("s", "m", "h"):
        cursor.step()
        draft.every(token, number * STEPS[here.text])
    elif here.text in STEPS and token.kind == "number":
        cursor.step()  # "every 15m"
        draft.every(token, number * STEPS[here.text])
    elif _is_unit(here) or here.text in PARTS:
        count_by(draft, number, cursor.step().text, token)
    else:
        _every_days(draft, number, token)


def _every_days(draft: Draft, number: int, token: Token) -> None:
    cursor = draft.cursor
    chosen = day_item(cursor)
    if chosen is None:
        if cursor.here.text in MONTH:
            cursor.fail("says no day; write which days of it")
        cursor.fail()
    if number == 1:
        draft.choose(chosen)
        return
    only = chosen.days
    plain = isinstance(only, OnWeekdays) and len(only.days) != 5
    if not plain or not isinstance(only, OnWeekdays):
        cursor.fail("cannot be counted by more than one", chosen.token)
    draft.weeks(token, number)
    draft.choose(chosen)


def count_by(draft: Draft, number: int, unit: str, token: Token) -> None:
    cursor = draft.cursor
    if unit in PARTS:
        if number != 1:
            cursor.fail()
        draft.in_part(token, PARTS[unit])
    elif unit in ("day", "days"):
        if number > MOST_DAYS:
            cursor.fail(f"is more than {MOST_DAYS} days", token)
        days: Days = EveryDay() if number == 1 else EveryDays(number)
        draft.choose(Chosen(token, days))
    elif unit in ("week", "weeks", "fortnight"):
        number *= 2 if unit == "fortnight" else 1
        if number > MOST_WEEKS:
            cursor.fail(f"is more than {MOST_WEEKS} weeks", token)
        draft.weeks(token, number)
    elif unit == "hour":
        draft.every(token, number * 3600)
    else:
        draft.period(token, cast(Period, PERIODS[unit]), number)


def times_a_day(draft: Draft) -> bool:
    """ "once a day", "twice daily", "three times per day"; "once a week" too."""
    cursor, place = draft.cursor, draft.cursor.place
    token = cursor.here
    number: int | None
    if cursor.take("once", "twice"):
        number = 1 if cursor.last.text == "once" else 2
    else:
        number = cursor.number()
        if number is None or not cursor.take("times", "time"):
            cursor.place = place
            return False
    cursor.take("a", "per", "each", "every", "an")
    unit = cursor.step()
    word = ADVERBS.get(unit.text, unit.text)
    if (word, number) == ("day", 1):
        draft.said = True  # a rule that says no days means every day
    elif word != "day":
        _once_a(draft, number, word, unit)
    elif number in TIMES_A_DAY:
        draft.times_a_day(token, number)
    else:
        known = ", ".join(map(str, TIMES_A_DAY))
        cursor.fail(f"times a day can be {known}; or write the times", token)
    return True


def _once_a(draft: Draft, number: int, word: str, unit: Token) -> None:
    cursor = draft.cursor
    if not _is_unit(unit) and unit.text not in ADVERBS:
        cursor.fail(token=unit)
    if number != 1:
        cursor.fail("says too little: name the days, or the hours", unit)
    if word in STEPS:
        draft.every(unit, STEPS[word])
    else:
        count_by(draft, 1, word, unit)
