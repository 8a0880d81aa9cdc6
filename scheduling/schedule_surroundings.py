"""What a schedule takes from around it: a place from the configuration, and calendars.

The place is stored with the schedule, like its zone: changing the configuration moves
no schedule that is there already.
"""

from __future__ import annotations

from datetime import datetime

from agents import live_config
from agents.definition_deadlines import NO_END
from agents.errors import Invalid
from scheduling import calendar_days
from scheduling.kinds import KINDS
from scheduling.models import Schedule
from scheduling.triggers.calendars import MOST_SHIFTED, CalendarTrigger, too_many_a_day
from scheduling.triggers.timetable import Timetable
from scheduling.triggers.zones import local


def surround(schedule: Schedule) -> None:
    """Lay on the row what its instants hang on. Raises Invalid under `place` when it
    needs one, and under `calendar` for one that is not there."""
    if schedule.place is None and KINDS[schedule.kind].needs_place(schedule.rule):
        schedule.place = default_place()
        if schedule.place is None:
            said = (
                "where? Give latitude and longitude, such as "
                '{"latitude": 52.52, "longitude": 13.405}, or set place.latitude and '
                "place.longitude in the configuration"
            )
            raise Invalid(f"place: {said}", {"place": [said], schedule.kind: [said]})
    if (schedule.deadlines or {}).get("finish_by_s") is not None:
        check_it_ends(schedule)
    if schedule.calendar is not None or KINDS[schedule.kind].calendars(schedule.rule):
        check_names(schedule)
        schedule.calendars_stamp = calendar_days.stamp()


def check_it_ends(schedule: Schedule) -> None:
    if schedule.agent.kind == "persistent":
        raise Invalid(f"finish_by: {NO_END}", {"finish_by": [NO_END]})


def default_place() -> dict[str, float] | None:
    place = live_config.current().place
    if place.latitude is None or place.longitude is None:
        return None
    return {"latitude": place.latitude, "longitude": place.longitude}


def check_names(schedule: Schedule) -> None:
    chosen = schedule.calendar or {}
    asked = [
        ("calendar", n) for n in (*chosen.get("on", ()), *chosen.get("except", ()))
    ]
    named = KINDS[schedule.kind].calendars(schedule.rule)
    asked += [(schedule.kind, name) for name in sorted(named)]
    known = calendar_days.DaySets()
    for field, name in asked:
        if name not in known:
            said = f'there is no calendar "{name}"; there are {", ".join(known)}'
            raise Invalid(f"{field}: {said}", {field: [said]})


def check_shift(timetable: Timetable, first: datetime) -> None:
    """Raises Invalid for a shift of a rule that has too many instants a day."""
    trigger = timetable.trigger
    if not isinstance(trigger, CalendarTrigger) or trigger.choice.shift == "skip":
        return
    if too_many_a_day(trigger, local(timetable.zone, first).date()):
        said = f"shift: not for a rule with more than {MOST_SHIFTED} times a day"
        raise Invalid(f"calendar: {said}", {"calendar": [said]})
