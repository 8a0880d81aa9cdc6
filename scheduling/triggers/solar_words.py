"""What the sun does, in words, and the days on which it does not."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from scheduling.triggers.base import Trigger
from scheduling.triggers.solar import Absence, SolarTrigger, SunEvent, absences
from scheduling.triggers.spans import span

MOST_REMARKS = 4


def solar_words(trigger: SolarTrigger) -> str:
    name = event_words(trigger.name, trigger.event)
    if not trigger.later:
        begun = f"At {name}"
    else:
        side = "after" if trigger.later > timedelta() else "before"
        words = f"{span(abs(trigger.later))} {side} {name}"
        begun = words[0].upper() + words[1:]
    return f"{begun} at {trigger.place}"


def event_words(name: str, event: SunEvent) -> str:
    if name == "elevation":
        way = "rising" if event.rising else "setting"
        return f"the sun {way} through {event.degrees:g} degrees"
    text = name.replace("_", " ")
    if "golden" in text:
        end = text.endswith(" end")
        return f"the {'end' if end else 'start'} of the {text.removesuffix(' end')}"
    return f"solar {text}" if event.degrees is None else text


def remarks_on_sun(
    trigger: Trigger, since: datetime, until: datetime
) -> list[tuple[Absence, str]]:
    """Stretches in which the sun does not do it, each with its sentence."""
    if not isinstance(trigger, SolarTrigger):
        return []
    found = list(absences(trigger, since.date(), until.date()))
    return [(one, absence_words(trigger, one)) for one in found[:MOST_REMARKS]]


def absence_words(trigger: SolarTrigger, one: Absence) -> str:
    days = f"from {day_words(one.first)} to {day_words(one.last)}"
    if one.first == one.last:
        days = f"on {day_words(one.first)}"
    said = f"the sun {one.why} at {trigger.place} {days}"

    return f"{said}: it does not run then"


def day_words(day: date) -> str:
    return f"{day.day} {day:%b %Y}"
