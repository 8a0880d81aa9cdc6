"""Many schedules and occurrences changed at once: all or none, and one way back."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from agents.errors import (
    ChangedMeanwhile,
    Forbidden,
    Invalid,
    NotAllowedNow,
    Refused,
)
from agents.models import Event
from scheduling import bulk, bulk_input, previews, schedules, undo
from scheduling.models import Occurrence, Schedule, Undo
from scheduling.triggers.base import key_of
from tests.db.schedule_fixtures import NOON, PERSON, again, at, fire, outcomes, plan

pytestmark = pytest.mark.django_db
URL = "/api/v1/bulk/schedules/"


@pytest.fixture
def two(make_agent: Any) -> tuple[Schedule, Schedule]:
    first = plan(make_agent("first"), cron="0 13 * * *")
    return first, plan(make_agent("second"), cron="30 13 * * *")


def act(action: str, ids: list[str], *, may_edit: bool = True, **more: Any) -> Any:
    wish = bulk_input.parse({"action": action, "ids": ids, **more})
    return bulk.act(wish, actor=PERSON, now=more.get("now", NOON), may_edit=may_edit)


def take_back(answer: dict[str, Any], now: datetime = NOON) -> list[Schedule]:
    token = answer["undo_token"]
    return undo.undo_all(token, actor=PERSON, now=now, may_edit=True)


def named(schedule: Schedule, nominal: datetime) -> str:
    return f"{schedule.uid}@{key_of(nominal)}"


def next_of(schedule: Schedule) -> str:
    found = previews.preview(again(schedule), after=NOON, count=1)
    return f"{found.firings[0]:%d %H:%M}"


def test_single_occurrences_of_several_schedules_move_together(two: Any) -> None:
    ids = [named(two[0], at("13:00")), named(two[1], at("13:30"))]
    ids.append(named(two[0], at("2026-11-24T13:00")))
    answer = act("shift", ids, by_s=3600, may_edit=False)
    assert (answer["changed_count"], answer["refused"]) == (3, [])
    assert [next_of(one) for one in two] == ["23 14:00", "23 14:30"]
    changed = {item["id"]: (item["before"], item["after"]) for item in answer["items"]}
    assert changed[ids[0]] == ("2026-11-23T13:00:00Z", "2026-11-23T14:00:00Z")
    assert {row.pk for row in take_back(answer)} == {one.pk for one in two}
    assert [next_of(one) for one in two] == ["23 13:00", "23 13:30"]
    assert [fire(at("13:00")), fire(at("13:30"))] == [1, 1]


def test_a_schedule_among_them_moves_as_a_whole(two: Any) -> None:
    ids = [two[0].uid, named(two[1], at("13:30"))]
    answer = act("shift", ids, by_s=-1800)
    assert again(two[0]).rule == "30 12 * * *"
    assert "12:30" in answer["items"][0]["after"]
    assert [next_of(one) for one in two] == ["23 12:30", "23 13:00"]
    take_back(answer)
    assert again(two[0]).rule == "0 13 * * *"
    assert [next_of(one) for one in two] == ["23 13:00", "23 13:30"]


def test_one_that_cannot_go_keeps_all_of_them_and_is_named(two: Any) -> None:
    ids = [named(two[0], at("13:00")), named(two[1], at("13:30"))]
    with pytest.raises(Refused) as told:
        act("shift", ids, by_s=-4000)
    assert "1 of 2 cannot be changed" in str(told.value)
    (refused,) = told.value.more["refused"]
    assert (refused["id"], refused["code"]) == (ids[0], "refused")
    assert "in the past" in refused["reason"]
    assert not Occurrence.objects.exists()
    assert not Undo.objects.exists()
    assert [again(one).version for one in two] == [1, 1]


def test_a_dry_run_tells_the_same_and_changes_nothing(two: Any) -> None:
    before = Event.objects.count()
    ids = [named(two[0], at("13:00")), named(two[1], at("13:30"))]
    answer = act("shift", ids, by_s=-4000, dry_run=True)
    assert [item["id"] for item in answer["items"]] == ids[1:]
    assert [one["id"] for one in answer["refused"]] == ids[:1]
    assert answer["undo_token"] is None
    assert [next_of(one) for one in two] == ["23 13:00", "23 13:30"]
    assert (Event.objects.count(), Undo.objects.count()) == (before, 0)


def test_they_are_paused_by_their_occurrences_and_resumed_by_one_token(
    two: Any,
) -> None:
    ids = [named(two[0], at("13:00")), named(two[0], at("2026-11-24T13:00"))]
    answer = act("pause", [*ids, two[1].uid], note="audit")
    assert answer["changed_count"] == 2
    assert [again(one).paused_note for one in two] == ["audit", "audit"]
    take_back(answer, at("13:15"))
    assert [again(one).paused_at for one in two] == [None, None]
    assert outcomes(two[0]) == {"130000": "skipped"}
    assert fire(at("13:30")) == 1


def test_resuming_is_taken_back_as_the_pause_it_was(two: Any) -> None:
    schedules.pause(two[0], actor="user:ann", now=NOON, note="away")
    answer = act("resume", [two[0].uid])
    assert again(two[0]).paused_at is None
    take_back(answer)
    row = again(two[0])
    assert (row.paused_at, row.paused_note, row.paused_by) == (NOON, "away", "user:ann")
    assert row.next_due_at is None


def test_what_is_paused_already_is_refused(two: Any) -> None:
    schedules.pause(two[0], actor=PERSON, now=NOON)
    with pytest.raises(Refused) as told:
        act("pause", [one.uid for one in two])
    assert told.value.more["refused"][0]["code"] == "not_allowed_now"
    assert again(two[1]).paused_at is None


def test_their_priority_is_set_and_given_back_to_the_agent(two: Any) -> None:
    ids = [one.uid for one in two]
    answer = act("priority", ids, priority="critical")
    assert {item["after"] for item in answer["items"]} == {"critical"}
    assert all(again(one).priority == 4 for one in two)
    assert act("priority", ids[:1], priority=None)["items"][0]["before"] == "critical"
    assert again(two[0]).priority is None
    with pytest.raises(ChangedMeanwhile):
        take_back(answer)
    assert again(two[1]).priority == 4, "all of it is taken back, or nothing"


def test_the_token_is_good_once_and_for_editors(two: Any) -> None:
    answer = act("priority", [two[0].uid], priority="low")
    with pytest.raises(Forbidden):
        undo.undo_all(answer["undo_token"], actor=PERSON, now=NOON, may_edit=False)
    take_back(answer)
    with pytest.raises(NotAllowedNow):
        take_back(answer)


def test_what_waits_for_another_may_move_along_with_it(make_agent: Any) -> None:
    first = plan(make_agent("first"), cron="0 13 * * *")
    later = plan(make_agent("later", depends_on=["first"]), cron="10 13 * * *")
    ids = [named(later, at("13:10")), named(first, at("13:00"))]
    answer = act("shift", ids, by_s=-1800)
    assert answer["changed_count"] == 2


def test_a_schedule_without_times_says_so(make_agent: Any) -> None:
    waits = plan(
        make_agent("waits"), event={"run": {"agent": "waits", "states": ["succeeded"]}}
    )
    with pytest.raises(Refused) as told:
        act("shift", [waits.uid], by_s=60)
    assert "no times to move" in told.value.more["refused"][0]["reason"]


@pytest.mark.parametrize(
    ("field", "raw"),
    [
        ("action", {"action": "delete"}),
        ("ids", {"ids": []}),
        ("ids", {"ids": ["a", "a"]}),
        ("ids", {"ids": ["a", "a@20261123T130000Z"]}),
        ("ids", {"ids": ["a"] * 1001}),
        ("ids", {"ids": [7]}),
        ("by_s", {"by_s": 0}),
        ("by_s", {"by_s": 1.5}),
        ("by_s", {"by_s": 10**9}),
        ("note", {"note": "x"}),
        ("dry_run", {"dry_run": "yes"}),
        ("priority", {"action": "priority", "by_s": None}),
        ("priority", {"action": "priority", "priority": "urgent"}),
        ("until", {"action": "pause", "until": "tomorrow"}),
        ("note", {"action": "pause", "note": "x" * 301}),
    ],
)
def test_what_makes_no_sense_names_its_field(field: str, raw: dict[str, Any]) -> None:
    usual: dict[str, Any] = {"action": "shift", "ids": ["a"], "by_s": 60}
    body = {**usual, **raw}
    if body["action"] != "shift":
        del body["by_s"]
    with pytest.raises(Invalid) as told:
        bulk_input.parse(body)
    assert field in told.value.fields


def test_the_route_tells_who_may_and_names_what_is_refused(
    two: Any, operator: Any, editor: Any
) -> None:
    whole = {"action": "pause", "ids": [two[0].uid]}
    assert operator.post(URL, whole).status_code == 403
    done = editor.post(URL, whole)
    assert done.status_code == 200, done.json()
    refused = editor.post(URL, whole)
    assert (refused.status_code, refused.json()["code"]) == (422, "refused")
    assert refused.json()["refused"][0]["id"] == two[0].uid
    undone = editor.post(f"/api/v1/undo/{done.json()['undo_token']}/", {})
    assert undone.json()["undone"] == 1
    assert undone.json()["schedules"][0]["paused"] is None
