"""`solar`: an event of the sun at the schedule's place, such as "sunset-20m"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

from agents.quantities import QuantityError, parse_duration
from scheduling.kinds.base import Context, Kind
from scheduling.triggers.base import Trigger
from scheduling.triggers.solar import EVENTS, SolarTrigger, SunEvent
from scheduling.triggers.solar_words import solar_words

FARTHEST_S = 12 * 3600  # further from the event, another one is nearer
FORM = 'expected e.g. "sunset", "sunrise+30m" or "elevation 12 setting"'
KEYS = ("event", "offset", "elevation", "direction")
TEXT = re.compile(
    r"(?P<event>[a-z_]+)(?: (?P<elevation>-?\d{1,2}(?:\.\d{1,3})?) (?P<way>[a-z]+))?"
    r"(?P<offset>[+-]\w[\w.]*)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class SunRule:
    """What a text says."""

    name: str
    event: SunEvent
    offset_s: int = 0

    def text(self) -> str:
        name = self.name
        if name == "elevation":
            way = "rising" if self.event.rising else "setting"
            name = f"elevation {self.event.degrees:g} {way}"
        return name + offset_text(self.offset_s)


def offset_text(seconds: int) -> str:
    """ "", "+30m", "-1h30m"."""
    if not seconds:
        return ""
    left, text = abs(seconds), ""
    for unit, length in (("h", 3600), ("m", 60), ("s", 1)):
        number, left = divmod(left, length)
        text += f"{number}{unit}" if number else ""
    return ("+" if seconds > 0 else "-") + text


def read(value: object) -> str:
    if isinstance(value, Mapping):
        return _of_object(value).text()
    if not isinstance(value, str):
        raise ValueError(FORM)
    return parse(value).text()


def parse(text: str) -> SunRule:
    """Raises ValueError with a sentence for people."""
    plain = re.sub(r"\s*([+-])\s*(?=\w+$)", r"\1", text.strip().lower())
    words = re.sub(r"(?<=[a-z])[ -](?=[a-z])", "_", plain)
    if words.startswith("elevation"):
        words = re.sub(r"^elevation\s*", "elevation ", plain)
    match = TEXT.fullmatch(words) if len(text) <= 100 else None
    if match is None:
        raise ValueError(FORM)
    event = _event(match["event"], match["elevation"], match["way"])
    return SunRule(match["event"], event, _offset(match["offset"]))


def _event(name: str, elevation: object, way: object) -> SunEvent:
    if name != "elevation":
        if name not in EVENTS:
            known = ", ".join((*EVENTS, "elevation"))
            raise ValueError(f'"{name[:40]}" is none of {known}')
        if elevation is not None or way is not None:
            raise ValueError(f"{name} takes no elevation and no direction")
        return EVENTS[name]
    if way not in ("rising", "setting"):
        raise ValueError('direction: expected "rising" or "setting"')
    if isinstance(elevation, bool) or not isinstance(elevation, int | float | str):
        raise ValueError("elevation: expected degrees from -90 to 90")
    degrees = float(elevation)
    if not -90 <= degrees <= 90:
        raise ValueError("elevation: expected degrees from -90 to 90")
    return SunEvent(way == "rising", round(degrees, 3))


def _offset(value: object) -> int:
    if value is None:
        return 0
    sign = -1 if isinstance(value, str) and value.startswith("-") else 1
    if isinstance(value, str):
        value = value.removeprefix("-" if sign < 0 else "+")
    elif isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        sign, value = -1, -value
    try:
        seconds = parse_duration(value, least_s=0, most_s=FARTHEST_S)
    except QuantityError:
        said = 'expected at most twelve hours, such as "+30m" or "-1h"'
        raise ValueError(f"offset: {said}") from None
    return sign * round(seconds)


def _of_object(value: Mapping[Any, Any]) -> SunRule:
    for key in value:
        if key not in KEYS:
            raise ValueError(f"{str(key)[:40]}: expected {', '.join(KEYS)}")
    name = value.get("event", "elevation" if "elevation" in value else None)
    if not isinstance(name, str):
        raise ValueError("event: expected the name of one, such as sunset")
    event = _event(name, value.get("elevation"), value.get("direction"))
    return SunRule(name, event, _offset(value.get("offset")))


def trigger(rule: str, context: Context) -> SolarTrigger:
    if context.place is None:
        raise ValueError("a solar schedule without a place")
    said = parse(rule)
    shift = timedelta(seconds=context.shift_s)
    offset = timedelta(seconds=said.offset_s)
    return SolarTrigger(said.event, context.place, offset, said.name, shift)


def words(trigger: Trigger, zone: ZoneInfo) -> str:
    return solar_words(cast(SolarTrigger, trigger))


def moved(rule: str, by_s: int) -> str | None:
    said = parse(rule)
    seconds = said.offset_s + by_s
    if abs(seconds) > FARTHEST_S:
        return None
    return SunRule(said.name, said.event, seconds).text()


def needs_place(rule: str) -> bool:
    return True


KIND = Kind(
    *("solar", read, trigger, words),
    moved=moved,
    by_clocks=False,
    needs_place=needs_place,
)
