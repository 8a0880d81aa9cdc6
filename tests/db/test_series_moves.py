"""Moves of a whole series, of all that follows, of an interval, and of a one-off."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents.errors import ChangedMeanwhile
from agents.models import Event
from scheduling import schedules
from scheduling.models import Occurrence, Schedule
from tests.db.move_fixtures import hours, move, take_back
from tests.db.schedule_fixtures import (
    NOON,
    PERSON,
    again,
    at,
    fire,
    outcomes,
    plan,
    runs_of,
)

pytestmark = pytest.mark.django_db


def test_all_rewrites_the_rule_where_cron_can_say_it(agent: Any) -> None:
    schedule = plan(agent, cron="30 22 * * FRI")
    friday = at("2026-11-27T22:30")
    answer = move(schedule, friday, friday + timedelta(hours=2), scope="all")
    assert answer["rule_after"] == again(schedule).rule == "30 0 * * 6"
    assert hours(schedule, 2) == ["28 00:30", "05 00:30"]


def test_all_keeps_an_offset_where_cron_cannot_say_it(agent: Any) -> None:
    schedule = plan(agent, cron="0 9 L * *")
    last = at("2026-11-30T09:00")
    answer = move(schedule, last, last + timedelta(hours=25), scope="all")
    row = again(schedule)
    assert (row.rule, row.shift_s) == ("0 9 L * *", 90_000)
    assert answer["human"].endswith(", 1 day and 1 hour later (UTC)")
    assert hours(schedule, 2) == ["01 10:00", "01 10:00"]
    assert (take_back(answer).shift_s, hours(schedule, 1)) == (0, ["30 09:00"])


def test_all_moves_by_what_clocks_show(agent: Any) -> None:
    """Over the change of the clocks a day later is still the same time of day."""
    schedule = plan(agent, cron="0 9 * * SAT", timezone="Europe/Berlin")
    saturday = at("2027-03-27T08:00")
    move(schedule, saturday, at("2027-03-28T07:00"), scope="all")
    assert again(schedule).rule == "0 9 * * 0"


def test_all_does_not_run_again_what_has_run(daily: Schedule) -> None:
    fire(at("13:00"))
    answer = move(
        daily,
        at("2026-11-24T13:00"),
        at("2026-11-24T15:00"),
        now=at("13:30"),
        scope="all",
    )
    assert fire(at("15:00")) == 0
    assert hours(daily, 1, at("13:30")) == ["24 15:00"]
    take_back(answer, at("13:40"))
    assert hours(daily, 1, at("13:40")) == ["24 13:00"]
    assert len(runs_of(daily)) == 1


def test_all_tells_of_an_occurrence_whose_new_time_has_passed(daily: Schedule) -> None:
    move(
        daily,
        at("2026-11-24T13:00"),
        at("2026-11-24T11:00"),
        now=at("12:30"),
        scope="all",
    )
    row = Occurrence.objects.get(schedule=daily)
    assert (row.state, row.key) == ("skipped", "20261123T110000Z")
    assert "its new time had passed" in row.reason
    assert hours(daily, 1) == ["24 11:00"]


def test_all_leaves_what_was_put_elsewhere_by_hand(daily: Schedule) -> None:
    move(daily, at("2026-11-24T13:00"), at("2026-11-24T20:00"))
    answer = move(daily, at("2026-11-25T13:00"), at("2026-11-25T14:00"), scope="all")
    assert hours(daily) == ["23 14:00", "24 20:00", "25 14:00"]
    take_back(answer)
    assert hours(daily) == ["23 13:00", "24 20:00", "25 13:00"]


def test_following_splits_the_series_at_the_boundary(daily: Schedule) -> None:
    answer = move(
        daily, at("2026-11-25T13:00"), at("2026-11-25T16:00"), scope="following"
    )
    made = Schedule.objects.get(split_from=daily)
    assert answer["schedule"] == made.uid
    assert hours(daily) == ["23 13:00", "24 13:00"]
    assert hours(made) == ["25 16:00", "26 16:00", "27 16:00"]
    assert again(daily).end_at == at("2026-11-25T13:00")
    split = Event.objects.get(kind="schedule.split")
    assert split.data["into"] == made.uid


def test_a_split_is_taken_back_whole(daily: Schedule) -> None:
    answer = move(
        daily, at("2026-11-23T13:00"), at("2026-11-23T16:00"), scope="following"
    )
    made = Schedule.objects.get(split_from=daily)
    assert again(daily).ended_at is not None  # nothing was left before the boundary
    take_back(answer)
    assert hours(daily) == ["23 13:00", "24 13:00", "25 13:00"]
    assert again(daily).ended_at is None
    assert hours(made) == []


def test_an_interval_gets_a_new_anchor(agent: Any) -> None:
    schedule = plan(agent, interval="6h")
    answer = move(schedule, at("18:00"), at("19:20"), scope="all")
    assert hours(schedule, 2) == ["23 19:20", "24 01:20"]
    take_back(answer)
    assert hours(schedule, 2) == ["23 18:00", "24 00:00"]
    split = move(schedule, at("2026-11-24T00:00"), at("2026-11-24T00:40"),
                 scope="following")  # fmt: skip
    made = schedules.find(split["schedule"])
    assert (hours(schedule), hours(made, 2)) == (["23 18:00"], ["24 00:40", "24 06:40"])
    assert split["human"] == (
        "Every 6 hours, counted from Tue 24 Nov 2026 at 00:40 (UTC)"
    )


def test_a_one_off_gets_a_new_time_and_keeps_its_id(agent: Any) -> None:
    schedule = plan(agent, run_at="2026-11-23T13:00:00Z")
    answer = move(schedule, at("13:00"), at("17:00"))
    assert again(schedule).rule.startswith("2026-11-23T17:00")
    assert hours(schedule) == ["23 17:00"]
    move(schedule, at("13:00"), at("18:00"))
    with pytest.raises(ChangedMeanwhile):
        take_back(answer)
    assert fire(at("18:00")) == 1
    assert outcomes(schedule) == {"130000": "run"}
    assert again(schedule).ended_at == at("18:00")


def test_a_moved_one_off_that_is_changed_runs_at_its_new_time_only(agent: Any) -> None:
    schedule = plan(agent, run_at="2026-11-23T13:00:00Z")
    move(schedule, at("13:00"), at("17:00"))
    raw = {"run_at": "2026-11-23T20:00:00Z"}
    schedules.change(schedule, raw, actor=PERSON, now=NOON)
    assert fire(at("17:00")) == 0
    assert fire(at("20:00")) == 1
    assert len(runs_of(schedule)) == 1


def test_a_one_off_is_taken_back_to_its_first_time(agent: Any) -> None:
    schedule = plan(agent, run_at="2026-11-23T13:00:00Z")
    take_back(move(schedule, at("13:00"), at("17:00")))
    assert fire(at("13:00")) == 1
    assert fire(at("17:00")) == 0
