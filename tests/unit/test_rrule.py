"""RRULE: the local times against dateutil, on drawn rules and on those of the RFC.

dateutil walks every rule from its beginning; ours does not, which is the point of
comparing.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, note, settings
from hypothesis import strategies as st

from scheduling.kinds.base import Context
from scheduling.kinds.rrule import KIND
from scheduling.triggers.rrule import RruleRule
from scheduling.triggers.rrule_text import moved_text, read_text, rule_of
from scheduling.triggers.rrule_words import rrule_words

UTC_ZONE = ZoneInfo("UTC")
SECOND = timedelta(seconds=1)
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]


def rule(text: str, zone: ZoneInfo = UTC_ZONE) -> RruleRule:
    return rule_of(read_text(text), zone, None, timedelta())


def times(text: str, count: int) -> list[datetime]:
    found: list[datetime] = []
    one, at = rule(text), datetime.fromisoformat("1970-01-01")
    while len(found) < count and (next_at := one.next_local(at)) is not None:
        found.append(next_at)
        at = next_at + SECOND
    return found


def days() -> st.SearchStrategy[str]:
    return st.sampled_from(DAYS)


def numbers(low: int, high: int, *, signed: bool = False) -> st.SearchStrategy[str]:
    one = st.integers(low, high)
    if signed:
        one = one | st.integers(-high, -low)
    return st.lists(one, min_size=1, max_size=4).map(lambda n: ",".join(map(str, n)))


@st.composite
def drawn_rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY"]))
    parts = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 5))}"]
    first = draw(st.none() | days())
    parts += [f"WKST={first}"] if first else []
    may = {"BYMONTH": numbers(1, 12), "BYHOUR": numbers(0, 23)}
    may |= {"BYMINUTE": numbers(0, 59), "BYSECOND": numbers(0, 59)}
    if freq in ("MONTHLY", "YEARLY"):
        # dateutil asks of a mixture "MO,1MO" that both hold; the RFC says either
        nth = st.integers(-5, 5).filter(bool).map(str)
        pairs = st.lists(st.tuples(nth, days()).map("".join), min_size=1, max_size=3)
        plain = st.lists(days(), min_size=1, max_size=4)
        may["BYDAY"] = (pairs | plain).map(",".join)
        may["BYMONTHDAY"] = numbers(1, 31, signed=True)
    else:
        may["BYDAY"] = st.lists(days(), min_size=1, max_size=4).map(",".join)
    if freq == "DAILY":
        may["BYMONTHDAY"] = numbers(1, 31, signed=True)
    if freq == "YEARLY":
        may["BYYEARDAY"] = numbers(1, 366, signed=True)
    chosen = draw(st.lists(st.sampled_from(sorted(may)), max_size=3, unique=True))
    parts += [f"{name}={draw(may[name])}" for name in chosen]
    by_position = bool(chosen) and draw(st.integers(0, 3)) == 0
    if by_position:
        parts.append(f"BYSETPOS={draw(numbers(1, 4, signed=True))}")
    if draw(st.integers(0, 2)) == 0:
        parts.append(f"COUNT={draw(st.integers(1, 60))}")
    start = draw(
        st.datetimes(
            datetime.fromisoformat("2015-01-01"), datetime.fromisoformat("2026-12-31")
        )
    )
    if freq == "WEEKLY" and by_position:
        # dateutil takes positions in what is left of the first week; the RFC says of
        # "one interval": so begin with a whole week
        start -= timedelta(days=(start.weekday() - DAYS.index(first or "MO")) % 7)
    return f"DTSTART:{start:%Y%m%dT%H%M%S}\nRRULE:{';'.join(parts)}"


@settings(deadline=None)
@given(drawn_rules())
def test_drawn_rules_fall_as_dateutil_says(text: str) -> None:
    try:
        own = rule(text)
    except ValueError:
        return  # refused with a sentence: what never comes, or the RFC forbids
    note(text)
    if own.next_local(own.said.start) is None:
        return  # dateutil would walk to the year 9999 and find nothing either
    far = own.said.start + timedelta(days=4 * 366)
    theirs = rrulestr(text, dtstart=own.said.start).xafter(
        own.said.start - SECOND, inc=True
    )
    expected = []
    begun = time.monotonic()
    for at in islice(theirs, 40):
        expected.append(at)
        if at > far or time.monotonic() - begun > 1:
            break
    at, found = own.said.start, []
    while len(found) < len(expected):
        next_at = own.next_local(at)
        assert next_at is not None, expected
        found.append(next_at)
        at = next_at + SECOND
    assert found == expected
    if expected:
        assert own.count_local(own.said.start, expected[-1]) == len(expected) - 1
        assert own.count_local(expected[0] + SECOND, expected[-1] + SECOND) == (
            len(expected) - 1
        )


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=YEARLY;INTERVAL=2;BYMONTH=1;BYDAY=SU;BYHOUR=8,9;BYMINUTE=30",
        "FREQ=YEARLY;BYDAY=20MO",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        "FREQ=YEARLY;BYWEEKNO=1,-1;WKST=SU;BYDAY=MO,TU",
        "FREQ=YEARLY;BYYEARDAY=1,100,200,-1",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2",
        "FREQ=MONTHLY;BYDAY=FR;BYHOUR=9,17;BYSETPOS=-1",
        "FREQ=MONTHLY;BYMONTHDAY=-3",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=MO",
        "FREQ=DAILY;INTERVAL=10;COUNT=5",
        "FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000",
        "FREQ=MINUTELY;INTERVAL=90;COUNT=4",
        "FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,10,11,12,13,14,15,16",
        "FREQ=MINUTELY;INTERVAL=7;BYHOUR=9;BYDAY=MO",
        "FREQ=SECONDLY;INTERVAL=77;BYMINUTE=0,30",
    ],
)
def test_rules_of_the_rfc_fall_as_dateutil_says(text: str) -> None:
    """The examples of RFC 5545, 3.8.5.3, and some by the second."""
    start = datetime.fromisoformat("1997-09-02T09:00:00")
    whole = f"DTSTART:19970902T090000\nRRULE:{text}"
    assert times(whole, 25) == list(islice(rrulestr(text, dtstart=start), 25))


def test_dates_are_added_and_left_out() -> None:
    found = times(
        "DTSTART:20260105T090000\nRRULE:FREQ=DAILY;COUNT=5\n"
        "RDATE:20260106T120000,20260107T090000\n"
        "EXDATE:20260105T090000\nEXDATE;VALUE=DATE:20260108",
        10,
    )
    assert [f"{at:%d %H}" for at in found] == ["06 09", "06 12", "07 09", "09 09"]
    own = rule(
        "DTSTART:20260105T090000\nRRULE:FREQ=DAILY;COUNT=5\n"
        "RDATE:20260106T120000,20260107T090000\nEXDATE:20260105T090000"
    )
    low, high = (datetime.fromisoformat(t) for t in ("2026-01-01", "2027-01-01"))
    assert own.count_local(low, high) == 5


def test_an_old_rule_by_the_second_costs_as_much_as_a_young_one() -> None:
    """Neither DTSTART in 1970 nor a count of a thousand million is walked."""
    begun = time.process_time()
    old = rule("DTSTART:19700101T000000\nRRULE:FREQ=SECONDLY;INTERVAL=7;BYHOUR=9")
    low = datetime.fromisoformat("2026-11-23T10:00:00")
    since = datetime.fromisoformat("1970-01-01T00:00:00")
    nine = datetime.fromisoformat("2026-11-24T09:00:00")
    to_come = -int((nine - since).total_seconds()) % 7
    assert old.next_local(low) == nine + timedelta(seconds=to_come)
    year = old.count_local(low, low + timedelta(days=365))
    assert abs(year - 365 * 3600 / 7) < 365
    counted = rule("DTSTART:19700101T000000\nRRULE:FREQ=SECONDLY;COUNT=1000000000")
    assert counted.last == datetime.fromisoformat("2001-09-09T01:46:39")
    assert counted.next_local(low) is None
    assert time.process_time() - begun < 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("INTERVAL=2", "FREQ is missing"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL: expected a whole number from 1"),
        ("FREQ=DAILY;BYDAY=XX", 'BYDAY: "XX" is not a day'),
        ("FREQ=DAILY;BYDAY=1MO", "BYDAY: a number before a day needs"),
        ("FREQ=FORTNIGHTLY", "FREQ: expected one of SECONDLY"),
        ("FREQ=DAILY;BYEASTER=1", "BYEASTER is not a part"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "COUNT and UNTIL stand together"),
        ("FREQ=DAILY;FREQ=DAILY", "FREQ stands there twice"),
        ("FREQ=DAILY;BYHOUR=24", 'BYHOUR: "24" is not a number from 0 to 23'),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "BYMONTHDAY: no month of BYMONTH"),
        ("FREQ=MONTHLY;BYDAY=6FR", "BYDAY: no month has so many"),
        ("FREQ=DAILY;UNTIL=soon", 'UNTIL: expected e.g. "20261231T170000Z"'),
        ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS needs another"),
        ("FREQ=MONTHLY;BYWEEKNO=3", "BYWEEKNO needs FREQ=YEARLY"),
        ("DTSTART:20260101T090000\nFREQ=DAILY;UNTIL=20250101", "UNTIL lies before"),
        ("DTSTART:20260101T090000", "there is no RRULE line"),
        ("DTSTART:20261301T090000\nFREQ=DAILY", 'DTSTART: "20261301T090000" is not'),
        ("DTSTART;TZID=Mars/Base:20260101T090000\nFREQ=DAILY", 'TZID "Mars/Base"'),
        ("RRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY", "RRULE stands there twice"),
        ("EXRULE:FREQ=DAILY", "EXRULE is no part of RFC 5545"),
        ("FREQ", "is not a line such as"),
        ("", "there is no RRULE line"),
        ("A" * 50_000, "longer than"),
    ],
)
def test_a_bad_rule_is_refused_by_the_part(text: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the sentence is compared
        KIND.read(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=9;COUNT=10",
            "Every week on Monday and Friday at 09:00, 10 times",
        ),
        (
            "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18",
            "Every month on the last Friday at 18:00",
        ),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", "Every month on the last day at 09:30"),
        ("FREQ=DAILY;UNTIL=20261231", "Every day at 09:30, until 31 Dec 2026"),
        ("FREQ=HOURLY", "Every hour at minute 30"),
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
            "Every month on weekdays (only the last of these) at 09:30",
        ),
        ("FREQ=YEARLY", "Every year on the 5th of January at 09:30"),
        (
            "FREQ=WEEKLY;INTERVAL=2",
            "Every 2 weeks on Monday at 09:30, counted from 5 Jan 2026",
        ),
    ],
)
def test_a_rule_in_words(text: str, words: str) -> None:
    assert rrule_words(own_rule(text)) == words


def own_rule(text: str) -> RruleRule:
    """Without DTSTART it counts from Mon 5 Jan 2026, 09:30."""
    anchor = datetime(2026, 1, 5, 9, 30, 12, tzinfo=UTC)
    return rule_of(read_text(text), UTC_ZONE, anchor, timedelta())


def test_hours_without_minutes_are_full_hours() -> None:
    found = own_rule("FREQ=DAILY;BYHOUR=9").next_local(
        datetime.fromisoformat("2026-02-01")
    )
    assert found == datetime.fromisoformat("2026-02-01T09:00:00")


def test_a_move_says_the_rule_anew_where_it_can() -> None:
    daily = "DTSTART:20260105T090000\nRRULE:FREQ=DAILY\nEXDATE:20260106T090000"
    assert moved_text(daily, 3600) == daily.replace("T09", "T10")
    weekly = "DTSTART:20260105T090000\nRRULE:FREQ=WEEKLY"
    assert moved_text(weekly, 86_400) == weekly.replace("20260105", "20260106")
    assert (
        moved_text("DTSTART:20260105T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO", 86_400)
        is None
    )
    assert moved_text("RRULE:FREQ=DAILY", 60) is None, "it has no DTSTART to move"


def test_a_shifted_series_is_the_same_series_later() -> None:
    zone = ZoneInfo("Europe/Berlin")
    text = "DTSTART:20260105T233000\nRRULE:FREQ=WEEKLY;BYDAY=MO"
    plain, moved = (KIND.trigger(text, Context(zone, shift_s=s)) for s in (0, 3600))
    at = datetime(2026, 11, 23, tzinfo=UTC)
    first, second = plain.next_after(at), moved.next_after(at)
    assert first is not None
    assert second == first + timedelta(hours=1)


def test_utc_times_in_the_text_are_those_of_the_zone() -> None:
    text = (
        "DTSTART;TZID=Europe/Berlin:20260105T090000\nRRULE:FREQ=DAILY;"
        "UNTIL=20260108T080000Z\nEXDATE:20260106T080000Z"
    )
    assert KIND.zone(text) == "Europe/Berlin"
    own = rule(KIND.read(text), ZoneInfo("Europe/Berlin"))
    far = datetime.fromisoformat("2030-01-01")
    assert own.count_local(datetime.fromisoformat("2026-01-01"), far) == 3
    assert own.last == datetime.fromisoformat("2026-01-08T09:00:00")


VEVENT = """BEGIN:VEVENT
UID:a
DTSTART;TZID=Europe/Berlin:20260105T090000
RRULE:FREQ=WEEKLY;COUNT=4
EXDATE;TZID=Europe/Berlin:20260112T090000
END:VEVENT
BEGIN:VEVENT
UID:a
RECURRENCE-ID;TZID=Europe/Berlin:20260119T090000
DTSTART;TZID=Europe/Berlin:20260120T110000
END:VEVENT
"""


def test_a_pasted_event_keeps_its_moved_instances() -> None:
    kept = KIND.read(VEVENT)
    assert kept.splitlines() == [
        "DTSTART:20260105T090000",
        "RRULE:FREQ=WEEKLY;COUNT=4",
        "RDATE:20260120T110000",
        "EXDATE:20260112T090000,20260119T090000",
    ]
    assert [f"{at:%d %H}" for at in times(kept, 9)] == ["05 09", "20 11", "26 09"]
