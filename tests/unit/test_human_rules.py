"""Human rules as values: their printed form, their days, and what clocks do."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scheduling.kinds import KINDS
from scheduling.kinds.base import Context
from scheduling.triggers.base import firings
from scheduling.triggers.cron import cron_trigger
from scheduling.triggers.days import Dates, DaySet, Weekdays
from scheduling.triggers.human import Rule, names_in
from scheduling.triggers.human_parser import parse
from scheduling.triggers.human_print import to_text
from scheduling.triggers.human_shift import shifted
from scheduling.triggers.human_trigger import HumanTrigger, human_trigger
from scheduling.triggers.solar import Place
from tests.unit.human_drawn import rules

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BERLIN, UTC_ZONE = ZoneInfo("Europe/Berlin"), ZoneInfo("UTC")
CALENDARS: dict[str, DaySet] = {
    "holidays": Dates(frozenset((date(2026, 12, 25), date(2027, 1, 1)))),
    "shift-a": Weekdays(frozenset((1, 4))),
    "Late shift": Weekdays(frozenset((2,))),
    "x9_b": Dates(frozenset((date(2027, 2, 1),))),
}
TROMSO = Place(69.65, 18.96)
YEAR = timedelta(days=365)


def trigger(rule: Rule | str, zone: ZoneInfo = BERLIN, **more: object) -> HumanTrigger:
    found = parse(rule) if isinstance(rule, str) else rule
    place = Place(52.52, 13.405)
    given_: dict[str, object] = {
        "place": place,
        "anchor_at": NOW,
        "calendars": CALENDARS,
    }
    return human_trigger(found, zone, **{**given_, **more})  # type: ignore[arg-type]


def local_times(rule: str, count: int, zone: ZoneInfo = BERLIN) -> list[str]:
    found = firings(trigger(rule, zone), NOW, NOW + 40 * YEAR, at_most=count)
    return [at.astimezone(zone).strftime("%Y-%m-%d %H:%M") for at in found]


@given(rules())
def test_what_is_printed_reads_back_as_the_same_rule(rule: Rule) -> None:
    again = parse(to_text(rule))
    assert again == rule
    assert to_text(again) == to_text(rule)


@settings(deadline=None)
@given(rules())
def test_a_rule_read_back_has_the_same_instants(rule: Rule) -> None:
    until = NOW + timedelta(days=100)
    ours = firings(trigger(rule), NOW, until, at_most=5)
    again = firings(trigger(parse(to_text(rule))), NOW, until, at_most=5)
    assert again == ours


@settings(deadline=None)
@given(rules(), st.integers(0, 40 * 86_400), st.integers(0, 30 * 86_400))
def test_a_count_is_the_number_of_instants(rule: Rule, start: int, length: int) -> None:
    found = trigger(rule)
    after = datetime(2027, 3, 1, tzinfo=UTC) + timedelta(seconds=start)
    until = after + timedelta(seconds=length)
    counted = found.count(after, until)
    assume(counted < 5_000)
    walked = firings(found, after, until, at_most=5_001)
    assert len(walked) == counted
    assert walked == sorted(set(walked))


@settings(deadline=None)
@given(rules(sun=False), st.integers(-86_400, 86_400))
def test_a_rule_said_anew_is_the_rule_moved_by_what_clocks_show(
    rule: Rule, by_s: int
) -> None:
    text = shifted(to_text(rule), by_s)
    assume(text is not None and by_s)
    until = NOW + timedelta(days=60)
    moved = firings(trigger(rule, shift_s=by_s), NOW, until, at_most=20)
    if moved and "minute" not in str(text) and "second" not in str(text):
        assert firings(trigger(str(text)), NOW, until, at_most=20) == moved


def test_a_shift_is_said_where_the_times_stay_on_their_day() -> None:
    assert shifted("every weekday at 09:00", 3_600) == "every weekday at 10:00"
    assert shifted("every hour from 09:00 to 17:00", -1_800) == (
        "every hour from 08:30 to 16:30"
    )
    assert shifted("every weekday at 23:30", 3_600) is None
    assert shifted("every day at sunset", 3_600) is None
    assert shifted("every 15 minutes", 60) is None


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("every weekday at 2:30", "30 2 * * MON-FRI"),
        ("every day at 2:10 and 2:50", "10,50 2 * * *"),
        ("every 15 minutes", "*/15 * * * *"),
        ("hourly at minute 5", "5 * * * *"),
        ("on the 1st and 15th at noon", "0 12 1,15 * *"),
        ("last sunday of the month at 2:30", "30 2 * * 0L"),
        ("every sunday at 2:30 in march and october", "30 2 * MAR,OCT SUN"),
    ],
)
@pytest.mark.parametrize("dst", ["", "once", "both", "skip"])
def test_a_rule_does_what_the_same_cron_expression_does(
    text: str, expression: str, dst: str
) -> None:
    after, until = NOW, NOW + 2 * YEAR
    ours = trigger(text, dst=dst)
    cron = cron_trigger(expression, BERLIN, dst=dst)  # type: ignore[arg-type]
    wanted = firings(cron, after, until, at_most=100_000)
    assert firings(ours, after, until, at_most=100_000) == wanted
    assert ours.count(after, until) == len(wanted)


def test_a_window_over_midnight_belongs_to_the_day_it_starts() -> None:
    found = local_times("every 3 hours from 22:00 to 4:00 on saturdays", 4)
    assert found == [
        *("2026-11-28 22:00", "2026-11-29 01:00", "2026-11-29 04:00"),
        "2026-12-05 22:00",
    ]


def test_a_day_without_that_sunset_is_left_out() -> None:
    found = trigger("at sunset", ZoneInfo("Europe/Oslo"), place=TROMSO)
    night = datetime(2026, 11, 20, tzinfo=UTC)
    first = found.next_after(night + timedelta(days=10))
    assert first is not None
    assert first > datetime(2027, 1, 10, tzinfo=UTC)
    assert found.count(night + timedelta(days=10), first) == 1


def test_the_sun_needs_a_place_and_says_where_to_set_it() -> None:
    with pytest.raises(ValueError, match="need a place: set latitude and longitude"):
        trigger("at sunset", place=None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("every day except holidays", 'no calendar named "holidays"'),
        ("on business days", 'no calendar named "business_days", nor'),
        ("on calendar nobody", 'no calendar named "nobody"'),
    ],
)
def test_a_calendar_that_is_not_there_is_named(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        trigger(text, calendars={})


def test_the_calendars_of_a_rule_are_told() -> None:
    rule = parse("on the first business day of the month except holidays")
    assert names_in(rule) == {"business_days", "holidays"}
    assert names_in(parse('every day except calendar "Late shift"')) == {"Late shift"}


def test_a_calendar_of_business_days_goes_before_the_ordinary_week() -> None:
    days = {**CALENDARS, "business_days": Weekdays(frozenset((5,)))}
    found = trigger("on business days at 8", calendars=days).next_after(NOW)
    assert found == datetime(2026, 11, 28, 7, tzinfo=UTC)


def test_what_counts_from_a_day_counts_from_the_anchors_local_day() -> None:
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)  # the 24th in Berlin
    found = trigger("every 2 days at 12:00", anchor_at=late).next_after(NOW)
    assert found == datetime(2026, 11, 24, 11, tzinfo=UTC)
    with pytest.raises(ValueError, match="counts from a day"):
        trigger("every 2 days", anchor_at=None)


def test_a_rule_that_never_fires_is_told_quickly() -> None:
    started = time.monotonic()
    assert trigger("on calendar x9_b except in february").next_after(NOW) is None
    assert time.monotonic() - started < 2


def test_counting_a_year_is_quick() -> None:
    found = [trigger(t) for t in ("every 30 seconds", "every minute on weekdays")]
    started = time.monotonic()
    assert [t.count(NOW, NOW + YEAR) for t in found] == [1_051_200, 375_840]
    assert time.monotonic() - started < 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "weekdays at 9 except holidays",
            "Every weekday at 09:00 except holidays (UTC)",
        ),
        (
            "every other tuesday",
            "Every 2 weeks on Tuesday at 00:00, counted from Mon 23 Nov 2026 (UTC)",
        ),
        ("every 7 minutes", "Every 7 minutes, counted anew each day (UTC)"),
    ],
)
def test_a_rule_tells_its_defaults_in_words(text: str, words: str) -> None:
    kind = KINDS["rule"]
    context = Context(UTC_ZONE, NOW, calendars=CALENDARS)
    assert kind.words(kind.trigger(kind.read(text), context), UTC_ZONE) == words
