"""An RRULE in words: "Every 2 weeks on Monday and Friday at 09:00, 10 times"."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from scheduling.triggers.rrule import RruleRule
from scheduling.triggers.rrule_parts import Parts
from scheduling.triggers.spans import plural, span

UNITS = {
    **{"SECONDLY": "second", "MINUTELY": "minute", "HOURLY": "hour", "DAILY": "day"},
    **{"WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"},
}
WEEKDAYS = (
    *("Monday", "Tuesday", "Wednesday", "Thursday"),
    *("Friday", "Saturday", "Sunday"),
)
MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)
ENDINGS = {1: "st", 2: "nd", 3: "rd"}
MOST_TIMES = 6  # more times of a day are counted, not listed


def rrule_words(rule: RruleRule) -> str:
    said, parts = rule.said, rule.parts
    words = [_every(said.parts), *_days(parts)]
    if positions := parts.positions:
        chosen = listed(ordinal(p) for p in positions)
        words.append(f"(only the {chosen} of these)")
    words += _within(parts) if parts.within_the_day else [_times(parts)]
    text = " ".join(words)
    if said.parts.count is not None:
        text += f", {plural(said.parts.count, 'time')}"
    if said.until is not None:
        text += f", until {day_words(said.until)}"
    text += _exceptions(len(said.without) + len(said.without_days), len(said.also))
    if parts.interval > 1:
        text += f", counted from {day_words(said.start)}"
    if said.shift:
        way = "later" if said.shift > timedelta() else "earlier"
        text += f", {span(abs(said.shift))} {way}"
    return text


def _every(parts: Parts) -> str:
    unit = UNITS[parts.freq]
    return f"Every {unit}" if parts.interval == 1 else f"Every {parts.interval} {unit}s"


def _days(parts: Parts) -> list[str]:
    """The days, where the rule says more than every one of them."""
    words = []
    if parts.year_days:
        days = listed(counted(day) for day in parts.year_days)
        words.append(f"on the {days} day of the year")
    if parts.month_days:
        days = listed(counted(day) for day in parts.month_days)
        words.append(f"on the {days}")
    if parts.days:
        words.append(f"on {_weekdays(parts)}")
    if parts.weeks:
        weeks = listed(str(w) if w > 0 else f"{-w} from the end" for w in parts.weeks)
        words.append(f"in week {weeks}")
    if parts.months:
        words.append(f"{'of' if words else 'in'} {_months(parts.months)}")
    return words


def _weekdays(parts: Parts) -> str:
    plain = [weekday for nth, weekday in parts.days if not nth]
    if plain == [0, 1, 2, 3, 4] and len(parts.days) == 5:
        return "weekdays"
    return listed(
        f"the {ordinal(nth)} {WEEKDAYS[weekday]}" if nth else WEEKDAYS[weekday]
        for nth, weekday in parts.days
    )


def _months(months: tuple[int, ...]) -> str:
    return listed(MONTHS[month - 1] for month in months)


def _times(parts: Parts) -> str:
    times = [
        clock(hour, minute, second)
        for hour in parts.hours
        for minute in parts.minutes
        for second in parts.seconds
    ]
    if len(times) > MOST_TIMES:
        return f"at {len(times)} times of the day from {times[0]} to {times[-1]}"
    return f"at {listed(times)}"


def _within(parts: Parts) -> list[str]:
    """The hours, minutes and seconds of a rule that repeats within the day."""
    words = []
    if parts.freq == "HOURLY" and parts.minutes != (0,):
        words.append(f"at minute {listed(map(str, parts.minutes))}")
    elif parts.freq != "HOURLY" and parts.minutes:
        words.append(f"in minute {listed(map(str, parts.minutes))}")
    if parts.seconds and parts.seconds != (0,):
        words.append(f"at second {listed(map(str, parts.seconds))}")
    if parts.hours:
        hours = listed(clock(hour, 0, 0) for hour in parts.hours)
        words.append(f"in the hour of {hours}")
    return words


def _exceptions(without: int, also: int) -> str:
    text = f", except {plural(without, 'time')}" if without else ""
    return text + (f", and {plural(also, 'further time')}" if also else "")


def clock(hour: int, minute: int, second: int) -> str:
    return f"{hour:02}:{minute:02}" + (f":{second:02}" if second else "")


def day_words(moment: datetime) -> str:
    return f"{moment.day} {moment:%b %Y}"


def counted(number: int) -> str:
    """ "1st", "2nd", "last day", "3rd from the end"."""
    if number == -1:
        return "last day"
    return nth(number) if number > 0 else f"{nth(-number)} from the end"


def ordinal(number: int) -> str:
    if number == -1:
        return "last"
    return nth(number) if number > 0 else f"{nth(-number)} last"


def nth(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ENDINGS.get(number % 10, 'th')}"


def listed(words: Iterable[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    found = list(words)
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
