"""Where the installation stands: the place of schedules that name none. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Degrees north and east; None: not said."""

    latitude: float | None = None
    longitude: float | None = None


def degrees(most: int) -> Callable[[object], float | None]:
    def read(value: object) -> float | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        if not -most <= value <= most:
            raise ValueError
        return float(value)

    return read


ROWS = (
    ("place.latitude", "place.latitude", "degrees from -90 to 90", degrees(90)),
    ("place.longitude", "place.longitude", "degrees from -180 to 180", degrees(180)),
)
