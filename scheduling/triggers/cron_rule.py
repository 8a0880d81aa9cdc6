"""A cron expression as sets of local times. No zone and no instant here.

cronsim reads the fields; we check each term first, so that every fault has a sentence
naming what to write instead, and we do the walking, which cronsim does by the second.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property

from cronsim import CronSim, CronSimError

MAX_CHARS = 200  # no honest expression is longer
ALIASES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
FIELDS = ("second", "minute", "hour", "day of month", "month", "day of week")
SPANS = dict(zip(FIELDS, (60, 60, 24, 31, 12, 7), strict=True))
ALLOWED = re.compile(r"[0-9A-Za-z*/,\-#?@ \t]*", re.ASCII)
VALUE = r"(?:\d{1,2}|[A-Z]{3})"
TERM = re.compile(rf"(?:\*|{VALUE}(?:-{VALUE})?)(?:/(\d+))?")
LAST_DAY = re.compile(r"L|LW")
WEEKDAY_OF_MONTH = re.compile(rf"[0-7]L|{VALUE}#[1-5]")
HORIZON_YEARS = 50  # February 29 on one weekday comes back within 40
DAY_S = 86_400
LONG_AGO = datetime.combine(date(2000, 1, 1), time())  # naive, a leap year


class CronError(ValueError):
    """The expression cannot be taken; the message says why and what to write."""


@dataclass(frozen=True)
class CronRule:
    """The local times of one expression, `shift` later than it says."""

    fields: tuple[str, str, str, str, str, str]  # seconds first, upper case
    shift: timedelta = timedelta()

    @cached_property
    def sets(self) -> CronSim:
        try:
            return CronSim(" ".join(self.fields), LONG_AGO)
        except CronSimError as error:
            raise CronError(said_by_cronsim(str(error))) from None

    @cached_property
    def seconds(self) -> list[int]:
        return sorted(self.sets.seconds)

    @cached_property
    def minutes(self) -> list[int]:
        return sorted(self.sets.minutes)

    @cached_property
    def hours(self) -> list[int]:
        return sorted(self.sets.hours)

    @property
    def per_day(self) -> int:
        return len(self.seconds) * len(self.minutes) * len(self.hours)

    @property
    def repeats_within_the_day(self) -> bool:
        """It says "every so often" (a star, a step, a whole field), not fixed times."""
        values = (self.seconds, self.minutes, self.hours)
        return any(
            text.startswith("*") or "/" in text or len(allowed) == SPANS[name]
            for name, text, allowed in zip(FIELDS, self.fields, values, strict=False)
        )

    def matches_day(self, day: date) -> bool:
        return day.month in self.sets.months and self.sets.match_day(day)

    def next_local(self, low: datetime) -> datetime | None:
        """The first local time at or after `low` (naive); None within 50 years."""
        low -= self.shift
        second = low.hour * 3600 + low.minute * 60 + low.second + (low.microsecond > 0)
        day: date | None = low.date()
        of_day = self._first_time(second) if self.matches_day(low.date()) else None
        if of_day is None:
            day, of_day = self._next_day(low.date()), self._first_time(0)
        if day is None or of_day is None:
            return None
        return datetime.combine(day, time()) + timedelta(seconds=of_day) + self.shift

    def _next_day(self, day: date) -> date | None:
        last_year = min(day.year + HORIZON_YEARS, date.max.year - 1)
        day += timedelta(days=1)
        while day.year <= last_year:
            if day.month not in self.sets.months:
                day = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
            elif self.sets.match_day(day):
                return day
            else:
                day += timedelta(days=1)
        return None

    def _first_time(self, low: int) -> int | None:
        """The first second of the day at or after `low`."""
        hour, rest = divmod(low, 3600)
        minute, second = divmod(rest, 60)
        for h in self.hours[bisect_left(self.hours, hour) :]:
            if h > hour:
                return h * 3600 + self.minutes[0] * 60 + self.seconds[0]
            for m in self.minutes[bisect_left(self.minutes, minute) :]:
                if m > minute:
                    return h * 3600 + m * 60 + self.seconds[0]
                at = bisect_left(self.seconds, second)
                if at < len(self.seconds):
                    return h * 3600 + m * 60 + self.seconds[at]
        return None

    def count_local(self, low: datetime, high: datetime) -> int:
        """How many local times lie in [low, high): whole days are multiplied."""
        low, high = low - self.shift, high - self.shift
        if low >= high:
            return 0
        days = (high.date() - low.date()).days
        whole = sum(
            self.matches_day(low.date() + timedelta(days=n)) for n in range(days)
        )
        found = whole * self.per_day
        if self.matches_day(low.date()):
            found -= self._times_before(low)
        if self.matches_day(high.date()):
            found += self._times_before(high)
        return found

    def _times_before(self, moment: datetime) -> int:
        """How many of a matching day's times are earlier than `moment`'s time."""
        hours = bisect_left(self.hours, moment.hour)
        found = hours * len(self.minutes) * len(self.seconds)
        if moment.hour not in self.sets.hours:
            return found
        minutes = bisect_left(self.minutes, moment.minute)
        found += minutes * len(self.seconds)
        if moment.minute not in self.sets.minutes:
            return found
        return found + bisect_left(
            self.seconds, moment.second + (moment.microsecond > 0)
        )


def parse(text: str) -> CronRule:
    """The rule an expression of five or six fields, or an alias, stands for.

    Raises CronError with a sentence about the first thing that cannot be taken.
    """
    if len(text) > MAX_CHARS:
        raise CronError(f"longer than {MAX_CHARS} characters")
    if not ALLOWED.fullmatch(text):
        raise CronError("only letters, digits, spaces and * / , - # are allowed")
    text = text.strip()
    if text.startswith("@"):
        text = expand_alias(text.lower())
    parts = text.upper().split()
    if len(parts) not in (5, 6):
        raise CronError(
            f"{len(parts)} fields; write five (minute, hour, day of month, month, day "
            "of week) or six, with seconds first"
        )
    first, *rest = parts if len(parts) == 6 else ["0", *parts]
    minute, hour, day, month, weekday = rest
    rule = CronRule((first, minute, hour, day, month, weekday))
    for name, field in zip(FIELDS, rule.fields, strict=True):
        check_field(name, field)
    if rule.next_local(LONG_AGO) is None:
        raise CronError("it never fires: no day matches")
    return rule


def expand_alias(text: str) -> str:
    if text in ALIASES:
        return ALIASES[text]
    if text == "@reboot":
        raise CronError("@reboot is not a time; set start_at_boot on the agent")
    if text.startswith("@every"):
        raise CronError('@every is not cron; use interval, such as {"interval": "5m"}')
    raise CronError(f"{text[:20]} is not known; there are {', '.join(ALIASES)}")


def check_field(name: str, field: str) -> None:
    """Raises CronError for what we do not take, naming the field and the way out."""
    for term in field.split(","):
        if said := fault_of(name, term):
            raise CronError(f"{name}: {said}")


def fault_of(name: str, term: str) -> str | None:
    if not term:
        return "there is an empty place in the list"
    if "?" in term:
        return "? is not taken; write *"
    if name == "day of month" and LAST_DAY.fullmatch(term):
        return None
    if name == "day of week" and WEEKDAY_OF_MONTH.fullmatch(term):
        return None
    match = TERM.fullmatch(term)
    if match is None:
        return fault_of_form(name, term)
    step = match.group(1)
    if step is not None and not 1 <= int(step[:9]) <= SPANS[name]:
        return f"a step of {step[:12]} does not fit in {SPANS[name]}"
    if term[0].isalpha() and name not in ("month", "day of week"):
        return f"{term[:12]} is not a number"
    return None


def fault_of_form(name: str, term: str) -> str:
    shown = term[:20]
    if term in ("H", "R") or term.startswith("H"):
        return f"{shown} (a hashed time) is not taken; use jitter to spread starts"
    if "W" in term and name == "day of month":
        return f"{shown} (nearest weekday) is not taken; LW is the month's last weekday"
    if "L" in term and name == "day of month":
        return f"{shown} is not taken; L is the last day of the month"
    if "L" in term and name == "day of week":
        return f"{shown} is not taken; 5L is the last Friday of the month"
    if "#" in term:
        return f"{shown} is not taken; MON#2 is the second Monday of the month"
    return f"{shown} is not taken; write a number, a-b, *, */n or a list of them"


def said_by_cronsim(message: str) -> str:
    """cronsim only names the field: "Bad day-of-month"."""
    field = message.removeprefix("Bad ").replace("-", " ")
    if field in FIELDS:
        return f"{field}: a value is out of range, or a range runs backwards"
    return message


def join(fields: tuple[str, ...]) -> str:
    """The expression people see: five fields where the seconds are 0."""
    return " ".join(fields[1:] if fields[0] == "0" else fields)
