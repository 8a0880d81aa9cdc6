"""Schedules: made, changed, paused and ended, by the service and over HTTP."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.errors import ChangedMeanwhile, Invalid, NotAllowedNow, NotFound
from agents.models import Event
from scheduling import schedules, undo
from scheduling.models import Schedule
from scheduling.schedule_shapes import shape
from tests.corpus.expand import expand
from tests.db.schedule_fixtures import (
    NOON,
    PERSON,
    again,
    at,
    fire,
    gaps_of,
    outcomes,
    plan,
    runs_of,
)

pytestmark = pytest.mark.django_db
CORPUS = Path(__file__).parent.parent / "corpus" / "bad_inputs_open.json"
CASES = [c for c in json.loads(CORPUS.read_text()) if c["surface"] == "schedule"]

TOO_LARGE = 2_000_000  # bytes; refused unread


def change(schedule: Schedule, **raw: Any) -> Schedule:
    return schedules.change(schedule, raw, actor=PERSON, now=NOON)[0]


def faults(agent: Any, **raw: Any) -> dict[str, list[str]]:
    with pytest.raises(Invalid) as refused:
        plan(agent, **raw)
    return refused.value.fields


def test_a_new_schedule_knows_when_it_is_due_and_is_in_the_journal(agent: Any) -> None:
    schedule = plan(agent, cron="0 9 * * MON-FRI", timezone="Europe/Berlin")
    assert schedule.next_due_at == at("2026-11-24T08:00")
    assert (schedule.version, schedule.timezone) == (1, "Europe/Berlin")
    event = Event.objects.get(kind="schedule.created")
    assert (event.subject, event.actor) == (f"schedule:{schedule.uid}", PERSON)


def test_the_time_zone_is_always_stored(agent: Any) -> None:
    assert plan(agent, interval="5m").timezone == "UTC"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(60, "60"), ("5m", "300"), ("1h30m", "5400"), ("PT15M", "900"), (1.5, "1.5")],
)
def test_intervals_are_written_in_several_ways(
    agent: Any, given: Any, seconds: str
) -> None:
    assert plan(agent, interval=given).rule == seconds


def test_an_interval_counts_from_its_start(agent: Any) -> None:
    schedule = plan(agent, interval=3600, start_at="2026-11-23T14:20:00Z")
    assert schedule.next_due_at == at("14:20")


def test_every_fault_is_told_at_once(agent: Any) -> None:
    found = faults(agent, cron="* 24 * * *", timezone="Mars/Olympus", overlap="explode")
    assert set(found) == {"cron", "timezone", "overlap"}
    assert found["cron"] == ["hour: a value is out of range, or a range runs backwards"]


@pytest.mark.parametrize(
    ("raw", "field", "said"),
    [
        ({"cron": "0 9 ? * *"}, "cron", "day of month: ? is not taken; write *"),
        ({"cron": "@reboot"}, "cron", "start_at_boot"),
        ({"cron": "0 9 15W * *"}, "cron", "nearest weekday"),
        ({"cron": "0 0 30 2 *"}, "cron", "out of range"),
        ({"cron": "0 0 31 2 1#5"}, "cron", None),
        ({"interval": 0.5}, "interval", "at least 1 second"),
        ({"run_at": "2026-11-23T11:59:59Z"}, "run_at", "in the past"),
        ({"cron": "* * * * *", "jitter": 61}, "jitter", "longer than the 60 s"),
        ({"cron": "* * * * *", "shiny": 1}, "shiny", "unknown key"),
        ({"cron": "* * * * *", "max_runs": True}, "max_runs", "integer"),
        ({"cron": "* * * * *", "timeout": 0}, "timeout", "must be between"),
        ({"cron": "* * * * *", "enabled": 1}, "enabled", "true or false"),
        ({"cron": "* * * * *", "params": {"a": "\ud800"}}, "params", "surrogate"),
        ({"cron": "* * * * *", "exdates": ["2027-02-30"]}, "exdates", "item 1"),
        (
            {"cron": "0 9 * * *", "end_at": "2026-11-23T13:00:00Z"},
            "cron",
            "never fires",
        ),
    ],
)
def test_what_cannot_be_taken_is_refused_by_its_name(
    agent: Any, raw: dict[str, Any], field: str, said: str | None
) -> None:
    if said is None:  # a day that matches another way: taken
        assert plan(agent, **raw)
        return
    assert said in faults(agent, **raw)[field][0]
    assert not Schedule.objects.exists()


def test_an_unknown_agent_is_a_fault_of_its_field(db: None) -> None:
    raw = {"agent": "nobody", "cron": "0 9 * * *"}
    with pytest.raises(Invalid) as refused:
        schedules.create(None, raw, actor=PERSON, now=NOON)
    assert "agent" in refused.value.fields


def test_a_change_raises_the_version_and_counts_from_now(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    changed, _ = schedules.change(
        schedule, {"cron": "30 * * * *"}, actor=PERSON, now=at("12:45")
    )
    assert (changed.version, changed.next_due_at) == (2, at("13:30"))


def test_a_change_keeps_what_it_does_not_name(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *", jitter=30, overlap="buffer_one")
    changed = change(schedule, interval=600)
    assert (changed.kind, changed.rule) == ("interval", "600")
    assert (changed.jitter_s, changed.overlap) == (30, "buffer_one")


def test_the_time_limit_of_its_runs_is_told_kept_and_taken_away(agent: Any) -> None:
    schedule = plan(agent, cron="0 9 * * *", timeout="90m")
    assert shape(schedule)["timeout"] == 5400
    assert change(schedule, overlap="allow_all").timeout_s == 5400
    assert change(schedule, timeout=None).timeout_s is None


def test_a_stale_change_is_refused_naming_who_was_first(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    schedules.change(schedule, {"jitter": 5}, actor="user:anna", now=NOON)
    with pytest.raises(ChangedMeanwhile, match="user:anna"):
        change(schedule, jitter=9, base_version=1)


def test_a_schedule_keeps_its_agent(agent: Any, make_agent: Any) -> None:
    make_agent("other")
    with pytest.raises(Invalid) as refused:
        change(plan(agent, interval=60), agent="other")
    assert "agent" in refused.value.fields


def test_what_was_due_at_a_change_is_written_down(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    schedules.change(schedule, {"cron": "0 18 * * *"}, actor=PERSON, now=at("13:05"))
    assert outcomes(schedule) == {"130000": "missed"}
    assert fire(at("13:06")) == 0


def test_a_change_can_be_taken_back_once(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    _, token = schedules.change(
        schedule, {"interval": 60, "jitter": 7}, actor=PERSON, now=NOON
    )
    restored = undo.undo(token, actor=PERSON, now=NOON, may_edit=True)
    assert (restored.kind, restored.rule, restored.jitter_s) == (
        "cron",
        "0 13 * * *",
        0,
    )
    assert (restored.version, restored.next_due_at) == (3, at("13:00"))
    with pytest.raises(NotAllowedNow, match="already"):
        undo.undo(token, actor=PERSON, now=NOON, may_edit=True)


def test_a_change_that_was_changed_again_cannot_be_taken_back(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    _, token = schedules.change(schedule, {"jitter": 7}, actor=PERSON, now=NOON)
    change(schedule, jitter=9)
    with pytest.raises(ChangedMeanwhile):
        undo.undo(token, actor=PERSON, now=NOON, may_edit=True)
    assert again(schedule).jitter_s == 9


def test_a_pause_skips_what_falls_into_it_as_one_gap(agent: Any) -> None:
    schedule = plan(agent, interval=60)
    schedules.pause(schedule, actor=PERSON, now=NOON, note="move")
    assert again(schedule).next_due_at is None
    assert fire(at("12:30")) == 0
    schedules.resume(schedule, actor=PERSON, now=at("12:30:30"))
    (gap,) = gaps_of(schedule)
    assert (gap.count, gap.outcome) == (30, "skipped")
    assert gap.reason == "paused by user:test: move"
    assert again(schedule).next_due_at == at("12:31")


def test_pausing_twice_and_resuming_what_runs_are_refused(agent: Any) -> None:
    schedule = plan(agent, interval=60)
    with pytest.raises(NotAllowedNow):
        schedules.resume(schedule, actor=PERSON, now=NOON)
    schedules.pause(schedule, actor=PERSON, now=NOON)
    with pytest.raises(NotAllowedNow, match="user:test already"):
        schedules.pause(schedule, actor=PERSON, now=NOON)


def test_a_disabled_schedule_fires_nothing_and_tells_what_it_skipped(
    agent: Any,
) -> None:
    schedule = plan(agent, interval=60)
    change(schedule, enabled=False)
    assert again(schedule).next_due_at is None
    schedules.change(schedule, {"enabled": True}, actor=PERSON, now=at("12:10:30"))
    assert [gap.count for gap in gaps_of(schedule)] == [10]
    assert again(schedule).next_due_at == at("12:11")


def test_an_ended_schedule_stays_readable_and_takes_no_change(agent: Any) -> None:
    schedule = plan(agent, interval=60)
    token = schedules.end(schedule, actor=PERSON, now=NOON)
    assert fire(at("12:05")) == 0
    with pytest.raises(NotAllowedNow):
        change(schedule, jitter=1)
    restored = undo.undo(token, actor=PERSON, now=at("12:05:30"), may_edit=True)
    assert restored.next_due_at == at("12:06")
    assert runs_of(schedule) == []


def test_ending_all_of_an_agent_ends_each(agent: Any) -> None:
    plan(agent, interval=60)
    plan(agent, cron="0 9 * * *")
    schedules.end_all(agent, actor=PERSON, now=NOON)
    assert not Schedule.objects.filter(ended_at=None).exists()


def test_an_unknown_schedule_is_not_found(db: None) -> None:
    for uid in ("nope", "é", "x" * 99):
        with pytest.raises(NotFound):
            schedules.find(uid)


def test_a_schedule_is_made_and_read_over_http(editor: Any, agent: Any) -> None:
    body = {"agent": "worker", "cron": "0 9 * * *", "timezone": "Europe/Berlin"}
    made = editor.post("/api/v1/schedules/", body, format="json")
    assert made.status_code == 201, made.content
    uid = made.json()["id"]
    read = editor.get(f"/api/v1/schedules/{uid}/").json()
    assert read["rule_text"] == "At 09:00 (Europe/Berlin)"
    assert (read["cron"], read["interval"], read["run_at"]) == ("0 9 * * *", None, None)
    listed = editor.get("/api/v1/schedules/", {"agent": "worker"}).json()
    assert [item["id"] for item in listed["items"]] == [uid]


def test_a_schedule_is_changed_paused_resumed_and_ended_over_http(
    editor: Any, agent: Any
) -> None:
    uid = plan(agent, interval=60).uid
    url = f"/api/v1/schedules/{uid}/"
    changed = editor.patch(url, {"interval": 120}, format="json").json()
    assert (changed["interval"], changed["version"]) == (120, 2)
    token = changed["undo_token"]
    undone = editor.post(f"/api/v1/undo/{token}/", {}, format="json")
    assert undone.json()["interval"] == 60
    paused = editor.post(f"{url}pause/", {"note": "hm"}, format="json").json()
    assert paused["paused"]["note"] == "hm"
    assert editor.post(f"{url}resume/", {}, format="json").json()["paused"] is None
    assert editor.delete(url).status_code == 200
    assert editor.get("/api/v1/schedules/").json()["items"] == []


def test_a_viewer_may_look_and_preview_but_not_change(viewer: Any, agent: Any) -> None:
    uid = plan(agent, interval=60).uid
    assert viewer.get(f"/api/v1/schedules/{uid}/").status_code == 200
    answer = viewer.patch(f"/api/v1/schedules/{uid}/", {"jitter": 1}, format="json")
    assert answer.status_code == 403


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_bad_input_is_refused_by_its_field_and_stores_nothing(
    admin: Any, make_agent: Any, case: dict[str, Any]
) -> None:
    make_agent("prompt_optimizer")
    body = expand(case["payload"])
    answer = admin.post("/api/v1/schedules/", body, content_type="application/json")
    expected = [*case["expect_status"], *([413] if len(body) > TOO_LARGE else [])]
    assert answer.status_code in expected, (case["why"], answer.content)
    assert not Schedule.objects.exists()
    told = json.loads(answer.content)
    if "fields" in told:
        assert case["expect_field"] in told["fields"], told


def test_the_valid_twin_of_those_cases_is_taken(admin: Any, make_agent: Any) -> None:
    make_agent("prompt_optimizer")
    for trigger in (
        {"cron": "0 9 * * *"},
        {"interval": 60},
        {"run_at": "2030-01-01T00:00:00Z"},
    ):
        body = {"agent": "prompt_optimizer", "timezone": "UTC", **trigger}
        answer = admin.post("/api/v1/schedules/", body, format="json")
        assert answer.status_code == 201, answer.content


def test_wakes_are_only_sent_once_the_change_is_committed(
    agent: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks() as waiting:
        plan(agent, interval=60)
    assert waiting


def test_the_window_of_a_schedule_is_kept(agent: Any) -> None:
    schedule = plan(
        agent,
        interval=600,
        start_at="2026-11-23T13:00:00Z",
        end_at="2026-11-23T13:20:00Z",
        overlap="allow_all",
    )
    for minute in range(0, 100, 10):
        fire(NOON + timedelta(minutes=minute))
    assert outcomes(schedule) == {"130000": "run", "131000": "run"}
    assert again(schedule).ended_at is not None
