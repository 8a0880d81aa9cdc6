"""When the sun rises, sets and stands where, at a place on a day.

A day here is the sun's own at the place: twelve hours to either side of its noon. So
each event comes once or not at all, also where a sunset falls behind midnight. astral
has the sun's path; the instant is found on it by bisection, since astral's own answer
is an error on polar days and on some beside them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from math import asin, cos, degrees, radians, sin

from astral import julian
from astral import sun as astral_sun

HALF_DAY = timedelta(hours=12)
YEARS_AHEAD = 3  # an event without an instant for so long has none at the place
FIRST_YEAR, LAST_YEAR = 1901, 2999
STEPS = 17  # of bisection: half a day to a third of a second


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees north and east; the sea's level and a free horizon are assumed."""

    latitude: float
    longitude: float

    def __str__(self) -> str:
        north, east = self.latitude >= 0, self.longitude >= 0
        return (
            f"{abs(self.latitude):.4g} {'N' if north else 'S'}, "
            f"{abs(self.longitude):.4g} {'E' if east else 'W'}"
        )


@dataclass(frozen=True, slots=True)
class SunEvent:
    """The sun's middle passes `degrees` of height; without them it passes the
    meridian, above (noon) or below (midnight)."""

    rising: bool
    degrees: float | None = None


HORIZON = -0.8333  # the upper edge, as the air bends its light
EVENTS: Mapping[str, SunEvent] = {  # by the name in a rule
    "sunrise": SunEvent(True, HORIZON),
    "sunset": SunEvent(False, HORIZON),
    "dawn": SunEvent(True, -6),
    "dusk": SunEvent(False, -6),
    "noon": SunEvent(True),
    "midnight": SunEvent(False),
    "civil_dawn": SunEvent(True, -6),
    "civil_dusk": SunEvent(False, -6),
    "nautical_dawn": SunEvent(True, -12),
    "nautical_dusk": SunEvent(False, -12),
    "astronomical_dawn": SunEvent(True, -18),
    "astronomical_dusk": SunEvent(False, -18),
    "morning_golden_hour": SunEvent(True, -4),
    "morning_golden_hour_end": SunEvent(True, 6),
    "evening_golden_hour": SunEvent(False, 6),
    "evening_golden_hour_end": SunEvent(False, -4),
}


def instant_on(day: date, event: str, place: Place) -> datetime | None:
    """When the event comes on the place's day, in whole seconds; None where the sun
    does not do that on the day (polar night, midnight sun).

    Raises KeyError for an event that is not in EVENTS.
    """
    return when(day, EVENTS[event], place)


def when(day: date, event: SunEvent, place: Place) -> datetime | None:
    path = path_on(day, place)
    if event.degrees is None:
        return path.noon if event.rising else path.noon + HALF_DAY
    side = -1 if event.rising else 1
    seconds = path.seconds_at(event.degrees, side)
    if seconds is None:
        return None
    return path.noon + timedelta(seconds=round(side * seconds))


def absence(day: date, event: SunEvent, place: Place) -> str:
    """Why the event does not come on the day, in words; "" where it does."""
    if event.degrees is None or when(day, event, place) is not None:
        return ""
    is_high = path_on(day, place).height(0) >= event.degrees
    if event.degrees == HORIZON:
        return "does not set" if is_high else "does not rise"
    return f"stays {'above' if is_high else 'below'} {event.degrees:g} degrees"


@dataclass(frozen=True, slots=True)
class Path:
    """The sun's way over one day: its declination and the clock's fault change little
    and are taken as straight lines between the day's two midnights."""

    latitude: float
    noon: datetime
    declinations: tuple[float, float, float]  # at the midnight before, noon, after
    faults: tuple[float, float, float]  # equation of time in minutes

    def height(self, seconds: float) -> float:
        """Degrees above the horizon, so many seconds after noon."""
        part = abs(seconds) / 43_200
        end = 2 if seconds > 0 else 0
        declination = radians(
            _between(self.declinations[1], self.declinations[end], part)
        )
        drift = _between(self.faults[1], self.faults[end], part) - self.faults[1]
        angle = radians(seconds / 240 + drift / 4)
        latitude = radians(self.latitude)
        up = sin(latitude) * sin(declination)
        up += cos(latitude) * cos(declination) * cos(angle)
        return degrees(asin(max(-1.0, min(1.0, up))))

    def seconds_at(self, height: float, side: int) -> float | None:
        """How far from noon, before (-1) or after (1), the sun stands so high."""
        near, far = 0.0, 43_200.0
        if not self.height(side * far) < height <= self.height(near):
            return None
        for _ in range(STEPS):
            middle = (near + far) / 2
            if self.height(side * middle) >= height:
                near = middle
            else:
                far = middle
        return (near + far) / 2


def _between(begin: float, end: float, part: float) -> float:
    return begin + (end - begin) * part


def path_on(day: date, place: Place) -> Path:
    mean = datetime.combine(day, time(12)) - timedelta(minutes=4 * place.longitude)
    jc = _century(mean)
    noon = mean - timedelta(minutes=astral_sun.eq_of_time(jc))
    around = (_century(noon - HALF_DAY), _century(noon), _century(noon + HALF_DAY))
    before, at, after = (astral_sun.sun_declination(jc) for jc in around)
    early, now, late = (astral_sun.eq_of_time(jc) for jc in around)
    shown = noon.replace(microsecond=0, tzinfo=UTC)
    return Path(place.latitude, shown, (before, at, after), (early, now, late))


def _century(moment: datetime) -> float:
    return julian.julianday_to_juliancentury(julian.julianday(moment))


@lru_cache(maxsize=512)
def in_year(event: SunEvent, place: Place, year: int) -> tuple[datetime, ...]:
    """Every instant of the event on the days of a year, in order."""
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    days = (date.fromordinal(number) for number in range(first, last + 1))
    found = (when(day, event, place) for day in days)
    return tuple(sorted(at for at in found if at is not None))


@dataclass(frozen=True)
class SolarTrigger:
    """An event of the sun at a place, so long after it (or before, if negative)."""

    event: SunEvent
    place: Place
    offset: timedelta = timedelta()
    name: str = ""  # of the event, for people
    shift: timedelta = timedelta()  # the series was moved by more than an offset says

    @property
    def later(self) -> timedelta:
        return self.offset + self.shift

    def next_after(self, moment: datetime) -> datetime | None:
        at = moment.astimezone(UTC) - self.later
        last = min(at.year + YEARS_AHEAD, LAST_YEAR)
        for year in range(max(at.year - 1, FIRST_YEAR), last):
            known = in_year(self.event, self.place, year)
            place = bisect_right(known, at)
            if place < len(known):
                return known[place] + self.later
        return None

    def count(self, after: datetime, until: datetime) -> int:
        low, high = (moment.astimezone(UTC) - self.later for moment in (after, until))
        if low >= high:
            return 0
        first, last = max(low.year - 1, FIRST_YEAR), min(high.year + 1, LAST_YEAR)
        found = 0
        for year in range(first, last + 1):
            known = in_year(self.event, self.place, year)
            found += bisect_right(known, high) - bisect_right(known, low)
        return found


@dataclass(frozen=True, slots=True)
class Absence:
    """Consecutive days without the event."""

    first: date
    last: date
    why: str


def absences(
    trigger: SolarTrigger, since: date, until: date, *, reach: int = 200
) -> Iterator[Absence]:
    """The stretches of days that touch [since, until] and have no such event, with
    where they begin and end (looked for `reach` days to both sides)."""
    event, place = trigger.event, trigger.place
    if event.degrees is None:
        return
    day, end = since - timedelta(days=reach), until + timedelta(days=reach)
    open_: Absence | None = None
    while day <= end:
        why = absence(day, event, place)
        if open_ is not None and why != open_.why:
            if open_.last >= since:
                yield open_
            open_ = None
        if open_ is None and day > until:
            return
        if why:
            open_ = Absence(open_.first if open_ else day, day, why)
        day += timedelta(days=1)
    if open_ is not None and open_.first <= until:
        yield open_
