"""Users' calendars: kept, asked for their next days, and followed by schedules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agents.models import Event
from scheduling import books, calendars, previews, schedules
from scheduling.calendar_models import Calendar
from scheduling.models import Schedule
from scheduling.planned import outlooks
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
URL = "/api/v1/calendars/"
CHRISTMAS = {
    "name": "holidays",
    "title": "Public holidays",
    "yearly": ["12-25", "12-26"],
}


def make(**raw: Any) -> Calendar:
    return calendars.create({**CHRISTMAS, **raw}, actor=PERSON, now=NOON)


def test_a_calendar_is_made_read_replaced_and_deleted(editor: Any, viewer: Any) -> None:
    made = editor.post(URL, {**CHRISTMAS, "weekdays": ["sunday"]}, format="json")
    assert made.status_code == 201
    assert made.json()["yearly"] == ["12-25", "12-26"]
    assert made.json()["weekdays"] == ["sunday"]
    listed = {c["name"]: c for c in viewer.get(URL).json()["items"]}
    assert set(listed) == {"weekdays", "weekends", "business_days", "holidays"}
    assert len(listed["weekends"]["next_days"]) == 10
    other = {"title": "Only one", "dates": ["2099-05-01"]}
    changed = editor.put(f"{URL}holidays/", other, format="json").json()
    assert (changed["version"], changed["yearly"]) == (2, [])
    assert editor.delete(f"{URL}holidays/").status_code == 204
    assert viewer.get(f"{URL}holidays/").status_code == 404
    kinds = Event.objects.filter(subject="calendar:holidays").order_by("id")
    assert list(kinds.values_list("kind", flat=True)) == [
        *("calendar.created", "calendar.changed", "calendar.deleted"),
    ]


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({**CHRISTMAS, "name": "My Days"}, "name"),
        ({**CHRISTMAS, "yearly": ["13-01"]}, "yearly"),
        ({**CHRISTMAS, "shiny": 1}, "shiny"),
        ({**CHRISTMAS, "source": "dates: []"}, "source"),
        ({"name": "x", "source": "BEGIN:VCALENDAR\nEND:VCALENDAR"}, "source"),
        ({"name": "x", "source": 3}, "source"),
        ({"name": "x"}, "dates"),
        ({"name": "x", "title": "a" * 201, "dates": ["2026-01-01"]}, "title"),
        ({"name": "x", "dates": ["2026-01-01"] * 30_000}, "dates"),
        ([], None),
    ],
)
def test_what_is_no_calendar_is_refused_by_its_field(
    editor: Any, raw: Any, field: str | None
) -> None:
    answer = editor.post(URL, raw, format="json")
    assert answer.status_code == 400
    assert field is None or field in answer.json()["fields"]
    assert not Calendar.objects.exists()


def test_names_that_are_taken_or_built_in_stay_as_they_are(editor: Any) -> None:
    make()
    assert editor.post(URL, CHRISTMAS, format="json").status_code == 409
    weekends = {**CHRISTMAS, "name": "weekends"}
    assert editor.post(URL, weekends, format="json").status_code == 409
    assert editor.put(f"{URL}weekends/", CHRISTMAS, format="json").status_code == 404
    assert editor.delete(f"{URL}weekends/").status_code == 404


def test_a_schedule_leaves_out_the_days_and_says_which(agent: Any) -> None:
    make()
    schedule = plan(agent, cron="0 9 * * *", calendar="weekdays except holidays")
    found = previews.preview(schedule, after=at("2026-12-24T12:00"), count=2)
    assert [d.day for d in found.firings] == [28, 29]
    assert found.human.endswith("(UTC), only on weekdays, except holidays")
    assert found.notes[0] == (
        "Skipped: Fri 25 Dec 2026 (holidays); Sat 26 Dec 2026 (holidays); "
        "Sun 27 Dec 2026 (not in weekdays)."
    )
    assert schedule.calendar == {
        "on": ["weekdays"],
        "except": ["holidays"],
        "shift": "skip",
    }


def test_business_days_are_weekdays_without_the_holidays(agent: Any) -> None:
    schedule = plan(agent, cron="0 9 * * *", calendar="business_days")
    before = previews.preview(schedule, after=at("2026-12-24T12:00"), count=1)
    make()
    after = previews.preview(again(schedule), after=at("2026-12-24T12:00"), count=1)
    assert [before.firings[0].day, after.firings[0].day] == [25, 28]


def test_what_falls_on_a_free_day_can_move_to_the_next_one(agent: Any) -> None:
    make()
    raw = {"on": ["weekdays"], "except": ["holidays"], "shift": "next"}
    schedule = plan(agent, cron="0 9 25 * *", calendar=raw)
    found = previews.preview(schedule, after=NOON, count=2)
    assert found.firings == [at("2026-11-25T09:00"), at("2026-12-28T09:00")]
    assert "Fri 25 Dec 2026 (holidays; moved to Mon 28 Dec 2026)" in found.notes[0]


def test_a_change_of_the_calendar_reaches_its_schedules_at_once(agent: Any) -> None:
    make(dates=["2026-11-30"], yearly=None)
    used = plan(agent, cron="0 9 * * *", calendar="except holidays")
    other = plan(agent, cron="0 9 * * *", calendar="except weekends")
    plain = plan(agent, cron="0 9 * * *")
    assert used.next_due_at == at("2026-11-24T09:00")
    calendars.replace(
        "holidays", {"dates": ["2026-11-24", "2026-11-25"]}, actor=PERSON, now=NOON
    )
    assert again(used).next_due_at == at("2026-11-26T09:00")
    assert again(other).next_due_at == at("2026-11-24T09:00")
    assert again(plain).next_due_at == at("2026-11-24T09:00")
    told = Event.objects.filter(kind="schedule.recalculated")
    assert [event.subject for event in told] == [f"schedule:{used.uid}"]
    [outlook] = [
        o
        for o in outlooks(NOON, at("2026-11-27T00:00"), now=NOON)
        if o.schedule.pk == used.pk
    ]
    assert [one.due_at for one in outlook.instants] == [at("2026-11-26T09:00")]


def test_days_left_out_are_no_instants_and_leave_no_rows(agent: Any) -> None:
    make(dates=["2026-11-24"], yearly=None)
    schedule = plan(agent, cron="0 9 * * *", calendar="except holidays", missed="all")
    assert fire(at("2026-11-24T10:00")) == 0
    assert fire(at("2026-11-25T09:00")) == 1
    assert [run.due_at for run in runs_of(schedule)] == [at("2026-11-25T09:00")]
    assert gaps_of(schedule) == []
    assert not schedule.occurrences.exclude(state="run").exists()


def test_what_was_due_is_decided_by_the_days_as_they_were(agent: Any) -> None:
    """The scheduler slept; somebody makes the day that is due a holiday."""
    make(dates=["2027-01-01"], yearly=None)
    schedule = plan(agent, cron="0 13 * * *", calendar="except holidays")
    later = at("13:30")
    calendars.replace("holidays", {"dates": ["2026-11-23"]}, actor=PERSON, now=later)
    [row] = schedule.occurrences.all()
    assert (row.state, row.due_at) == ("missed", at("13:00"))
    assert row.reason == "the calendar holidays was changed before it could run"


def test_a_calendar_in_use_is_not_deleted(agent: Any, editor: Any) -> None:
    make()
    schedule = plan(agent, cron="0 9 * * *", calendar="except holidays")
    answer = editor.delete(f"{URL}holidays/")
    assert answer.status_code == 409
    assert f"{schedule.uid} (worker)" in answer.json()["detail"]
    schedules.end(schedule, actor=PERSON, now=NOON)
    assert editor.delete(f"{URL}holidays/").status_code == 204


@pytest.mark.parametrize(
    ("calendar", "said"),
    [
        ("except bankholidays", 'there is no calendar "bankholidays"'),
        ({"on": ["weekdays"], "shift": "up"}, "shift: expected one of"),
        ({"off": ["weekdays"]}, "off: expected on, except, shift"),
        ({"on": ["weekdays"], "except": ["weekdays"]}, None),
    ],
)
def test_a_choice_that_cannot_be_is_refused(
    agent: Any, editor: Any, calendar: Any, said: str | None
) -> None:
    body = {"agent": "worker", "cron": "0 9 * * *", "calendar": calendar}
    answer = editor.post("/api/v1/schedules/", body, format="json")
    assert answer.status_code == 400
    fields = answer.json()["fields"]
    assert said is None or said in fields["calendar"][0]
    assert not Schedule.objects.exists()


def test_a_shift_of_a_rule_by_the_second_is_refused(agent: Any, editor: Any) -> None:
    raw = {"on": ["weekdays"], "shift": "next"}
    body = {"agent": "worker", "interval": 1, "calendar": raw}
    answer = editor.post("/api/v1/schedules/", body, format="json")
    assert answer.status_code == 400
    assert "times a day" in answer.json()["fields"]["calendar"][0]


def test_a_calendar_can_be_put_on_taken_off_and_undone(agent: Any, editor: Any) -> None:
    schedule = plan(agent, cron="0 9 * * *")
    url = f"/api/v1/schedules/{schedule.uid}/"
    answer = editor.patch(url, {"calendar": "weekends"}, format="json").json()
    assert answer["calendar"] == {"on": ["weekends"], "except": [], "shift": "skip"}
    assert answer["next_due_at"] == "2026-11-28T09:00:00Z" or answer["next_due_at"]
    undone = editor.post(f"/api/v1/undo/{answer['undo_token']}/", {}, format="json")
    assert undone.json()["calendar"] is None


def test_an_ics_file_becomes_a_calendar(editor: Any) -> None:
    source = (
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:x\r\nDTSTART;VALUE=DATE:20200501\r\n"
        "RRULE:FREQ=YEARLY\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    made = editor.post(URL, {"name": "may", "source": source}, format="json").json()
    assert made["events"] == [
        {"rule": "DTSTART:20200501T000000\nRRULE:FREQ=YEARLY", "zone": "UTC", "days": 1}
    ]
    assert all(day.endswith("-05-01") for day in made["next_days"])
    again_ = {"title": made["title"], "events": made["events"]}
    same = editor.put(f"{URL}may/", again_, format="json").json()
    assert same["events"] == made["events"], "what is read can be written"


def test_a_plain_schedule_reads_no_calendar(
    agent: Any, django_assert_num_queries: Any
) -> None:
    schedule = plan(agent, cron="1 9 * * *")
    from scheduling.timetables import forget, timetable_of

    forget()
    with django_assert_num_queries(0):
        assert timetable_of(schedule).next_after(NOON) is not None
    chosen = plan(agent, cron="1 9 * * *", calendar="business_days")
    with django_assert_num_queries(0):
        timetable_of(chosen)
    assert books.next_due(chosen) is not None


def test_calendars_are_kept_in_the_admin_too(
    admin: Any, client: Any, user_of: Any
) -> None:
    client.force_login(user_of("admin"))
    page = "/admin/scheduling/calendar/add/"
    body = {"name": "holidays", "title": "", "days": '{"yearly": ["12-25"]}'}
    assert client.post(page, body).status_code == 302
    row = calendars.find("holidays")
    assert row.content["yearly"] == ["12-25"]
    change = f"/admin/scheduling/calendar/{row.pk}/change/"
    assert b"12-25" in client.get(change).content
    assert (
        client.post(change, {"title": "T", "days": "dates: [2027-01-01]"}).status_code
        == 302
    )
    assert calendars.find("holidays").content["dates"] == ["2027-01-01"]
    bad = client.post(page, {"name": "x", "title": "", "days": "{}"})
    assert b"give some of" in bad.content


def test_days_are_those_of_the_schedules_zone(agent: Any) -> None:
    """09:00 on Saturday in Auckland is still Friday in UTC."""
    schedule = plan(
        agent, cron="0 9 * * *", timezone="Pacific/Auckland", calendar="weekends"
    )
    assert schedule.next_due_at == datetime(2026, 11, 27, 20, tzinfo=UTC)
