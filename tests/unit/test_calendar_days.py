"""Named days: what a calendar holds, and a trigger on them, against brute force."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.calendar_content import days_of, of_source, read_content
from scheduling.calendar_input import read_calendar
from scheduling.triggers.base import Trigger, firings
from scheduling.triggers.calendars import CalendarTrigger, Choice
from scheduling.triggers.cron import cron_trigger
from scheduling.triggers.days import WEEKEND, WORKING_WEEK, Dates, DaySet
from scheduling.triggers.user_days import UserDays
from scheduling.triggers.zones import first_instant, local

DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
END = BEGIN + timedelta(days=60)  # the clocks change on 29 March


@st.composite
def choices(draw: st.DrawFn) -> Choice:
    offsets = st.frozensets(st.integers(-5, 65), max_size=25)
    without: dict[str, DaySet] = {
        "a": Dates(frozenset(BEGIN.date() + n * DAY for n in draw(offsets)))
    }
    if draw(st.booleans()):
        without["weekends"] = WEEKEND
    on: dict[str, DaySet] = {"weekdays": WORKING_WEEK} if draw(st.booleans()) else {}
    return Choice(on, without, draw(st.sampled_from(["skip", "next", "previous"])))


def brute(inner: Trigger, zone: ZoneInfo, choice: Choice) -> list[datetime]:
    """Walk every instant of the rule and carry it, day by day, to where it belongs."""
    found = set()
    for at in firings(inner, BEGIN - 90 * DAY, END + 90 * DAY, at_most=100_000):
        shown = local(zone, at)
        day, step = shown.date(), {"skip": 0, "next": 1, "previous": -1}[choice.shift]
        while step and not choice.includes(day):
            day += step * DAY
        if not choice.includes(day):
            continue
        moved = datetime.combine(day, shown.time())
        found.add(at if day == shown.date() else first_instant(zone, moved))
    return sorted(at for at in found if BEGIN < at <= END)


@settings(deadline=None)
@given(
    choices(),
    st.sampled_from(
        [
            "0 9 * * *",
            "30 2 * * SAT,SUN",
            "0 */6 * * *",
            "0 0 13 * *",
            "15 9,17 * * MON",
        ]
    ),
    st.sampled_from(["Europe/Berlin", "America/St_Johns", "UTC"]),
)
def test_the_days_of_a_choice_are_those_of_brute_force(
    choice: Choice, text: str, zone_name: str
) -> None:
    zone = ZoneInfo(zone_name)
    inner = cron_trigger(text, zone)
    trigger = CalendarTrigger(inner, zone, choice)
    expected = brute(inner, zone, choice)
    assert firings(trigger, BEGIN, END, at_most=10_000) == expected
    assert trigger.count(BEGIN, END) == len(expected)
    middle = BEGIN + (END - BEGIN) / 3
    later = [at for at in expected if at > middle]
    assert trigger.count(middle, END) == len(later)
    assert trigger.next_after(middle) == (later[0] if later else trigger_next(trigger))


def trigger_next(trigger: CalendarTrigger) -> datetime | None:
    return trigger.next_after(END)


def test_a_calendar_that_allows_nothing_is_seen_to_never_fire() -> None:
    nothing = Choice({"none": Dates(frozenset())})
    begun = time.process_time()
    for shift in ("skip", "next", "previous"):
        choice = Choice(nothing.on, {}, shift)  # type: ignore[arg-type]
        trigger = CalendarTrigger(cron_trigger("* * * * *", BERLIN), BERLIN, choice)
        assert trigger.next_after(BEGIN) is None
        assert trigger.count(BEGIN, END) == 0
    assert time.process_time() - begun < 3


def test_what_was_left_out_says_by_which_calendar_and_where_it_went() -> None:
    christmas: dict[str, DaySet] = {"holidays": Dates(frozenset({date(2026, 12, 25)}))}
    choice = Choice({"weekdays": WORKING_WEEK}, christmas, "next")
    trigger = CalendarTrigger(cron_trigger("0 9 * * *", BERLIN), BERLIN, choice)
    begin = datetime(2026, 12, 24, 12, tzinfo=UTC)
    found = trigger.passed_over(begin, begin + 3 * DAY, at_most=9)
    assert [(one.day.day, one.why) for one in found] == [
        (25, "holidays"),
        (26, "not in weekdays"),
        (27, "not in weekdays"),
    ]
    assert {one.moved_to for one in found} == {date(2026, 12, 28)}
    nine = [at.day for at in firings(trigger, begin, begin + 5 * DAY, at_most=9)]
    assert nine == [28, 29], "what falls together runs once"


# --- what a calendar holds


def content(**given: object) -> UserDays:
    found, faults = read_content(given)
    assert not faults
    return days_of(found)


def test_days_by_weekday_by_year_and_one_by_one() -> None:
    days = content(
        weekdays=["sat", "Sunday"],
        yearly=["12-25", "02-29"],
        dates=[
            "2026-05-01",
            ["2026-07-30", "2026-08-02"],
            {"from": "2027-01-04", "to": "2027-01-04"},
        ],
    )
    for text, is_in in (
        ("2026-11-21", True),
        ("2026-11-23", False),
        ("2030-12-25", True),
        ("2028-02-29", True),
        ("2027-03-01", False),
        ("2026-05-01", True),
        ("2026-07-31", True),
        ("2026-08-03", False),
        ("2027-01-04", True),
    ):
        assert days.includes(date.fromisoformat(text)) is is_in, text


@pytest.mark.parametrize(
    ("given_", "field", "said"),
    [
        ({"weekdays": ["someday"]}, "weekdays", "item 1: expected a day of the week"),
        ({"yearly": ["02-30"]}, "yearly", "item 1"),
        ({"dates": ["2026-02-30"]}, "dates", "item 1"),
        ({"dates": [["2026-05-02", "2026-05-01"]]}, "dates", "lies before"),
        ({"dates": [["1970-01-01", "2999-12-31"]]}, "dates", "more than 20000 days"),
        ({"dates": "2026-05-01"}, "dates", "expected a list"),
        ({"events": [{"rule": "RRULE:FREQ=DAILY"}]}, "events", "DTSTART is missing"),
        ({"events": [{"rule": "x", "sql": 1}]}, "events", "sql is not rule"),
    ],
)
def test_wrong_days_are_refused_by_their_place(
    given_: dict[str, object], field: str, said: str
) -> None:
    _, faults = read_content(given_)
    assert said in faults[field][0]


ICS = """BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VEVENT
UID:new-year
DTSTART;VALUE=DATE:20200101
RRULE:FREQ=YEARLY
END:VEVENT
BEGIN:VEVENT
UID:summer
DTSTART;VALUE=DATE:20260720
DTEND;VALUE=DATE:20260725
END:VEVENT
BEGIN:VEVENT
UID:night
DTSTART;TZID=Europe/Berlin:20260910T220000
DTEND;TZID=Europe/Berlin:20260911T060000
END:VEVENT
BEGIN:VEVENT
UID:dropped
STATUS:CANCELLED
DTSTART;VALUE=DATE:20261001
END:VEVENT
BEGIN:VEVENT
UID:standup
DTSTART;VALUE=DATE:20260105
RRULE:FREQ=WEEKLY;COUNT=3
EXDATE;VALUE=DATE:20260112
END:VEVENT
BEGIN:VEVENT
UID:standup
RECURRENCE-ID;VALUE=DATE:20260119
DTSTART;VALUE=DATE:20260121
END:VEVENT
END:VCALENDAR
"""


def test_an_ics_file_gives_its_days() -> None:
    days = content(**of_source(ICS))
    inside = [
        date(2026, 1, 1) + n * DAY
        for n in range(365)
        if days.includes(date(2026, 1, 1) + n * DAY)
    ]
    assert [f"{day:%m%d}" for day in inside] == [
        *("0101", "0105", "0121"),
        *("0720", "0721", "0722", "0723", "0724"),
        *("0910", "0911"),
    ]
    assert days.includes(date(2099, 1, 1)), "a rule goes on for ever"


def test_yaml_gives_its_days() -> None:
    days = content(
        **of_source("yearly: ['12-25']\ndates: [2026-05-01]\nweekdays: [sun]")
    )
    for day in (date(2031, 12, 25), date(2026, 5, 1), date(2026, 11, 22)):
        assert days.includes(day)


@pytest.mark.parametrize("rule", ["SECONDLY", "MINUTELY", "HOURLY;BYSECOND=1,2,3"])
def test_an_event_by_the_second_does_not_hang_us(rule: str) -> None:
    lines = f"DTSTART:19700101T000000Z\nRRULE:FREQ={rule}"
    event = f"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:x\n{lines}\nEND:VEVENT\nEND:VCALENDAR"
    begun = time.process_time()
    days = content(**of_source(event))
    assert all(days.includes(date(year, 6, 1)) for year in range(2020, 2060))
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "source",
    [
        "BEGIN:VCALENDAR\nEND:VCALENDAR",
        "BEGIN:VCALENDAR\nBEGIN:VEVENT",
        "[[[",
        "42",
    ],
)
def test_a_source_that_is_neither_is_refused(source: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        of_source(source)


def test_a_yaml_list_inside_itself_is_refused() -> None:
    _, faults = read_content(of_source("&a [*a]"))
    assert "item 1" in faults["dates"][0]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("business_days", (["business_days"], [], "skip")),
        ("weekdays except holidays", (["weekdays"], ["holidays"], "skip")),
        ("except holidays, shift next", ([], ["holidays"], "next")),
        ("a, b except c d shift previous", (["a", "b"], ["c", "d"], "previous")),
        ({"on": "weekends"}, (["weekends"], [], "skip")),
        ({"except": ["x"], "shift": "next"}, ([], ["x"], "next")),
    ],
)
def test_a_choice_of_days_in_its_forms(
    sent: object, kept: tuple[list[str], list[str], str]
) -> None:
    assert read_calendar(sent) == dict(
        zip(("on", "except", "shift"), kept, strict=True)
    )


@pytest.mark.parametrize("sent", ["A!", {"off": []}, {"on": [1]}, {"shift": "up"}, 3])
def test_a_choice_that_is_not_understood_is_refused(sent: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_calendar(sent)
