"""What a schedule says it will do."""

from __future__ import annotations

from typing import Any

import pytest

from scheduling import previews, schedules
from scheduling.models import Occurrence
from scheduling.triggers.base import key_of
from tests.db.schedule_fixtures import NOON, PERSON, again, at, plan

pytestmark = pytest.mark.django_db
URL = "/api/v1/schedules/preview/"


def test_the_next_firings_in_words_and_instants(agent: Any) -> None:
    schedule = plan(agent, cron="0 9 * * MON-FRI", timezone="Europe/Berlin")
    found = previews.preview(schedule, after=NOON, count=3)
    assert found.human == "At 09:00, Monday through Friday (Europe/Berlin)"
    assert found.firings == [at(f"2026-11-{day}T08:00") for day in (24, 25, 26)]


def test_an_unsaved_schedule_previews_from_any_instant(viewer: Any) -> None:
    body = {
        "cron": "30 2 * * *",
        "timezone": "Europe/Berlin",
        "after": "2027-03-27T12:00:00Z",
        "count": 2,
    }
    answer = viewer.post(URL, body, format="json").json()
    assert answer["firings"] == ["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]
    assert answer["notes"][0] == (
        "Sun 28 Mar 2027: Europe/Berlin leaves out 02:00 to 03:00; "
        "what falls there runs at Sun 03:00"
    )


def test_a_repeated_hour_is_remarked_by_what_the_rule_does(viewer: Any) -> None:
    body = {"timezone": "Europe/Berlin", "after": "2027-10-30T12:00:00Z"}
    once = viewer.post(URL, {**body, "cron": "30 2 * * *"}, format="json").json()
    both = viewer.post(URL, {**body, "cron": "*/30 * * * *"}, format="json").json()
    assert "runs the first time only" in once["notes"][0]
    assert "runs both times" in both["notes"][0]


def test_the_preview_shows_the_jitter_that_will_be(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *", jitter=600)
    found = previews.preview(schedule, after=NOON, count=1)
    assert found.firings == [schedule.next_due_at]
    assert found.notes[0] == "Each start is delayed by up to 10 minutes."


def test_moved_occurrences_are_shown_where_they_are(agent: Any, editor: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    from scheduling.models import Occurrence

    Occurrence.objects.create(
        schedule=schedule,
        key="20261124T130000Z",
        nominal_at=at("2026-11-24T13:00"),
        due_at=at("2026-11-24T17:00"),
        state="planned",
        moved=True,
    )
    found = previews.preview(schedule, after=NOON, count=3)
    assert [f.strftime("%d %H") for f in found.firings] == ["23 13", "24 17", "25 13"]


def test_a_paused_schedule_previews_what_follows_the_pause(agent: Any) -> None:
    schedule = plan(agent, interval=3600)
    schedules.pause(schedule, actor=PERSON, now=NOON, note="x", until=at("15:30"))
    found = previews.preview(again(schedule), after=NOON, count=1)
    assert found.firings == [at("16:00")]
    assert found.notes[0].startswith("Paused by user:test until Mon 23 Nov 2026")
    schedules.resume(schedule, actor=PERSON, now=NOON)
    schedules.pause(schedule, actor=PERSON, now=NOON)
    assert previews.preview(again(schedule), after=NOON, count=1).firings == []


def test_the_last_runs_are_the_last(agent: Any) -> None:
    schedule = plan(agent, interval=60, max_runs=2)
    found = previews.preview(schedule, after=NOON, count=5)
    assert len(found.firings) == 2
    assert "There are no further runs." in found.notes


def test_faults_of_an_unsaved_schedule_are_told(viewer: Any) -> None:
    answer = viewer.post(URL, {"cron": "* 24 * * *"}, format="json")
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == {"cron"}


@pytest.mark.parametrize("count", [0, -1, 501, "5", True, 10**30])
def test_the_count_is_bounded(viewer: Any, count: Any) -> None:
    answer = viewer.post(URL, {"interval": 60, "count": count}, format="json")
    assert answer.status_code == 400
    assert "count" in answer.json()["fields"]


def test_a_saved_schedule_previews_over_http(viewer: Any, agent: Any) -> None:
    uid = plan(agent, cron="0 9 * * *").uid
    query = {"count": 2, "after": "2030-01-01T00:00:00Z"}
    answer = viewer.get(f"/api/v1/schedules/{uid}/preview/", query)
    assert answer.json()["firings"] == ["2030-01-01T09:00:00Z", "2030-01-02T09:00:00Z"]
    bad = viewer.get(f"/api/v1/schedules/{uid}/preview/", {"count": 999})
    assert bad.status_code == 400


def test_moved_instants_come_in_the_order_they_are_due(agent: Any) -> None:
    schedule = plan(agent, cron="0 9 * * *")
    for day, to in ((24, "2026-11-24T18:00"), (25, "2026-11-24T15:00")):
        Occurrence.objects.create(
            schedule=schedule,
            key=key_of(at(f"2026-11-{day}T09:00")),
            nominal_at=at(f"2026-11-{day}T09:00"),
            due_at=at(to),
            state="planned",
            moved=True,
        )
    assert previews.preview(again(schedule), after=NOON, count=1).firings == [
        at("2026-11-24T15:00")
    ]
