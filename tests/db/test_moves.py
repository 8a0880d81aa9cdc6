"""Drag and drop of one occurrence or many; who may, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents.errors import (
    ChangedMeanwhile,
    Forbidden,
    Invalid,
    NotAllowedNow,
    NotFound,
    Refused,
)
from agents.models import Event, Node
from scheduling import moves, runs, schedules, undo
from scheduling.models import Occurrence, Schedule
from scheduling.move_input import parse_wish
from scheduling.run_state import RunState
from scheduling.triggers.base import key_of
from tests.db.move_fixtures import hours, move, take_back
from tests.db.schedule_fixtures import (
    NOON,
    PERSON,
    again,
    at,
    fire,
    gaps_of,
    plan,
    runs_of,
)

pytestmark = pytest.mark.django_db


def test_only_this_one_moves_and_keeps_its_id(daily: Schedule) -> None:
    answer = move(daily, at("13:00"), at("15:30"))
    assert (answer["changed_count"], answer["version"]) == (1, 2)
    assert hours(daily) == ["23 15:30", "24 13:00", "25 13:00"]
    row = Occurrence.objects.get(schedule=daily)
    assert (row.key, row.due_at) == ("20261123T130000Z", at("15:30"))
    assert fire(at("13:00")) == 0
    assert fire(at("15:30")) == 1
    assert runs_of(daily)[0].occurrence_key.endswith("@20261123T130000Z")


def test_it_can_be_moved_again_and_ahead_of_its_time(daily: Schedule) -> None:
    move(daily, at("13:00"), at("15:30"))
    move(daily, at("13:00"), at("12:10"))
    assert fire(at("12:10")) == 1
    assert fire(at("13:00")) == 0
    assert hours(daily, after=at("13:00")) == ["24 13:00", "25 13:00", "26 13:00"]


def test_a_dry_run_tells_the_same_and_changes_nothing(daily: Schedule) -> None:
    answer = move(daily, at("13:00"), at("15:30"), dry_run=True, scope="all")
    assert answer["rule_after"] == "30 15 * * *"
    assert (answer["human_before"], answer["human"]) == (
        "At 13:00 (UTC)",
        "At 15:30 (UTC)",
    )
    assert answer["changed_count"] == 30
    assert answer["undo_token"] is None
    assert (again(daily).rule, again(daily).version) == ("0 13 * * *", 1)
    assert not Event.objects.filter(kind__contains="moved").exists()


def test_a_move_of_one_is_taken_back(daily: Schedule) -> None:
    answer = move(daily, at("13:00"), at("15:30"))
    take_back(answer)
    assert hours(daily) == ["23 13:00", "24 13:00", "25 13:00"]
    assert fire(at("13:00")) == 1
    assert fire(at("15:30")) == 0


def test_a_move_cannot_be_taken_back_to_a_time_that_passed(daily: Schedule) -> None:
    answer = move(daily, at("13:00"), at("15:30"))
    fire(at("14:00"))
    with pytest.raises(NotAllowedNow, match="passed"):
        take_back(answer, at("14:00"))


def test_the_end_is_the_time_limit(daily: Schedule) -> None:
    move(daily, at("13:00"), at("13:00"), end="2026-11-23T13:10:00Z")
    fire(at("13:00"))
    assert runs_of(daily)[0].timeout_s == 600


def test_it_can_be_put_on_a_node(daily: Schedule) -> None:
    node = Node.objects.create(
        name="a", cpu_millis=4000, memory_bytes=8 * 10**9, environments=["subprocess"]
    )
    move(daily, at("13:00"), at("14:00"), node="a")
    fire(at("14:00"))
    assert runs_of(daily)[0].pinned_node == node
    with pytest.raises(Invalid):
        move(daily, at("2026-11-24T13:00"), at("2026-11-24T14:00"), node="b")
    with pytest.raises(Invalid):
        parse_wish({"start": "2027-01-01T00:00:00Z", "node": "a", "scope": "all"})


def test_a_stale_move_is_refused_naming_who_was_first(daily: Schedule) -> None:
    schedules.change(daily, {"jitter": 5}, actor="user:anna", now=NOON)
    with pytest.raises(ChangedMeanwhile, match="user:anna"):
        move(daily, at("13:00"), at("14:00"), base_version=1)
    assert move(daily, at("13:00"), at("14:00"), base_version=2)["version"] == 3


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({}, "start"),
        ({"start": None}, "start"),
        ({"start": "2027-01-01T00:00:00"}, "start"),
        ({"start": "2027-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "end"),
        ({"start": "2027-01-01T00:00:00Z", "scope": "some"}, "scope"),
        ({"start": "2027-01-01T00:00:00Z", "agent": "other"}, "agent"),
        ({"start": "2027-01-01T00:00:00Z", "dry_run": "yes"}, "dry_run"),
        ({"start": "2027-01-01T00:00:00Z", "base_version": "1"}, "base_version"),
    ],
)
def test_a_wish_that_cannot_be_read_is_refused(raw: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        parse_wish(raw)
    assert field in refused.value.fields


def test_the_past_and_the_far_future_are_refused(daily: Schedule) -> None:
    with pytest.raises(Refused, match="past"):
        move(daily, at("13:00"), at("11:59"))
    with pytest.raises(Refused, match="year"):
        move(daily, at("13:00"), NOON + timedelta(days=400))


def test_what_never_was_an_occurrence_is_not_found(daily: Schedule) -> None:
    with pytest.raises(NotFound):
        move(daily, at("13:01"), at("14:00"))
    wish = parse_wish({"start": "2026-11-23T14:00:00Z"})
    for bad in (f"{daily.uid}@soon", daily.uid, "x@20261123T130000Z", "@"):
        with pytest.raises(NotFound):
            moves.move(bad, wish, actor=PERSON, now=NOON, may_edit=True)


def test_a_run_that_is_queued_running_or_over_is_not_moved(daily: Schedule) -> None:
    fire(at("13:00"))
    with pytest.raises(NotAllowedNow, match="queued"):
        move(daily, at("13:00"), at("15:00"), now=at("13:01"))
    (run,) = runs_of(daily)
    for state in (RunState.ADMITTED, RunState.STARTING, RunState.RUNNING):
        run = runs.move(run, state, actor="scheduler", now=NOON)
    with pytest.raises(NotAllowedNow, match="it is running"):
        move(daily, at("13:00"), at("15:00"), now=at("13:01"))
    runs.move(run, RunState.SUCCEEDED, actor="node:a", now=NOON)
    with pytest.raises(NotAllowedNow, match="has run already"):
        move(daily, at("13:00"), at("15:00"), now=at("13:01"))


def test_what_was_passed_over_is_not_moved(agent: Any) -> None:
    schedule = plan(agent, cron="0 * * * *", missed="skip")
    fire(at("15:30"))
    assert gaps_of(schedule)
    with pytest.raises(NotAllowedNow, match="did not run"):
        move(schedule, at("14:00"), at("16:30"), now=at("15:30"))


def test_an_operator_moves_single_occurrences_only(daily: Schedule) -> None:
    assert move(daily, at("13:00"), at("14:00"), may_edit=False)["undo_token"]
    for scope in ("following", "all"):
        with pytest.raises(Forbidden):
            move(
                daily,
                at("2026-11-24T13:00"),
                at("2026-11-24T14:00"),
                may_edit=False,
                scope=scope,
            )


def test_an_operator_takes_back_single_moves_only(daily: Schedule) -> None:
    one = move(daily, at("13:00"), at("14:00"))
    undo.undo(one["undo_token"], actor=PERSON, now=NOON, may_edit=False)
    whole = move(daily, at("13:00"), at("14:00"), scope="all")
    with pytest.raises(Forbidden):
        undo.undo(whole["undo_token"], actor=PERSON, now=NOON, may_edit=False)


def test_a_token_is_good_for_a_day(daily: Schedule) -> None:
    day = at("2026-11-29T13:00")
    answer = move(daily, day, day + timedelta(hours=1))
    with pytest.raises(NotAllowedNow, match="a day"):
        take_back(answer, NOON + timedelta(hours=25))
    with pytest.raises(NotFound):
        undo.undo("nope", actor=PERSON, now=NOON, may_edit=True)


def test_many_are_shifted_together_or_not_at_all(daily: Schedule, agent: Any) -> None:
    other = plan(agent, interval=3600)
    ids = [f"{daily.uid}@20261123T130000Z", f"{other.uid}@20261123T140000Z"]
    done = moves.shift_many(ids, 600, actor=PERSON, now=NOON)
    assert (done["changed_count"], len(done["undo_tokens"])) == (2, 2)
    assert hours(daily, 1) == ["23 13:10"]
    with pytest.raises(Refused):
        moves.shift_many(ids, -7200, actor=PERSON, now=NOON)
    assert hours(daily, 1) == ["23 13:10"]


@pytest.mark.parametrize(
    "body",
    [
        {"ids": [], "shift_s": 60},
        {"ids": ["x"] * 10_001, "shift_s": 60},
        {"ids": ["x", "x"], "shift_s": 60},
        {"ids": "all", "shift_s": 60},
        {"ids": ["x"], "shift_s": 0},
        {"ids": ["x"], "shift_s": True},
        {"ids": ["x"]},
        {"ids": ["x"], "shift": 60},
    ],
)
def test_a_bulk_move_means_what_it_lists(operator: Any, body: dict[str, Any]) -> None:
    answer = operator.post("/api/v1/bulk/move/", body, format="json")
    assert answer.status_code == 400, answer.content


def test_a_move_over_http(operator: Any, agent: Any) -> None:
    schedule = plan(agent, cron="0 9 1 1 *")
    nominal = again(schedule).next_due_at
    assert nominal is not None
    url = f"/api/v1/occurrences/{schedule.uid}@{key_of(nominal)}/move/"
    from django.utils.timezone import now

    start = (now() + timedelta(days=2)).isoformat()
    tried = operator.post(url, {"start": start, "dry_run": True}, format="json")
    assert tried.status_code == 200, tried.content
    assert tried.json()["feasible"] is True
    moved = operator.post(url, {"start": start, "base_version": 1}, format="json")
    assert moved.json()["version"] == 2
    stale = operator.post(url, {"start": start, "base_version": 1}, format="json")
    assert stale.status_code == 409
    past = operator.post(url, {"start": "2000-01-01T00:00:00Z"}, format="json")
    assert past.status_code == 422
    token = moved.json()["undo_token"]
    assert operator.post(f"/api/v1/undo/{token}/").status_code == 200


def test_what_depends_on_another_is_not_moved_before_it(make_agent: Any) -> None:
    make_agent("base")
    first = plan(make_agent("first", depends_on=["base"]), cron="0 13 * * *")
    second = plan(make_agent("second", depends_on=["first"]), cron="0 14 * * *")
    with pytest.raises(Refused, match="before first, which it depends on and which is"):
        move(second, at("14:00"), at("12:30"))
    move(second, at("14:00"), at("13:30"))
    move(first, at("13:00"), at("12:15"))
    move(second, at("14:00"), at("12:30"))
