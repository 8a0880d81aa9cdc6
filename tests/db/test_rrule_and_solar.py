"""Schedules by an RRULE and by the sun, from what is sent to what runs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents import live_config
from scheduling.models import Schedule
from scheduling.triggers.solar import Place, instant_on
from tests.db.schedule_fixtures import NOON, PERSON, again, at, fire, plan, runs_of

pytestmark = pytest.mark.django_db
URL = "/api/v1/schedules/"
BERLIN = {"latitude": 52.52, "longitude": 13.405}
TROMSO = {"latitude": 69.6492, "longitude": 18.9553}
BAD_RULES = {
    "FREQ=DAILY;INTERVAL=0": "INTERVAL",
    "FREQ=DAILY;BYDAY=XX": "BYDAY",
    "BYDAY=MO": "FREQ",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30": "BYMONTHDAY",
    "FREQ=DAILY;UNTIL=20200101T000000Z": "never fires",
    "DTSTART:20260101T090000\nRRULE:FREQ=YEARLY;INTERVAL=150;BYMONTH=1": "never fires",
}


def preview(person: Any, **body: Any) -> Any:
    answer = person.post(
        f"{URL}preview/", {"after": "2026-11-23T12:00:00Z", **body}, "json"
    )
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_rule_is_shown_with_its_words_and_instants(viewer: Any) -> None:
    found = preview(
        viewer,
        rrule="DTSTART;TZID=Europe/Berlin:20261123T090000\n"
        "RRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;COUNT=10",
        count=3,
    )
    assert found["human"] == (
        "Every 2 weeks on Monday and Friday at 09:00, 10 times, "
        "counted from 23 Nov 2026 (Europe/Berlin)"
    )
    assert found["firings"] == [
        *("2026-11-27T08:00:00Z", "2026-12-07T08:00:00Z", "2026-12-11T08:00:00Z"),
    ]


def test_a_rule_is_stored_shown_and_fired(agent: Any, editor: Any) -> None:
    body = {"agent": "worker", "rrule": "FREQ=HOURLY;BYMINUTE=30", "timezone": "UTC"}
    made = editor.post(URL, body, format="json").json()
    assert made["rrule"] == "RRULE:FREQ=HOURLY;BYMINUTE=30"
    assert made["rule_text"] == "Every hour at minute 30 (UTC)"
    Schedule.objects.all().delete()
    schedule = plan(agent, rrule=body["rrule"], timezone="UTC")
    assert fire(at("12:30")) == 1
    assert runs_of(schedule)[0].due_at == at("12:30")
    assert again(schedule).next_due_at == at("13:30")


@pytest.mark.parametrize(("rule", "said"), BAD_RULES.items())
def test_a_bad_rule_is_refused_under_its_name(
    agent: Any, editor: Any, rule: str, said: str
) -> None:
    answer = editor.post(URL, {"agent": "worker", "rrule": rule}, format="json")
    assert answer.status_code == 400
    assert said in answer.json()["fields"]["rrule"][0]
    assert not Schedule.objects.exists()


def test_the_zone_is_the_one_that_dtstart_names(agent: Any, editor: Any) -> None:
    rule = "DTSTART;TZID=Asia/Tokyo:20261123T090000\nRRULE:FREQ=DAILY"
    body = {"agent": "worker", "rrule": rule}
    made = editor.post(URL, body, format="json").json()
    assert made["timezone"] == "Asia/Tokyo"
    other = editor.post(URL, {**body, "timezone": "UTC"}, format="json")
    assert "rrule names Asia/Tokyo" in other.json()["fields"]["timezone"][0]


@pytest.mark.parametrize("scope", ["all", "following"])
def test_a_dragged_series_keeps_its_count(agent: Any, editor: Any, scope: str) -> None:
    """Ten times, every other day: an hour later it is still ten times."""
    rule = "DTSTART:20261124T090000\nRRULE:FREQ=DAILY;INTERVAL=2;COUNT=10"
    schedule = plan(agent, rrule=rule, timezone="UTC")
    key = f"{schedule.uid}@20261124T090000Z"
    url = f"/api/v1/occurrences/{key}/move/"
    from time_machine import travel

    with travel(NOON, tick=False):
        body = {"start": "2026-11-24T10:00:00Z", "scope": scope}
        answer = editor.post(url, body, format="json").json()
    moved = Schedule.objects.get(uid=answer["schedule"])
    assert moved.rule == rule.replace("T09", "T10")
    assert moved.next_due_at == at("2026-11-24T10:00")
    from scheduling.timetables import timetable_of

    far = NOON + timedelta(days=365)
    assert timetable_of(moved).count(NOON, far) == 10


# --- the sun


def test_without_a_place_it_is_asked_for(agent: Any, editor: Any) -> None:
    body = {"agent": "worker", "solar": "sunset-20m"}
    answer = editor.post(URL, body, format="json")
    assert answer.status_code == 400
    assert "place.latitude" in answer.json()["fields"]["place"][0]
    assert not Schedule.objects.exists()


def test_the_place_of_the_configuration_is_stored_with_the_schedule(agent: Any) -> None:
    values = {"place.latitude": 52.52, "place.longitude": 13.405}
    live_config.set_overrides(values, actor=PERSON, now=NOON)
    live_config.forget()
    schedule = plan(agent, solar="sunset", timezone="Europe/Berlin")
    assert schedule.place == BERLIN
    there = Place(52.52, 13.405)
    assert schedule.next_due_at == instant_on(NOON.date(), "sunset", there)


def test_a_polar_night_is_told_and_skipped(viewer: Any) -> None:
    body = {"solar": "sunrise", "place": TROMSO, "timezone": "Europe/Oslo"}
    found = preview(viewer, **body, after="2026-11-30T00:00:00Z", count=1)
    assert found["firings"][0].startswith("2027-01-1")
    assert found["notes"][0].startswith(
        "the sun does not rise at 69.65 N, 18.96 E from 28 Nov 2026 to 14 Jan 2027"
    )


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"solar": "moonrise", "place": BERLIN}, "solar"),
        ({"solar": "sunset", "place": {"latitude": 91, "longitude": 0}}, "place"),
        ({"solar": "sunset", "place": {"latitude": 1}}, "place"),
        ({"solar": "sunset", "place": "Berlin"}, "place"),
        ({"solar": "elevation 80 rising", "place": BERLIN}, "solar"),
    ],
)
def test_a_wrong_sun_or_place_is_refused(
    agent: Any, editor: Any, raw: dict[str, Any], field: str
) -> None:
    answer = editor.post(URL, {"agent": "worker", **raw}, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["fields"]
    assert not Schedule.objects.exists()


def test_a_dragged_series_by_the_sun_changes_its_offset(
    agent: Any, editor: Any
) -> None:
    schedule = plan(agent, solar="sunset", place=BERLIN, timezone="Europe/Berlin")
    assert schedule.next_due_at is not None
    key = f"{schedule.next_due_at:%Y%m%dT%H%M%SZ}"
    start = schedule.next_due_at - timedelta(minutes=20)
    from time_machine import travel

    with travel(NOON, tick=False):
        answer = editor.post(
            f"/api/v1/occurrences/{schedule.uid}@{key}/move/",
            {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "scope": "all"},
            format="json",
        ).json()
    assert answer["rule_after"] == "sunset-20m"
    assert answer["human"].startswith("20 minutes before sunset")
    assert again(schedule).next_due_at == start


def test_sunsets_of_business_days_only(agent: Any) -> None:
    schedule = plan(
        agent,
        solar={"event": "sunset", "offset": "-30m"},
        place=BERLIN,
        timezone="Europe/Berlin",
        calendar="business_days",
        now=at("2026-11-27T20:00"),
    )
    assert schedule.next_due_at is not None
    assert schedule.next_due_at.date() == at("2026-11-30T00:00").date()
