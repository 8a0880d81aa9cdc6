"""The calendar's grids: runs one by one, busy days as bands, and a year of days."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from agents.models import Node
from scheduling import moves
from scheduling.day_grid import day_grid
from scheduling.local_days import days_between, midnight
from scheduling.move_input import parse_wish
from scheduling.run_state import RunState as S
from scheduling.timeline import Asked
from scheduling.year_days import year_days
from tests.conftest import NOON
from tests.db.timeline_fixtures import past_runs, plan

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("no_memory_of_other_tests"),
]
HOUR, DAY, MINUTE = timedelta(hours=1), timedelta(days=1), timedelta(minutes=1)
BERLIN, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("Australia/Lord_Howe")
UTC_ZONE = ZoneInfo("UTC")


@pytest.fixture
def node() -> Node:
    return Node.objects.create(
        name="n1", cpu_millis=4000, memory_bytes=8 * 10**9, heartbeat_at=NOON
    )


def look(start=NOON - DAY, end=NOON + DAY, *, zone=UTC_ZONE, q="", most=500, singly=12):
    return day_grid(Asked(start, end, "agent", q, most), zone, singly, NOON)


def on(answer: dict, day: str) -> list[dict]:
    return [band for band in answer["bands"] if band["day"] == day]


def test_few_runs_a_day_are_shown_one_by_one(agent, node) -> None:
    past_runs(agent, node, 5)
    answer = look()
    assert len(answer["items"]) == 5
    assert (answer["bands"], answer["capped"]) == ([], False)


def test_many_runs_of_a_day_are_one_band_that_counts_failures(agent, node) -> None:
    past_runs(agent, node, 20, every=MINUTE)
    past_runs(agent, node, 10, every=MINUTE, state=S.FAILED)
    answer = look()
    [band] = on(answer, "2026-11-23")
    assert (band["agent"], band["count"], band["failed"]) == (agent.agent_id, 30, 10)
    assert answer["items"] == []
    assert answer["capped"] is True


def test_a_busy_day_leaves_the_quiet_days_of_the_agent_alone(agent, node) -> None:
    past_runs(agent, node, 13, every=MINUTE)  # today
    past_runs(agent, node, 2, every=13 * HOUR)  # 23:00 of the day before, and earlier
    answer = look(NOON - 2 * DAY)
    assert [b["day"] for b in answer["bands"]] == ["2026-11-23"]
    assert len(answer["items"]) == 2


def test_a_rule_that_fires_every_minute_is_a_band_of_each_day(agent) -> None:
    plan(agent, cron="* * * * *")
    answer = look(NOON, NOON + 2 * DAY)
    assert [(b["day"], b["planned"]) for b in answer["bands"]] == [
        ("2026-11-23", 719),
        ("2026-11-24", 1440),
        ("2026-11-25", 720),
    ]


def test_a_month_never_has_more_than_was_asked_for(make_agent, node) -> None:
    for n in range(30):
        past_runs(make_agent(f"busy_{n}"), node, 40, every=3 * HOUR)
    answer = look(NOON - 6 * DAY, NOON, most=50)
    assert len(answer["items"]) + len(answer["bands"]) <= 50
    assert answer["capped"] is True
    assert sum(b["count"] for b in answer["bands"]) + len(answer["items"]) == 30 * 40
    assert {b["agent"] for b in answer["bands"]} == {None}


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        (BERLIN, date(2026, 10, 25), 25),
        (BERLIN, date(2027, 3, 28), 23),
        (LORD_HOWE, date(2027, 4, 4), 24.5),
        (LORD_HOWE, date(2026, 10, 4), 23.5),
        (BERLIN, date(2026, 11, 23), 24),
    ],
)
def test_a_day_is_as_long_as_its_clocks_make_it(zone, day, hours) -> None:
    begin, end = midnight(day, zone), midnight(day + DAY, zone)
    assert end - begin == timedelta(hours=hours)
    assert [one for one, _, _ in days_between(begin, end, zone)] == [day]


def test_runs_are_counted_on_their_local_day_across_a_change_of_the_clocks(
    agent, node
) -> None:
    edge = midnight(date(2026, 10, 26), BERLIN)
    assert edge == datetime(2026, 10, 25, 23, tzinfo=UTC)
    past_runs(agent, node, 730, every=HOUR)  # every full hour before NOON
    days = {d["day"]: d["count"] for d in year_days(2026, BERLIN, "", NOON)["days"]}
    assert days["2026-10-25"] == 25
    assert days["2026-10-26"] == days["2026-10-28"] == 24
    answer = look(midnight(date(2026, 10, 25), BERLIN), edge, zone=BERLIN)
    assert [(b["day"], b["count"]) for b in answer["bands"]] == [("2026-10-25", 25)]


def test_what_the_clocks_do_to_a_rule_is_told(agent) -> None:
    plan(agent, cron="30 2 * * *", timezone="Europe/Berlin")
    spring = midnight(date(2027, 3, 28), BERLIN)
    answer = look(spring, spring + DAY, zone=BERLIN)
    [told] = answer["clocks"]
    assert "leaves out 02:00 to 03:00" in told["said"]
    assert look()["clocks"] == []


def test_a_year_tells_failures_and_what_is_planned(agent, node) -> None:
    past_runs(agent, node, 3)
    past_runs(agent, node, 2, state=S.FAILED)
    plan(agent, cron="0 9 * * *")
    answer = year_days(2026, UTC_ZONE, "", NOON)
    days = {d["day"]: d for d in answer["days"]}
    today = days["2026-11-23"]
    assert (today["succeeded"], today["failed"], today["count"]) == (3, 2, 5)
    assert days["2026-11-24"]["planned"] == 1
    assert days["2026-12-31"]["planned"] == 1
    assert year_days(2026, UTC_ZONE, "nobody_of_that_name", NOON)["days"] == []


def test_a_rule_of_every_minute_is_counted_through_the_year(agent) -> None:
    plan(agent, cron="* * * * *")
    days = {d["day"]: d for d in year_days(2026, UTC_ZONE, "", NOON)["days"]}
    assert days["2026-11-23"]["planned"] in (719, 720, 721)
    assert days["2026-12-31"]["planned"] == 1440


def test_a_rule_with_runs_left_ends_its_bands_there(agent) -> None:
    schedule = plan(agent, cron="* * * * *", max_runs=1500)
    assert schedule.max_runs == 1500
    answer = look(NOON, NOON + 3 * DAY)
    assert sum(b["planned"] for b in answer["bands"]) == 1500


def test_the_grids_over_http(viewer, agent) -> None:
    window = "from=2026-11-23T00:00:00Z&to=2026-11-30T00:00:00Z"
    answer = viewer.get(f"/api/v1/timeline/grid/?{window}&timezone=Europe/Berlin")
    assert answer.status_code == 200
    assert set(answer.json()) == {
        *("items", "bands", "capped", "clocks", "windows", "now"),
    }
    year = viewer.get("/api/v1/timeline/days/?year=2026&timezone=Europe/Berlin")
    assert year.json()["year"] == 2026


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("timeline/grid/?timezone=Mars/Phobos", "timezone"),
        ("timeline/grid/?max_items=100000", "max_items"),
        ("timeline/grid/?singly=0", "singly"),
        ("timeline/grid/?group=agent", "group"),
        ("timeline/days/?year=1", "year"),
        ("timeline/days/?year=next", "year"),
        ("timeline/days/?timezone=CET%2BX", "timezone"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(viewer, path, field) -> None:
    answer = viewer.get(f"/api/v1/{path}")
    assert answer.status_code == 400
    assert field in str(answer.json())


def test_a_moved_run_is_on_its_new_day(agent) -> None:
    schedule = plan(agent, cron="0 9 * * *")
    first = look(NOON, NOON + 3 * DAY)["items"][0]
    assert first["schedule"] == schedule.uid
    raw = {"start": (NOON + 2 * DAY + HOUR).isoformat(), "scope": "this"}
    wish = parse_wish(raw)
    moves.move(first["occurrence"], wish, actor="u", now=NOON, may_edit=True)
    days = sorted(i["start"].date() for i in look(NOON, NOON + 3 * DAY)["items"])
    assert days == [date(2026, 11, 25), date(2026, 11, 25), date(2026, 11, 26)]
