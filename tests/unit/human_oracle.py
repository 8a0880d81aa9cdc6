"""What each phrase of `human_phrases` names, told day by day and minute by minute.

Shares nothing with the product but the phrases: conditions are written by hand for
each, the walk asks every day and every minute, the sun is asked of astral directly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from astral import Observer, SunDirection, sun

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday, 13:00 in Berlin
BERLIN = ZoneInfo("Europe/Berlin")
OBSERVER = Observer(52.52, 13.405)
GOLDEN = {
    "gold_rising": (-4, SunDirection.RISING),
    "gold_setting": (6, SunDirection.SETTING),
}
ONE = timedelta(days=1)
HOLIDAYS = frozenset(
    (date(2026, 11, 26), date(2026, 12, 25), date(2026, 12, 31), date(2027, 1, 1))
)
NIGHT_SHIFT = frozenset((date(2026, 11, 28), date(2026, 12, 2), date(2026, 12, 10)))


def days(d: date) -> int:
    """Since the day the rule was made."""
    return (d - date(2026, 11, 23)).days


def weeks(d: date) -> int:
    """Weeks, from Monday on, since the one the rule was made in."""
    return days(d) // 7


def nth(d: date, weekday: int) -> int:
    """The how-manieth of its weekday in the month; 0 for another weekday."""
    return (d.day - 1) // 7 + 1 if d.weekday() == weekday else 0


def last(d: date, weekday: int) -> bool:
    return d.weekday() == weekday and (d + 7 * ONE).month != d.month


def month(d: date) -> list[date]:
    first = d.replace(day=1)
    found = [first + n * ONE for n in range(31)]
    return [each for each in found if each.month == d.month]


def moments(d: date, times: str | Callable[[int], bool]) -> Iterator[datetime]:
    """The instants of one day: listed times, or each minute that a condition takes
    (from 1440 on they lie in the next day)."""
    midnight = datetime.combine(d, time(), BERLIN)
    if callable(times):
        yield from (midnight + timedelta(minutes=m) for m in range(2880) if times(m))
        return
    for text in times.split():
        if text[0].isdigit():
            hour, minute = map(int, text.split(":"))
            yield midnight.replace(hour=hour, minute=minute)
            continue
        event, sign, minutes = text.replace("-", " - ").replace("+", " + ").split()
        if event in GOLDEN:
            height, way = GOLDEN[event]  # of the sun itself, not of what air bends
            seen = sun.time_at_elevation(OBSERVER, height, d, way, UTC, False)
        else:
            seen = getattr(sun, event)(OBSERVER, d, tzinfo=UTC)
        seen = seen.replace(microsecond=0)
        yield seen + timedelta(minutes=int(sign + minutes))


def walked(
    takes: Callable[[date], bool], times: str | Callable[[int], bool]
) -> list[datetime]:
    """The next three instants after NOW."""
    every_day = (date(2026, 11, 20) + n * ONE for n in range(14_000))
    chosen = (at for d in every_day if takes(d) for at in sorted(moments(d, times)))
    return list(islice((at.astimezone(UTC) for at in chosen if at > NOW), 3))
