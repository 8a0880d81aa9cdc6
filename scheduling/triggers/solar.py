"""When the sun rises, sets and stands where, at a place on a day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from astral import Observer
from astral import sun as astral_sun

EVENTS: Mapping[str, Callable[..., datetime]] = {  # by the name in a rule
    "sunrise": astral_sun.sunrise,
    "sunset": astral_sun.sunset,
    "dawn": astral_sun.dawn,
    "dusk": astral_sun.dusk,
    "noon": astral_sun.noon,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees north and east; the sea's level and a free horizon are assumed."""

    latitude: float
    longitude: float


def instant_on(day: date, event: str, place: Place) -> datetime | None:
    """When the event comes on the day as counted in UTC; None where the sun does not
    do that on the day (polar night, midnight sun).

    Raises KeyError for an event that is not in EVENTS.
    """
    observer = Observer(place.latitude, place.longitude)
    try:
        return EVENTS[event](observer, day, tzinfo=UTC)
    except ValueError:
        return None
