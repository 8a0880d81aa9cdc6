"""Calendar feeds: what a calendar reads is what the schedules will do."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import recurring_ical_events
from django.contrib.auth.models import User
from django.utils import timezone
from icalendar import Calendar

from agents.errors import Invalid
from agents.models import Event
from scheduling import feed_calendar, feed_events, feeds, previews, schedules
from scheduling.feed_events import AHEAD
from scheduling.feed_models import Feed
from scheduling.models import Occurrence, Run, Schedule
from scheduling.triggers.base import instant_of, key_of
from tests.db.feed_draws import Draw
from tests.db.schedule_fixtures import NOON, PERSON, again, plan

pytestmark = pytest.mark.django_db
DRAWN = int(os.environ.get("KOS_TEST_FEEDS", "200"))
MOST_SEEN = 60  # instants compared, of one schedule


def feed_of(schedule: Schedule) -> Feed:
    return Feed(
        name="a feed",
        owner=PERSON,
        scope="schedules",
        names=[schedule.uid],
        created_at=NOON,
    )


def text_of(schedule: Schedule, now: datetime = NOON, past: Any = None) -> str:
    site = "https://kos.example"
    found = feed_calendar.text_of(feed_of(schedule), site=site, now=now, past=past)
    return found.body.decode()


def read(text: str, after: datetime, until: datetime) -> list[datetime]:
    """The instants in (after, until] as calendars read them."""
    events = recurring_ical_events.of(Calendar.from_ical(text))
    found = (e["DTSTART"].dt for e in events.between(after, until + timedelta(hours=1)))
    instants = sorted(one.astimezone(UTC) for one in found)
    return [one for one in instants if after < one <= until]


def events_in(text: str) -> list[Any]:
    return list(Calendar.from_ical(text).walk("VEVENT"))


# the same instants


def compare(schedule: Schedule, now: datetime) -> tuple[str, int]:
    """How the schedule is told, and how many instants were the same."""
    told = previews.preview(schedule, after=now, count=MOST_SEEN).firings
    until = now + AHEAD - timedelta(hours=1)
    if len(told) == MOST_SEEN:
        until = min(until, told[-1])
    expected = [one.replace(microsecond=0) for one in told if one <= until]
    text = text_of(schedule, now)
    assert read(text, now, until) == expected, f"{schedule} at {now}\n{text}"
    how = "series" if "RRULE" in text else "single" if "VEVENT" in text else "empty"
    return how, len(expected)


def test_a_feed_read_by_another_library_has_the_instants_of_the_preview(
    make_agent: Callable[..., Any], report: Callable[[str], None], monkeypatch: Any
) -> None:
    """200 drawn schedules; KOS_TEST_FEEDS=1000 draws as many."""
    monkeypatch.setattr(feed_events, "MOST_SINGLE", MOST_SEEN)
    agent = make_agent("reporter")
    ways: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    compared = 0
    for seed in range(DRAWN):
        shape, now = Draw(seed).schedule()
        try:
            schedule = schedules.create(agent, shape, actor=PERSON, now=now)
        except Invalid:
            ways["refused"] += 1  # it would never fire: nothing to compare
            continue
        how, number = compare(schedule, now)
        ways[how] += 1
        kinds[f"{schedule.kind}:{how}"] += 1
        compared += number
    report(f"feeds: {DRAWN} drawn, {dict(ways)}, {compared} instants equal")
    report(f"feeds by kind: {dict(sorted(kinds.items()))}")
    assert ways["series"] > DRAWN / 3
    assert ways["refused"] < DRAWN / 5


# what stands in it


def moved(schedule: Schedule, key: str, to: datetime) -> None:
    Occurrence.objects.create(
        schedule=schedule,
        key=key,
        nominal_at=instant_of(key),
        due_at=to,
        state="planned",
        moved=True,
    )


def test_a_moved_occurrence_overrides_its_instant_of_the_series(agent: Any) -> None:
    daily = plan(agent, cron="0 9 * * *", timezone="Europe/Berlin")
    to = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
    moved(daily, "20261125T080000Z", to)
    series, other = events_in(text_of(daily))
    assert other["UID"] == series["UID"]
    assert other["RECURRENCE-ID"].dt.isoformat() == "2026-11-25T09:00:00+01:00"
    assert other["DTSTART"].dt == to
    compare(daily, NOON)


def test_a_moved_occurrence_of_the_sun_stands_at_its_new_time(agent: Any) -> None:
    place = {"latitude": 52.52, "longitude": 13.405}
    sun = plan(agent, solar="sunset", place=place, timezone="Europe/Berlin")
    first = previews.preview(sun, after=NOON, count=1).firings[0]
    moved(sun, key_of(first), first + timedelta(hours=5))
    compare(sun, NOON)


def test_a_paused_schedule_is_not_in_the_feed_until_it_goes_on(agent: Any) -> None:
    daily = plan(agent, cron="0 9 * * *")
    until = NOON + timedelta(days=10)
    schedules.pause(daily, note="", until=until, actor=PERSON, now=NOON)
    found = read(text_of(again(daily)), NOON, NOON + timedelta(days=20))
    assert found[0] == datetime(2026, 12, 4, 9, tzinfo=UTC)
    schedules.resume(again(daily), actor=PERSON, now=NOON)
    schedules.pause(again(daily), note="", until=None, actor=PERSON, now=NOON)
    assert events_in(text_of(again(daily))) == []


def test_an_event_says_who_what_how_long_and_where_to_look(agent: Any) -> None:
    daily = plan(agent, cron="0 9 * * MON-FRI", timezone="Europe/Berlin")
    text = text_of(daily)
    [event] = events_in(text)
    assert str(event["SUMMARY"]).startswith("worker · At 09:00")
    assert "https://kos.example/schedule?sel=agent:worker" in event["DESCRIPTION"]
    assert event["DURATION"].dt >= timedelta(minutes=1)
    assert event["RRULE"].to_ical() == b"FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"
    assert event["SEQUENCE"] == 1
    assert event["LAST-MODIFIED"].dt == NOON
    assert "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin" in text
    assert text_of(daily, NOON + timedelta(minutes=5)) == text


def test_a_schedule_of_many_instants_without_a_rule_says_that_it_is_capped(
    agent: Any,
) -> None:
    spread = plan(agent, cron="*/30 * * * *", jitter="5m")
    text = text_of(spread)
    assert len(events_in(text)) == feed_events.MOST_SINGLE
    assert "capped" in str(Calendar.from_ical(text)["X-WR-CALDESC"])
    assert "capped" not in text_of(plan(agent, cron="0 9 * * *"))


# who may read it


def make(client: Any, **body: Any) -> dict[str, Any]:
    answer = client.post("/api/v1/feeds/", {"name": "mine", **body}, format="json")
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def path_of(made: dict[str, Any]) -> str:
    return urlsplit(made["url"]).path


def test_who_has_the_address_reads_it_without_signing_in_until_it_is_revoked(
    viewer: Any, anonymous: Any, agent: Any
) -> None:
    plan(agent, cron="0 9 * * *", now=timezone.now())
    made = make(viewer)
    answer = anonymous.get(path_of(made))
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/calendar")
    assert answer["Cache-Control"].startswith("private")
    assert b"BEGIN:VEVENT" in answer.content
    listed = viewer.get("/api/v1/feeds/").json()["items"]
    assert [one["id"] for one in listed] == [made["id"]]
    assert "url" not in listed[0]
    assert viewer.delete(f"/api/v1/feeds/{made['id']}/").status_code == 204
    assert anonymous.get(path_of(made)).status_code == 404


def test_only_the_hash_of_the_secret_is_kept(viewer: Any) -> None:
    made = make(viewer)
    secret = path_of(made).removeprefix("/ical/").removesuffix(".ics")
    kept = str(Feed.objects.values().get()) + str(list(Event.objects.values()))
    assert len(secret) == 43
    assert secret not in kept
    assert list(Event.objects.values_list("kind", flat=True))[-1] == "feed.created"


def test_a_calendar_that_has_it_already_is_told_that_nothing_changed(
    viewer: Any, anonymous: Any, agent: Any
) -> None:
    plan(agent, cron="0 9 * * *", now=timezone.now())
    path = path_of(make(viewer))
    first = anonymous.get(path)
    again = anonymous.get(path, HTTP_IF_NONE_MATCH=first["ETag"])
    assert (again.status_code, again.content) == (304, b"")
    since = anonymous.get(path, HTTP_IF_MODIFIED_SINCE=first["Last-Modified"])
    assert since.status_code == 304
    plan(agent, cron="0 10 * * *", now=timezone.now())
    assert anonymous.get(path, HTTP_IF_NONE_MATCH=first["ETag"]).status_code == 200


def test_a_feed_ends_with_the_rights_of_who_made_it(
    user_of: Any, viewer: Any, anonymous: Any
) -> None:
    path = path_of(make(viewer))
    User.objects.filter(username="viewer").update(is_active=False)
    assert anonymous.get(path).status_code == 404


def test_guessing_addresses_is_made_slow_and_tells_nothing(anonymous: Any) -> None:
    answers = [anonymous.get(f"/ical/{n:043}.ics") for n in range(40)]
    assert {a.status_code for a in answers} == {404, 429}
    assert answers[0].status_code == 404
    assert anonymous.get("/ical/x.ics").status_code == 429


def test_nobody_sees_or_ends_the_feed_of_another(
    viewer: Any, editor: Any, admin: Any
) -> None:
    made = make(viewer)
    assert editor.get("/api/v1/feeds/").json()["items"] == []
    assert editor.delete(f"/api/v1/feeds/{made['id']}/").status_code == 404
    assert admin.delete(f"/api/v1/feeds/{made['id']}/").status_code == 204


def test_a_feed_of_an_agent_or_a_tag_holds_only_theirs(
    viewer: Any, anonymous: Any, make_agent: Callable[..., Any]
) -> None:
    for name, tags in (("one", ["night"]), ("two", [])):
        plan(make_agent(name, tags=tags), cron="0 9 * * *", now=timezone.now())
    for scope in ({"agent": "one"}, {"tag": "night"}):
        text = anonymous.get(path_of(make(viewer, scope=scope))).content.decode()
        assert [str(e["SUMMARY"])[:3] for e in events_in(text)] == ["one"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 81}, "name"),
        ({"scope": "some"}, "scope"),
        ({"scope": {"agent": "nobody"}}, "scope"),
        ({"scope": {"agent": 1}}, "scope"),
        ({"scope": {"tag": "", "agent": "x"}}, "scope"),
        ({"scope": {"schedules": ["none"]}}, "scope"),
        ({"scope": {"schedules": [{}]}}, "scope"),
        ({"more": 1}, "more"),
    ],
)
def test_a_feed_that_cannot_be_is_refused_by_its_field(
    viewer: Any, body: dict[str, Any], field: str
) -> None:
    answer = viewer.post("/api/v1/feeds/", {"name": "a", **body}, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["fields"]
    assert not Feed.objects.exists()


def test_a_person_has_a_bounded_number_of_feeds(viewer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(feeds, "MOST_FEEDS", 1)
    make(viewer)
    answer = viewer.post("/api/v1/feeds/", {"name": "b"}, format="json")
    assert answer.status_code == 409


def test_runs_of_the_last_week_are_shown_when_asked_for(
    viewer: Any, anonymous: Any, agent: Any
) -> None:
    now = timezone.now()
    daily = plan(agent, cron="0 9 * * *", now=now - timedelta(days=3))
    began = now.replace(microsecond=0) - timedelta(days=1)
    Run.objects.create(
        **run_columns(daily), started_at=began, ended_at=began + timedelta(minutes=7)
    )
    path = path_of(make(viewer))
    text = anonymous.get(f"{path}?past=7d").content.decode()
    [ran] = [e for e in events_in(text) if str(e["UID"]).startswith("run-")]
    assert (ran["DTSTART"].dt, ran["DURATION"].dt) == (began, timedelta(minutes=7))
    assert "succeeded" in ran["SUMMARY"]
    assert "run-" not in anonymous.get(path).content.decode()
    assert anonymous.get(f"{path}?past=8d").status_code == 400


def run_columns(schedule: Schedule) -> dict[str, Any]:
    at = schedule.created_at
    return {
        "agent": schedule.agent,
        "version": schedule.agent.current,
        "schedule": schedule,
        "state": "succeeded",
        "state_since": at,
        "priority": 1,
        "occurrence_key": "x",
        "requested_by": PERSON,
        "exec_env": "subprocess",
        "cpu_millis": 100,
        "memory_bytes": 1,
        "queue_class": "x",
        "due_at": at,
        "queued_at": at,
    }
