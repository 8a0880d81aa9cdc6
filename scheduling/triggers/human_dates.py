"""Days as a rule says them: weekdays, the last Friday of the month, December 24."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import cast

from scheduling.triggers.human import (
    BUSINESS_DAYS,
    HOLIDAYS,
    Days,
    InMonths,
    Nth,
    OnCalendar,
    OnDates,
    OnWeekdays,
    Period,
)
from scheduling.triggers.human_tokens import Cursor, Token
from scheduling.triggers.human_words import (
    AND,
    ARTICLES,
    MONTH,
    MONTH_DAYS,
    MONTHS,
    PERIODS,
    TO,
    WEEKDAY,
    WEEKDAYS,
)

WORK, REST = frozenset(range(5)), frozenset((5, 6))
MOST_OF = {"month": 31, "quarter": 92, "year": 366}
SEPARATORS = (*AND, ",")

NAME = re.compile(r"[^\W\d_][\w.-]*")  # of a calendar, without quotes


@dataclass(frozen=True, slots=True)
class Chosen:
    """Days as said, before the rest of the rule is known. `months` go with them;
    `open`: an ordinal that has not said of what."""

    token: Token
    days: Days
    months: frozenset[int] = frozenset()
    open: bool = False


def day_item(cursor: Cursor) -> Chosen | None:
    """The days that stand here, a list of one kind; None when no days do."""
    place = cursor.place
    cursor.skip_articles()
    token = cursor.here
    for read in (_weekdays, _calendar, _ordinals, _dates):
        found = read(cursor, token)
        if found is not None:
            return found
    cursor.place = place
    return None


def goes_on(cursor: Cursor, starts: object) -> bool:
    """Take "," and "and" when an item that `starts` knows stands behind them."""
    place = cursor.place
    while cursor.take(*SEPARATORS):
        if cursor.last.text == "or" and not cursor.leaving_out:
            cursor.fail('does not say which; write "and"', cursor.last)
    if cursor.place == place:
        return False
    cursor.skip_articles()
    if callable(starts) and starts(cursor):
        return True
    cursor.place = place
    return False


def _weekdays(cursor: Cursor, token: Token) -> Chosen | None:
    found = _weekday_set(cursor)
    if found is None:
        return None
    while goes_on(cursor, _starts_weekday):
        found |= _weekday_set(cursor) or frozenset()
    return Chosen(token, OnWeekdays(found))


def _starts_weekday(cursor: Cursor) -> bool:
    words = ("weekday", "weekdays", "weekend", "weekends")
    return cursor.here.text in WEEKDAY or cursor.sees(*words)


def _weekday_set(cursor: Cursor) -> frozenset[int] | None:
    if cursor.take("weekday", "weekdays"):
        return WORK
    if cursor.take("weekend", "weekends"):
        cursor.take("day", "days")
        return REST
    if cursor.here.text not in WEEKDAY:
        return None
    first = WEEKDAY[cursor.step().text]
    if cursor.sees(*TO) and cursor.ahead().text in WEEKDAY:
        cursor.step()
        last = WEEKDAY[cursor.step().text]
        return frozenset((first + n) % 7 for n in range((last - first) % 7 + 1))
    return frozenset((first,))


def business_days(cursor: Cursor) -> bool:
    if cursor.take("workday", "workdays"):
        return True
    follows = cursor.ahead().text in ("day", "days")
    if cursor.sees("business", "working", "work") and follows:
        cursor.step()
        cursor.step()
        return True
    return False


def _calendar(cursor: Cursor, token: Token) -> Chosen | None:
    if business_days(cursor):
        return Chosen(token, OnCalendar(BUSINESS_DAYS))
    if cursor.take("holiday", "holidays"):
        return Chosen(token, OnCalendar(HOLIDAYS))
    place = cursor.place
    if cursor.take("day", "days") and not cursor.take("in", "of"):
        cursor.place = place
    cursor.skip_articles()
    if not cursor.take("calendar", "calendars"):
        cursor.place = place
        return None
    return Chosen(token, OnCalendar(_name(cursor)))


def _name(cursor: Cursor) -> str:
    """A word such as night-shift_2, or anything in quotes."""
    first = cursor.step()
    if first.kind == "quoted" and first.text.strip('"'):
        return first.raw.strip('"')
    if first.kind != "word":
        cursor.fail("expected the name of a calendar", first)
    found = NAME.match(cursor.text, first.at - 1)
    name = found[0].rstrip(".") if found else first.raw
    while cursor.here.at <= first.at - 1 + len(name) and not cursor.done:
        cursor.step()
    return name.lower()


def _starts_ordinal(cursor: Cursor) -> bool:
    place = cursor.place
    found = cursor.ordinal() is not None
    cursor.place = place
    return found


def _ordinals(cursor: Cursor, token: Token) -> Chosen | None:
    first = cursor.ordinal()
    if first is None:
        return None
    numbers = {first}
    what = _what(cursor)
    while goes_on(cursor, _starts_ordinal):
        numbers.add(cast(int, cursor.ordinal()))
        later = _what(cursor)
        if what and later and later != what:
            cursor.fail("does not go with the days before it", cursor.last)
        what = what or later
    if not what and -1 in numbers:
        cursor.fail('what is last: "last day", "last Friday"?')
    nth = Nth(tuple(sorted(numbers)), what or "day")
    return _of(cursor, Chosen(token, nth, open=True), nth)


def _what(cursor: Cursor) -> str:
    if business_days(cursor):
        return "business day"
    if cursor.take("day", "days"):
        return "day"
    if cursor.take("weekday", "weekdays"):
        return "weekday"
    if cursor.take("weekend"):
        cursor.take("day", "days")
        return "weekend day"
    if cursor.here.text in WEEKDAY:
        return WEEKDAYS[WEEKDAY[cursor.step().text]]
    return ""


def _of(cursor: Cursor, chosen: Chosen, nth: Nth) -> Chosen:
    """What an ordinal is the ordinal of: "of every quarter", "of June", nothing."""
    place = cursor.place
    if nth.what == "day" and cursor.here.text in MONTH:  # "the 24th December"
        return _of_months(cursor, chosen, nth)
    if not cursor.take("of", "in"):
        return chosen
    every = 1
    while cursor.take("every", "each", *ARTICLES):
        pass
    if cursor.here.text in MONTH:
        return _of_months(cursor, chosen, nth)
    if cursor.take("other"):
        every = 2
    elif (number := cursor.number()) is not None:
        every = number
    unit = cursor.here
    if unit.text not in PERIODS:
        if cursor.tokens[place].text == "in":
            cursor.place = place
            return chosen
        cursor.fail("expected month, quarter, year or a month's name")
    cursor.step()
    of = period_of(cursor, nth, cast(Period, PERIODS[unit.text]), every, unit)
    return replace(chosen, days=of, open=False)


def period_of(cursor: Cursor, nth: Nth, period: Period, every: int, unit: Token) -> Nth:
    """The ordinals of a period. Fails for what no period has."""
    if every != 1 and period != "month":
        cursor.fail("only months can be counted by more than one", unit)
    if not 1 <= every <= 24:
        cursor.fail("expected 1 to 24 months", unit)
    most = MOST_OF[period] if nth.what == "day" else MOST_OF[period] // 5
    most = 5 if period == "month" and nth.what in WEEKDAYS else most
    if any(n == 0 or n > most for n in nth.ordinals):
        cursor.fail(f"no {period} has that many {nth.what}s", unit)
    return replace(nth, period=period, every=every)


def _of_months(cursor: Cursor, chosen: Chosen, nth: Nth) -> Chosen:
    token = cursor.here
    months = month_list(cursor)
    nth = period_of(cursor, nth, "month", 1, token)
    if nth.what == "day" and min(nth.ordinals) > 0:
        pairs = [(m, d) for m in months for d in nth.ordinals]
        for month, day in pairs:
            check_date(cursor, month, day, token)
        while goes_on(cursor, _starts_ordinal_date):
            pairs.append(_ordinal_date(cursor))
        return replace(chosen, days=OnDates(tuple(sorted(set(pairs)))), open=False)
    return replace(chosen, days=nth, months=months, open=False)


def _starts_ordinal_date(cursor: Cursor) -> bool:
    """ "1st of January", behind another date."""
    place = cursor.place
    found = cursor.ordinal() is not None
    cursor.take("of")
    found = found and cursor.here.text in MONTH
    cursor.place = place
    return found


def _ordinal_date(cursor: Cursor) -> tuple[int, int]:
    token = cursor.here
    day = cast(int, cursor.ordinal())
    cursor.take("of")
    month = MONTH[cursor.step().text]
    check_date(cursor, month, day, token)
    return month, day


def month_list(cursor: Cursor) -> frozenset[int]:
    """ "June", "June and July", "June to August"."""
    found = _month_range(cursor)
    while goes_on(cursor, lambda c: c.here.text in MONTH and not _is_date(c)):
        found |= _month_range(cursor)
    return found


def _is_date(cursor: Cursor) -> bool:
    """A month with its day, "December 24", which is no whole month."""
    return cursor.ahead().kind == "number"


def _month_range(cursor: Cursor) -> frozenset[int]:
    if cursor.here.text not in MONTH:
        cursor.fail("is not a month")
    first = MONTH[cursor.step().text]
    if cursor.sees(*TO) and cursor.ahead().text in MONTH:
        cursor.step()
        last = MONTH[cursor.step().text]
        return frozenset(
            (first + n - 1) % 12 + 1 for n in range((last - first) % 12 + 1)
        )
    return frozenset((first,))


def in_months(cursor: Cursor) -> Chosen:
    return Chosen(cursor.here, InMonths(month_list(cursor)))


def _dates(cursor: Cursor, token: Token) -> Chosen | None:
    """ "December 24 and 31", "24 December", "May 1 and December 24"."""
    found = _date(cursor)
    if not found:
        return None
    month = found[0][0]
    place = cursor.place
    while goes_on(cursor, _starts_date):
        more = _date(cursor) or [(month, _day_number(cursor))]
        for each in more:
            check_date(cursor, *each, cursor.last)
        found += more
        month = found[-1][0]
    listed = cursor.tokens[place : cursor.place]
    if listed and not any(t.text in AND or t.text in MONTH for t in listed):
        cursor.fail('could be a day or an hour; write "and" or "at"', cursor.last)
    return Chosen(token, OnDates(tuple(sorted(set(found)))))


def _starts_date(cursor: Cursor) -> bool:
    here, after = cursor.here, cursor.ahead()
    if cursor.last.text in ARTICLES:  # "December 24, the 1st of every month"
        return False
    if here.text in MONTH:
        return after.kind == "number"
    is_time = after.text in ("am", "pm", "o'clock", "minutes", "hours")
    return here.kind == "number" and int(here.text) <= 31 and not is_time


def _date(cursor: Cursor) -> list[tuple[int, int]]:
    token = cursor.here
    if token.text in MONTH and (_is_date(cursor) or cursor.ahead().text == "the"):
        month = MONTH[cursor.step().text]
        cursor.skip_articles()
        day, token = _day_number(cursor), cursor.last
    elif token.kind == "number" and cursor.ahead().text in MONTH:
        day = int(cursor.step().text)
        month = MONTH[cursor.step().text]
    else:
        return []
    check_date(cursor, month, day, token)
    return [(month, day)]


def _day_number(cursor: Cursor) -> int:
    day = cursor.ordinal() or cursor.number()
    if day is None:
        cursor.fail("expected a day of the month")
    return day


def check_date(cursor: Cursor, month: int, day: int, token: Token) -> None:
    if not 1 <= day <= MONTH_DAYS[month - 1]:
        cursor.fail(f"{MONTHS[month - 1]} has no day {day}", token)
