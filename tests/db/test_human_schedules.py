"""A schedule by a human rule, over HTTP: made, previewed, moved, refused."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from scheduling import previews
from scheduling.models import Schedule
from tests.db.schedule_fixtures import NOON, again, at, fire, outcomes, plan

pytestmark = pytest.mark.django_db
URL = "/api/v1/schedules/"


def test_a_rule_is_kept_in_its_canonical_form(agent: Any, editor: Any) -> None:
    body = {"agent": agent.agent_id, "rule": "weekdays @ 9am", "timezone": "UTC"}
    made = editor.post(URL, body, format="json")
    assert made.status_code == 201
    assert made.json()["rule"] == "every weekday at 09:00"


def test_a_preview_shows_the_rule_in_words_and_instants(viewer: Any) -> None:
    body = {
        "rule": "every other tuesday at 2:30 pm",
        "timezone": "Europe/Berlin",
        "start_at": "2026-11-23T12:00:00Z",
        "after": "2026-11-23T12:00:00Z",
        "count": 2,
    }
    answer = viewer.post(f"{URL}preview/", body, format="json").json()
    assert answer["firings"] == ["2026-11-24T13:30:00Z", "2026-12-08T13:30:00Z"]
    assert answer["human"] == (
        "Every 2 weeks on Tuesday at 14:30, counted from Mon 23 Nov 2026 "
        "(Europe/Berlin)"
    )


def test_a_preview_tells_what_the_clocks_do_to_a_rule(viewer: Any) -> None:
    body = {"rule": "every day at 2:30", "timezone": "Europe/Berlin"}
    body["after"] = "2027-03-27T12:00:00Z"
    answer = viewer.post(f"{URL}preview/", body, format="json").json()
    assert "leaves out 02:00 to 03:00" in answer["notes"][0]


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("every fortnite", 'did you mean "fortnight"?'),
        (17, "expected a sentence"),
        ("on calendar nobody at 8", 'no calendar "nobody"'),
        ("at sunset", "where? Give"),
        ("", "say when"),
    ],
)
@pytest.mark.parametrize("path", [URL, f"{URL}preview/"])
def test_a_rule_that_cannot_be_taken_is_told_under_its_key(
    agent: Any, editor: Any, path: str, rule: object, said: str
) -> None:
    body = {"agent": agent.agent_id, "rule": rule, "timezone": "UTC"}
    answer = editor.post(path, body, format="json")
    assert answer.status_code == 400
    assert said in answer.json()["fields"]["rule"][0]
    assert not Schedule.objects.exists()


def test_a_rule_that_never_fires_is_refused(agent: Any, editor: Any) -> None:
    body = {"agent": agent.agent_id, "rule": "in february on the 31st at 8:00"}
    answer = editor.post(URL, body, format="json")
    assert answer.status_code == 400
    assert "never fires" in answer.json()["fields"]["rule"][0]


def test_a_rule_fires(agent: Any) -> None:
    schedule = plan(agent, rule="every weekday at 13:00", timezone="UTC")
    fire(at("13:00"))
    assert outcomes(schedule) == {"130000": "run"}


@pytest.mark.parametrize(
    ("rule", "start", "after"),
    [
        ("every other tuesday at 9:00", "10:30", "every 2 weeks on Tuesday at 10:30"),
        ("every day at 23:00", "23:45", "every day at 23:45"),
    ],
)
def test_a_series_moved_says_its_new_time(
    agent: Any, editor: Any, rule: str, start: str, after: str
) -> None:
    schedule = plan(agent, rule=rule, timezone="UTC")
    first = previews.preview(schedule, after=timezone.now(), count=1).firings[0]
    key = f"{first:%Y%m%dT%H%M%SZ}"
    moved = editor.post(
        f"/api/v1/occurrences/{schedule.uid}@{key}/move/",
        {"start": f"{first:%Y-%m-%d}T{start}:00Z", "scope": "all", "base_version": 1},
        format="json",
    )
    assert moved.status_code == 200, moved.json()
    assert moved.json()["rule_after"] == after
    assert again(schedule).rule == after
    assert again(schedule).shift_s == 0
    again_first = previews.preview(again(schedule), after=NOON, count=1).firings[0]
    assert f"{again_first:%Y-%m-%d %H:%M}" == f"{first:%Y-%m-%d} {start}"
