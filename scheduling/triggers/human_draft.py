"""A rule while it is being read: what was said so far, and whether it fits together."""

from __future__ import annotations

from dataclasses import dataclass, field

from scheduling.triggers.human import (
    DAY_S,
    MIDNIGHT,
    At,
    Clock,
    Days,
    Every,
    EveryDay,
    EveryWeeks,
    InMonths,
    Nth,
    OnDates,
    OnWeekdays,
    Period,
    Point,
    Rule,
    Solar,
    Times,
)
from scheduling.triggers.human_clocks import Said, check_window, in_part
from scheduling.triggers.human_dates import Chosen, period_of
from scheduling.triggers.human_tokens import Cursor, Token

MONDAY = frozenset((0,))
ALL_WEEK = frozenset(range(7))
TWICE = "is said twice in one rule"


@dataclass
class Draft:
    cursor: Cursor
    chosen: Chosen | None = None
    counted: tuple[Token, int] | None = None  # "every 2 weeks"
    of: tuple[Token, Period, int] | None = None  # "every month"
    part: str = ""  # "every morning"
    part_token: Token | None = None
    points: list[Said] = field(default_factory=list)
    step: tuple[Token, int] | None = None
    bounds: tuple[Token, Said | None, Said | None] | None = None
    minute: tuple[Token, int] | None = None
    spread: int = 0  # "twice a day"
    said: bool = False  # days or times, in words that leave nothing else to note
    months: frozenset[int] = frozenset()
    months_token: Token | None = None
    without: list[Days] = field(default_factory=list)

    def choose(self, chosen: Chosen) -> None:
        if self.chosen is not None:
            said = "names days a second time; one rule has one set of days"
            self.cursor.fail(said, chosen.token)
        self.chosen = chosen
        if chosen.months:
            self.in_months(chosen.token, chosen.months)

    def weeks(self, token: Token, number: int) -> None:
        if self.counted or self.of:
            self.cursor.fail(TWICE, token)
        self.counted = (token, number)

    def period(self, token: Token, period: Period, number: int) -> None:
        if self.counted or self.of:
            self.cursor.fail(TWICE, token)
        self.of = (token, period, number)

    def in_part(self, token: Token, part: str) -> None:
        if self.part:
            self.cursor.fail(TWICE, token)
        self.part, self.part_token = part, token

    def in_months(self, token: Token, months: frozenset[int]) -> None:
        if self.months:
            self.cursor.fail("names months a second time", token)
        self.months, self.months_token = months, token

    def leave_out(self, token: Token, chosen: Chosen) -> None:
        days = chosen.days
        if chosen.months:
            said = "cannot be left out of single months; name dates, or make a calendar"
            self.cursor.fail(said, chosen.token)
        if chosen.open and isinstance(days, Nth):
            days = self._closed(chosen, days)
        self.without.append(days)

    def _times_again(self, token: Token) -> None:
        if self.points or self.spread or self.step:
            said = "gives times a second time; one rule has one set of times"
            self.cursor.fail(said, token)

    def at(self, token: Token, points: list[Said]) -> None:
        if self.spread == len(points):  # "twice a day at 9 and 17:00"
            self.spread = 0
        self._times_again(token)
        self.points = points

    def every(self, token: Token, step_s: int) -> None:
        self._times_again(token)
        if step_s >= DAY_S:
            days = max(1, step_s // DAY_S)
            said = f'is a day or more; write "every {days} days", or use interval'
            said = said.replace("every 1 days", "every day")
            self.cursor.fail(said, token)
        if step_s < 1:
            self.cursor.fail("is no length of time", token)
        self.step = (token, step_s)

    def times_a_day(self, token: Token, number: int) -> None:
        self._times_again(token)
        self.spread = number

    def at_minute(self, token: Token, minute: int) -> None:
        if self.minute:
            self.cursor.fail(TWICE, token)
        self.minute = (token, minute)

    def window(self, token: Token, start: Said | None, end: Said | None) -> None:
        if self.bounds:
            self.cursor.fail(TWICE, token)
        if start and end:
            check_window(self.cursor, start, end)
        self.bounds = (token, start, end)

    def rule(self) -> Rule:
        if not self._says_when():
            said = 'says neither days nor times; write "every day …"'
            self.cursor.fail(said, self.cursor.tokens[0])
        days = self._days()
        without = merged(self.without)
        if days in without:
            self.cursor.fail("leaves out all days there are", self.cursor.last)
        dated = (
            {month for month, _ in days.dates} if isinstance(days, OnDates) else set()
        )
        if dated and self.months and not self.months & dated:
            said = "has none of the rule's dates"
            self.cursor.fail(said, self.months_token or self.cursor.last)
        return Rule(days, self._times(), real_months(self.months), without)

    def _says_when(self) -> bool:
        days = self.chosen or self.counted or self.of
        times = self.points or self.step or self.spread or self.bounds or self.minute
        return bool(self.said or days or times or self.part)

    def _days(self) -> Days:
        chosen, days = self.chosen, self.chosen.days if self.chosen else None
        if self.counted is not None:
            return self._weekly(*self.counted, days)
        if self.of is not None:
            return self._periodic(*self.of, days)
        if chosen is None or days is None:
            return EveryDay()
        if isinstance(days, Nth) and chosen.open:
            return self._closed(chosen, days)
        return plain(days)

    def _closed(self, chosen: Chosen, nth: Nth) -> Nth:
        """An ordinal that did not say of what: days are of the month."""
        if nth.what != "day":
            said = f'of what? write "{chosen.token.raw} {nth.what} of the month"'
            self.cursor.fail(said, chosen.token)
        return period_of(self.cursor, nth, "month", 1, chosen.token)

    def _weekly(self, token: Token, number: int, days: Days | None) -> Days:
        if days is None:
            days = OnWeekdays(MONDAY)
        if not isinstance(days, OnWeekdays):
            assert self.chosen is not None, "the days were said"
            self.cursor.fail("expected weekdays with weeks", self.chosen.token)
        if number == 1:
            return plain(days)
        return EveryWeeks(number, days.days)

    def _periodic(
        self, token: Token, period: Period, number: int, days: Days | None
    ) -> Days:
        if days is None and (period, number) == ("year", 1):
            return OnDates(((1, 1),))
        if days is None:
            return period_of(self.cursor, Nth((1,)), period, number, token)
        assert self.chosen is not None, "the days were said"
        if isinstance(days, Nth) and self.chosen.open:
            return period_of(self.cursor, days, period, number, token)
        if isinstance(days, OnDates) and (period, number) == ("year", 1):
            return days
        self.cursor.fail(f"does not fit with every {period}", self.chosen.token)

    def _times(self) -> Times:
        if self.step is not None:
            return self._repeated(*self.step)
        if self.bounds is not None:
            said = 'does not say how often within it; write e.g. "every hour from …"'
            self.cursor.fail(said, self.bounds[0])
        if self.minute is not None:
            said = 'is for "every hour"; write a time'
            self.cursor.fail(said, self.minute[0])
        if self.spread:
            gap = DAY_S // self.spread
            return At(tuple(Clock(n * gap) for n in range(self.spread)))
        if not self.points:
            if self.part and self.part_token:
                said = f'says no time; write e.g. "every {self.part} at 8"'
                self.cursor.fail(said, self.part_token)
            return MIDNIGHT
        found = [in_part(self.cursor, said, self.part).point for said in self.points]
        return At(in_order(found))

    def _repeated(self, token: Token, step_s: int) -> Times:
        if self.part and self.part_token:
            said = 'has no bounds; write "from 6:00 to 12:00"'
            self.cursor.fail(said, self.part_token)
        _, first, last = self.bounds or (token, None, None)
        start: Point = first.point if first else Clock(0)
        end = last.point if last else None
        if end == Clock(0):
            end = Clock(DAY_S)
        if start == Clock(DAY_S) and first:
            self.cursor.fail("cannot begin a window", first.token)
        if start == end and last:
            self.cursor.fail("ends where it begins", last.token)
        if (start, end) == (Clock(0), Clock(DAY_S)):
            end = None
        if self.minute is not None:
            start = self._first_minute(*self.minute, step_s, start)
        return Every(step_s, start, end)

    def _first_minute(
        self, token: Token, minute: int, step_s: int, start: Point
    ) -> Point:
        if step_s % 3600 or isinstance(start, Solar):
            self.cursor.fail("needs whole hours to count by", token)
        later = (minute * 60 - start.second) % 3600
        return Clock(start.second + later)


def plain(days: Days) -> Days:
    if isinstance(days, OnWeekdays) and days.days == ALL_WEEK:
        return EveryDay()
    return days


def real_months(months: frozenset[int]) -> frozenset[int]:
    return frozenset() if len(months) == 12 else months


def in_order(points: list[Point]) -> tuple[Point, ...]:
    """Clock times first, then the sun's; each once."""
    clocks = sorted({p for p in points if isinstance(p, Clock)})
    suns = sorted({p for p in points if isinstance(p, Solar)})
    return (*clocks, *suns)


def merged(without: list[Days]) -> tuple[Days, ...]:
    """What is left out in one order: weekdays, months, dates, the others as said."""
    weekdays = [days.days for days in without if isinstance(days, OnWeekdays)]
    months = [days.months for days in without if isinstance(days, InMonths)]
    dates = [days.dates for days in without if isinstance(days, OnDates)]
    found: list[Days] = []
    if weekdays:
        found.append(OnWeekdays(frozenset().union(*weekdays)))
    if dates:
        found.append(OnDates(tuple(sorted({pair for d in dates for pair in d}))))
    others = {days: None for days in without}
    found += [d for d in others if not isinstance(d, OnWeekdays | InMonths | OnDates)]
    if months:
        found.append(InMonths(frozenset().union(*months)))
    return tuple(found)
