"""Rules as values: what they name, what they refuse, and how they count."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling.kinds import KINDS
from scheduling.overlap import Replace, Skip, Start, WaitForEnd, judge
from scheduling.triggers.base import firings, instant_of, key_of, last_firings
from scheduling.triggers.cron import cron_trigger
from scheduling.triggers.cron_rule import CronError, parse
from scheduling.triggers.cron_shift import shifted
from scheduling.triggers.interval import IntervalTrigger
from scheduling.triggers.missed import ALL_AT_MOST, Missed, all_due, take_due
from scheduling.triggers.run_at import RunAtTrigger
from scheduling.triggers.spans import span
from scheduling.triggers.timetable import Timetable

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)  # a Monday
UTC_ZONE, BERLIN = ZoneInfo("UTC"), ZoneInfo("Europe/Berlin")
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
DAY = timedelta(days=1)


def table(expression: str, **limits: object) -> Timetable:
    trigger = cron_trigger(expression, UTC_ZONE)
    return Timetable(trigger, UTC_ZONE, **limits)  # type: ignore[arg-type]


def days(expression: str, count: int) -> list[str]:
    found = firings(
        cron_trigger(expression, UTC_ZONE), NOON, NOON + 4000 * DAY, at_most=count
    )
    return [f"{at:%Y-%m-%d}" for at in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 9 L * *", ["2026-11-30", "2026-12-31", "2027-01-31"]),
        ("0 9 LW * *", ["2026-11-30", "2026-12-31", "2027-01-29"]),
        ("0 9 * * 5L", ["2026-11-27", "2026-12-25", "2027-01-29"]),
        ("0 9 * * MON#2", ["2026-12-14", "2027-01-11", "2027-02-08"]),
        ("0 9 29 2 *", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("0 9 1 * MON", ["2026-11-30", "2026-12-01", "2026-12-07"]),  # either
        ("0 9 */2 * MON", ["2026-12-07", "2026-12-21", "2027-01-11"]),  # both
        ("@monthly", ["2026-12-01", "2027-01-01", "2027-02-01"]),
        ("@Weekly", ["2026-11-29", "2026-12-06", "2026-12-13"]),
        ("0 9 * JAN,mar sun", ["2027-01-03", "2027-01-10", "2027-01-17"]),
    ],
)
def test_days_of_an_expression(expression: str, expected: list[str]) -> None:
    assert days(expression, 3) == expected


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("* * *", "3 fields"),
        ("* * * * * * *", "7 fields"),
        ("0 9 ? * *", r"day of month: \? is not taken; write \*"),
        ("0 9 15W * *", "nearest weekday"),
        ("0 9 L-3 * *", "L is the last day"),
        ("0 9 * * L", "5L is the last Friday"),
        ("0 9 * * 1#6", "MON#2"),
        ("H * * * *", "use jitter"),
        ("*/90 * * * *", "a step of 90 does not fit in 60"),
        ("*/0 * * * *", "a step of 0"),
        ("5-1 * * * *", "runs backwards"),
        ("60 * * * *", "out of range"),
        ("1,,2 * * * *", "an empty place"),
        ("0 0 * * sunmon", "write a number"),
        ("0 0 30 2 *", "out of range"),
        ("0 0 31 4,6,9,11 *", "out of range"),
        ("@reboot", "start_at_boot"),
        ("@every 1ns", "use interval"),
        ("@noon", "there are @yearly"),
        ("\u0665 * * * *", "only letters, digits"),
        ("0 0 * * *\n* * * * * root id", "only letters"),
        ("0," * 99 + "0 * * * *", "longer than 200"),
        ("", "0 fields"),
        ("jan * * * *", "JAN is not a number"),
    ],
)
def test_what_cron_cannot_say_is_refused_with_a_way_out(
    expression: str, said: str
) -> None:
    with pytest.raises(CronError, match=said):
        parse(expression)


expressions = st.sampled_from(
    [
        "*/7 * * * *",
        "0 */5 * * *",
        "30 2 * * *",
        "0,20 1,2,3 * * 1-5",
        "0 9 L * *",
        "*/20 * * * * *",
        "5 4 1,15 * MON",
    ]
)
moments = st.integers(0, 334 * 86_400).map(
    lambda s: datetime(2027, 1, 1, tzinfo=UTC) + timedelta(seconds=s)
)


@settings(max_examples=60, deadline=None)
@given(expressions, moments, st.integers(1, 20 * 86_400))
def test_counting_agrees_with_walking(
    expression: str, after: datetime, length_s: int
) -> None:
    trigger = cron_trigger(expression, BERLIN)
    until = after + timedelta(seconds=length_s)
    walked = firings(trigger, after, until, at_most=100_000)
    assert trigger.count(after, until) == len(walked)
    assert last_firings(trigger, after, until, at_most=5) == walked[-5:]


@settings(max_examples=60, deadline=None)
@given(expressions, moments)
def test_the_next_firing_is_later_and_nothing_lies_between(
    expression: str, after: datetime
) -> None:
    trigger = cron_trigger(expression, BERLIN)
    found = trigger.next_after(after)
    assert found is not None
    assert found > after
    assert trigger.count(after, found) == 1


def test_a_rule_that_comes_every_eight_years_is_found() -> None:
    trigger = cron_trigger("0 0 29 2 *", BERLIN)
    after = datetime(2096, 3, 1, tzinfo=UTC)
    assert trigger.next_after(after) == datetime(2104, 2, 28, 23, tzinfo=UTC)


def test_an_interval_starts_at_its_anchor() -> None:
    trigger = IntervalTrigger(NOON, 90 * SECOND)
    assert trigger.next_after(NOON - DAY) == NOON
    assert trigger.next_after(NOON) == NOON + 90 * SECOND
    assert trigger.count(NOON - DAY, NOON + 180 * SECOND) == 3


def test_the_window_is_from_start_up_to_but_not_including_end() -> None:
    limited = table("0 * * * *", start_at=NOON + HOUR, end_at=NOON + 3 * HOUR)
    assert limited.between(NOON, NOON + DAY, at_most=9) == [
        NOON + HOUR,
        NOON + 2 * HOUR,
    ]
    assert limited.count(NOON, NOON + DAY) == 2
    assert limited.next_after(NOON + 2 * HOUR) is None


def test_excluded_days_are_those_the_clocks_show() -> None:
    trigger = cron_trigger("0 0 * * *", BERLIN)
    some = Timetable(
        trigger,
        BERLIN,
        without_days=frozenset({date(2026, 11, 25)}),
        without_instants=frozenset({NOON + 3.5 * DAY - HOUR}),
    )
    found = some.between(NOON, NOON + 5 * DAY, at_most=9)
    assert [f"{at.astimezone(BERLIN):%d}" for at in found] == ["24", "26", "28"]
    assert some.count(NOON, NOON + 5 * DAY) == 3


def test_a_whole_excluded_day_of_seconds_is_jumped_over() -> None:
    some = table("* * * * * *", without_days=frozenset({NOON.date()}))
    assert some.next_after(NOON) == datetime(2026, 11, 24, tzinfo=UTC)
    assert some.count(NOON, NOON + DAY) == 12 * 3600 + 1


@settings(max_examples=50, deadline=None)
@given(moments, st.integers(1, 3600), st.text("0123456789abcdef", min_size=32))
def test_jitter_is_within_bounds_and_always_the_same(
    nominal: datetime, jitter_s: int, uid: str
) -> None:
    one = table("* * * * *", jitter_s=jitter_s, salt=uid)
    same = table("* * * * *", jitter_s=jitter_s, salt=uid)
    assert one.due(nominal) == same.due(nominal)
    assert nominal <= one.due(nominal) < nominal + timedelta(seconds=jitter_s)


def test_jitter_differs_from_schedule_to_schedule() -> None:
    dues = {table("* * * * *", jitter_s=3600, salt=str(n)).due(NOON) for n in range(50)}
    assert len(dues) > 45


@settings(max_examples=50, deadline=None)
@given(moments)
def test_a_key_names_its_instant(nominal: datetime) -> None:
    assert instant_of(key_of(nominal)) == nominal


@pytest.mark.parametrize("key", ["", "soon", "20261332T000000Z", "2026112T0900000Z"])
def test_what_is_no_key_names_nothing(key: str) -> None:
    assert instant_of(key) is None


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["* * * * *", "*/10 * * * *", "0 * * * *", "* * * * * *"]),
    st.integers(0, 3 * 86_400),
    st.sampled_from(["skip", "latest", "all"]),
    st.integers(0, 86_400),
    st.sampled_from([0, 1]),
)
def test_every_due_instant_either_runs_or_is_passed_over(
    expression: str, asleep_s: int, missed: Missed, window_s: int, jitter_s: int
) -> None:
    some = table(expression, jitter_s=jitter_s, salt="x")
    now = NOON + timedelta(seconds=asleep_s)
    due = take_due(
        some, cursor_at=NOON, now=now, missed=missed, catchup_window_s=window_s
    )
    passed = due.passed.count if due.passed else 0
    everything = all_due(some, cursor_at=NOON, now=now, reason="")
    assert len(due.run) + passed == (everything.count if everything else 0)
    assert all(some.due(nominal) <= now for nominal in due.run)
    assert len(due.run) <= ALL_AT_MOST
    if due.passed and due.run:
        assert due.passed.to_at < due.run[0]
    following = some.next_after(due.cursor_at)
    assert following is not None
    assert some.due(following) > now


def test_a_month_of_seconds_is_settled_at_once() -> None:
    some = table("* * * * * *")
    began = time.perf_counter()
    due = take_due(
        some,
        cursor_at=NOON - 30 * DAY,
        now=NOON,
        missed="latest",
        catchup_window_s=3600,
    )
    assert time.perf_counter() - began < 1
    assert due.run == (NOON,)
    assert due.passed is not None
    assert due.passed.count == 30 * 86_400 - 1


@pytest.mark.parametrize(
    ("expression", "by", "expected"),
    [
        ("0 9 * * MON-FRI", HOUR, "0 10 * * MON-FRI"),
        ("30 23 * * FRI", HOUR, "30 0 * * 6"),
        ("0 0 * * 0", -MINUTE, "59 23 * * 6"),
        ("*/15 * * * *", 5 * MINUTE, "5-59/15 * * * *"),
        ("0 */6 * * *", 90 * MINUTE, "30 1-23/6 * * *"),
        ("15 6,18 * * *", 3 * HOUR, "15 9,21 * * *"),
        ("0 9 1 * *", 3 * DAY, "0 9 4 * *"),
        ("@daily", 9 * HOUR, "0 9 * * *"),
        ("0 9 * * *", 30 * SECOND, "30 0 9 * * *"),
        ("0 9 * * 5L", MINUTE, "1 9 * * 5L"),
        ("0 9 L * *", DAY, None),
        ("0 9,23 * * 1", 2 * HOUR, None),
        ("0 9 31 * *", DAY, None),
    ],
)
def test_a_rule_is_said_anew_where_cron_can_say_it(
    expression: str, by: timedelta, expected: str | None
) -> None:
    assert shifted(expression, int(by.total_seconds())) == expected


@settings(max_examples=60, deadline=None)
@given(expressions, st.integers(-86_400, 86_400))
def test_what_is_said_anew_means_the_same_moved(expression: str, by_s: int) -> None:
    said = shifted(expression, by_s)
    if said is None:
        return
    by = timedelta(seconds=by_s)
    old = cron_trigger(expression, UTC_ZONE)
    new = cron_trigger(said, UTC_ZONE)
    expected = [at + by for at in firings(old, NOON - by, NOON + 90 * DAY, at_most=50)]
    assert firings(new, NOON, NOON + 400 * DAY, at_most=len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 9 * * MON-FRI", "At 09:00, Monday through Friday (Europe/Berlin)"),
        ("*/15 * * * *", "Every 15 minutes (Europe/Berlin)"),
        ("0 9 * * 7", "At 09:00, on Sunday (Europe/Berlin)"),
        (
            "0 9 1 * MON",
            "At 09:00, on day 1 of the month, or on Monday (Europe/Berlin)",
        ),
        ("0 9 */2 * MON", "At 09:00, every 2 days, and on Monday (Europe/Berlin)"),
        ("@daily", "At 00:00 (Europe/Berlin)"),
    ],
)
def test_cron_in_words(expression: str, words: str) -> None:
    assert KINDS["cron"].words(cron_trigger(expression, BERLIN), BERLIN) == words


def test_other_rules_in_words() -> None:
    assert KINDS["run_at"].words(RunAtTrigger(NOON), BERLIN) == (
        "Once, on Mon 23 Nov 2026 at 13:00 (Europe/Berlin)"
    )
    assert KINDS["interval"].words(IntervalTrigger(NOON, 6 * HOUR), UTC_ZONE) == (
        "Every 6 hours, counted from Mon 23 Nov 2026 at 12:00 (UTC)"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "second"),
        (60, "minute"),
        (90, "1 minute and 30 seconds"),
        (86_400 * 2, "2 days"),
        (1.5, "1.5 seconds"),
    ],
)
def test_lengths_in_words(seconds: float, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


@pytest.mark.parametrize(
    ("policy", "live", "waiting", "expected"),
    [
        ("skip", 0, 0, Start),
        ("skip", 1, 0, Skip),
        ("buffer_one", 1, 0, WaitForEnd),
        ("buffer_one", 1, 1, Skip),
        ("buffer_all", 1, 5, WaitForEnd),
        ("buffer_all", 0, 1, WaitForEnd),  # they keep their order
        ("buffer_all", 1, 100, Skip),
        ("cancel_other", 1, 0, Replace),
        ("terminate_other", 1, 0, Replace),
        ("allow_all", 9, 0, Start),
    ],
)
def test_overlap_policies(policy: str, live: int, waiting: int, expected: type) -> None:
    assert isinstance(judge(policy, live=live, waiting=waiting), expected)
