"""Voice over HTTP: told first, done when the same person confirms."""

from __future__ import annotations

from typing import Any

import pytest

from agents import redis
from agents.http import iso
from scheduling.models import Occurrence, Run, Schedule
from scheduling.voice_acts import TOKEN_S
from tests.db.schedule_fixtures import plan

pytestmark = pytest.mark.django_db
URL = "/api/v1/voice/"


@pytest.fixture
def report(make_agent: Any) -> Any:
    return make_agent("report", synonyms=["Night  Report"])


def say(client: Any, text: str, **more: Any) -> Any:
    return client.post(URL, {"text": text, "timezone": "UTC", **more}, format="json")


def confirm(client: Any, token: str) -> Any:
    return client.post(URL, {"confirm": token}, format="json")


def test_a_start_is_told_and_done_once_when_confirmed(
    report: Any, operator: Any
) -> None:
    told = say(operator, "start the night report now").json()
    assert told["said"] == "This runs report now. Confirm?"
    assert told["needs_confirmation"]
    assert told["done"] is None
    assert not Run.objects.exists()
    done = confirm(operator, told["confirm"]).json()
    assert done["done"] == {"runs": [Run.objects.get().uid]}
    again = confirm(operator, told["confirm"])
    assert again.status_code == 400
    assert "confirm" in again.json()["fields"]
    assert Run.objects.count() == 1


def test_a_start_may_be_confirmed_at_once(report: Any, operator: Any) -> None:
    done = say(operator, "start the report", confirm=True).json()
    assert done["done"]["runs"] == [Run.objects.get().uid]
    assert not done["needs_confirmation"]


def test_a_schedule_is_never_changed_at_once(report: Any, editor: Any) -> None:
    told = say(editor, "schedule the report every weekday at 9", confirm=True).json()
    assert told["needs_confirmation"]
    assert not Schedule.objects.exists()
    confirm(editor, told["confirm"])
    made = Schedule.objects.get()
    assert (made.kind, made.rule) == ("rule", "every weekday at 09:00")


def test_what_will_happen_is_said_in_full(report: Any, editor: Any) -> None:
    told = say(editor, "schedule the report every day at 9:15").json()
    assert told["said"].startswith(
        "This schedules report every day at 09:15 (UTC); the first run is "
    )
    assert told["understood"]["rule"] == "every day at 09:15"


def test_a_run_later_is_a_schedule_for_one_instant(report: Any, editor: Any) -> None:
    told = say(editor, "run the report in 20 minutes").json()
    confirm(editor, told["confirm"])
    made = Schedule.objects.get()
    assert made.kind == "run_at"
    assert told["understood"]["at"] == iso(made.next_due_at)


def test_a_token_is_its_speakers_own_and_ends(
    report: Any, operator: Any, editor: Any
) -> None:
    told = say(operator, "start the report").json()
    left = redis.connection().ttl(f"kos:voice:{told['confirm']}")
    assert 0 < left <= TOKEN_S  # type: ignore[operator]
    assert confirm(editor, told["confirm"]).status_code == 400
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("role", "text", "status"),
    [
        ("viewer", "start the report", 403),
        ("viewer", "what is running", 200),
        ("viewer", "when does the report run", 200),
        ("operator", "start the report", 200),
        ("operator", "schedule the report daily at 9", 403),
        ("operator", "run the report in 5 minutes", 403),
        ("operator", "pause the report", 403),
        ("editor", "schedule the report daily at 9", 200),
    ],
)
def test_an_act_asks_for_its_own_role(
    report: Any, client_of: Any, role: str, text: str, status: int
) -> None:
    assert say(client_of(role), text).status_code == status


def test_pausing_and_resuming_take_all_schedules_of_the_agent(
    report: Any, editor: Any
) -> None:
    plan(report, cron="0 9 * * *")
    plan(report, cron="0 17 * * *")
    told = say(editor, "pause the reports until tomorrow 8am").json()
    assert told["said"].startswith(
        "This pauses 2 schedules of report until tomorrow at"
    )
    confirm(editor, told["confirm"])
    assert Schedule.objects.filter(paused_at=None).count() == 0
    told = say(editor, "resume the report").json()
    confirm(editor, told["confirm"])
    assert Schedule.objects.filter(paused_at=None).count() == 2


def test_a_move_moves_the_occurrence_that_was_told(report: Any, editor: Any) -> None:
    made = editor.post(
        "/api/v1/schedules/",
        {"agent": "report", "cron": "0 0 1 1 *", "timezone": "UTC"},
        format="json",
    ).json()
    told = say(editor, "move the report to tomorrow at 18:00").json()
    assert "only this one" in told["said"]
    assert not Occurrence.objects.exists()
    done = confirm(editor, told["confirm"]).json()
    moved = Occurrence.objects.get(schedule__uid=made["id"])
    assert moved.due_at.strftime("%Y-%m-%dT%H:%M:%SZ") == told["understood"]["at"]
    assert done["done"]["undo_token"]


def test_questions_are_answered(report: Any, viewer: Any) -> None:
    assert say(viewer, "what is running?").json()["said"] == "Nothing is running."
    told = say(viewer, "when does the report run next?").json()
    assert told["said"] == "report has no run ahead."


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "strat the report"}, "text"),
        ({"text": ""}, "text"),
        ({"text": 5}, "text"),
        ({}, "text"),
        ({"confirm": "nothing"}, "confirm"),
        ({"confirm": 1.5}, "confirm"),
        ({"text": "what is running", "timezone": "Mars/Base"}, "timezone"),
        ({"text": "what is running", "volume": 3}, "volume"),
    ],
)
def test_bad_input_names_its_field(
    report: Any, editor: Any, body: dict[str, Any], field: str
) -> None:
    answer = editor.post(URL, body, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["fields"]


def test_nothing_to_pause_is_refused_with_the_reason(report: Any, editor: Any) -> None:
    answer = say(editor, "pause the report")
    assert answer.status_code == 422
    assert "no schedule" in answer.json()["detail"]


@pytest.mark.parametrize("taken", ["night report", "report"])
def test_a_synonym_names_one_agent(report: Any, editor: Any, taken: str) -> None:
    body = {
        "agent_id": "other",
        "exec_env": "sandbox",
        "entry_point": "/bin/true",
        "capabilities": [],
        "priority": "low",
        "synonyms": [taken],
    }
    answer = editor.post("/api/v1/agents/", body, format="json")
    assert answer.status_code == 400
    assert "is a name of report already" in answer.json()["fields"]["synonyms"][0]


@pytest.mark.parametrize("bad", ["", "9lives", "a/b", "one two three four five six"])
def test_a_synonym_is_a_short_phrase(editor: Any, bad: str) -> None:
    body = {
        "agent_id": "other",
        "exec_env": "sandbox",
        "entry_point": "/bin/true",
        "synonyms": [bad],
    }
    answer = editor.post("/api/v1/agents/", body, format="json")
    assert answer.status_code == 400
    assert any(field.startswith("synonyms") for field in answer.json()["fields"])
