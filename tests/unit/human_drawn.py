"""Rules drawn at random, in the form the parser gives."""

from __future__ import annotations

from typing import get_args

from hypothesis import strategies as st

from scheduling.triggers.human import (
    DAY_S,
    At,
    Clock,
    Days,
    Every,
    EveryDay,
    EveryDays,
    EveryWeeks,
    InMonths,
    Nth,
    OnCalendar,
    OnDates,
    OnWeekdays,
    Period,
    Rule,
    Solar,
)
from scheduling.triggers.human_draft import in_order, merged
from scheduling.triggers.human_words import MONTH_DAYS, WEEKDAYS

weekdays = st.frozensets(st.integers(0, 6), min_size=1, max_size=6)
months = st.frozensets(st.integers(1, 12), min_size=1, max_size=11)
names = st.sampled_from(["holidays", "business_days", "shift-a", "Late shift", "x9_b"])
clocks = st.integers(0, 1439).map(lambda m: Clock(m * 60)) | st.integers(
    0, DAY_S - 1
).map(Clock)
suns = st.builds(
    Solar,
    st.sampled_from(
        [
            *("sunrise", "sunset", "dawn", "dusk", "noon"),
            *("morning_golden_hour", "evening_golden_hour"),
        ]
    ),
    st.integers(-720, 720).map(lambda m: m * 60),
)
dates = (
    st.integers(1, 12)
    .flatmap(lambda m: st.tuples(st.just(m), st.integers(1, MONTH_DAYS[m - 1])))
    .map(lambda pair: pair)
)
on_dates = st.sets(dates, min_size=1, max_size=4).map(
    lambda found: OnDates(tuple(sorted(found)))
)


@st.composite
def nths(draw: st.DrawFn, most_every: int = 6) -> Nth:
    what = draw(
        st.sampled_from(["day", "weekday", "weekend day", "business day", *WEEKDAYS])
    )
    period: Period = draw(st.sampled_from(get_args(Period)))
    most = 31 if what == "day" else 5
    numbers = draw(
        st.sets(st.sampled_from([-1, *range(1, most + 1)]), min_size=1, max_size=3)
    )
    every = draw(st.integers(1, most_every)) if period == "month" else 1
    return Nth(tuple(sorted(numbers)), what, period, every)


def chosen(sets_only: bool = False) -> st.SearchStrategy[Days]:
    found: st.SearchStrategy[Days] = (
        weekdays.map(OnWeekdays) | nths() | on_dates | names.map(OnCalendar)
    )
    if sets_only:
        return found | months.map(InMonths)
    return (
        found
        | st.just(EveryDay())
        | st.integers(2, 30).map(EveryDays)
        | st.builds(
            EveryWeeks, st.integers(2, 8), weekdays | st.just(frozenset(range(7)))
        )
    )


def ats(sun: bool = True) -> st.SearchStrategy[At]:
    points = clocks | suns if sun else clocks
    return st.lists(points, min_size=1, max_size=4).map(lambda p: At(in_order(p)))


@st.composite
def everys(draw: st.DrawFn, sun: bool = True) -> Every:
    size = draw(st.sampled_from([1, 60, 3600]))
    number = draw(st.integers(1, 23 if size == 3600 else 59))
    points = clocks | suns if sun else clocks
    start = draw(st.just(Clock(0)) | points)
    end = draw(st.none() | points | st.just(Clock(DAY_S)))
    whole = (start, end) == (Clock(0), Clock(DAY_S))
    if end in (start, Clock(0)) or whole:
        end = None
    return Every(number * size, start, end)


@st.composite
def rules(draw: st.DrawFn, sun: bool = True) -> Rule:
    days = draw(chosen())
    without = merged(draw(st.lists(chosen(sets_only=True), max_size=3)))
    limited = draw(st.just(frozenset[int]()) | months)
    if isinstance(days, OnDates) and not {m for m, _ in days.dates} & limited:
        limited = frozenset()
    without = tuple(each for each in without if each != days)
    return Rule(days, draw(ats(sun) | everys(sun)), limited, without)
