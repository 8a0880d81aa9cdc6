"""Backfills of a range: which instants, how many at once, and never one twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents.errors import NotAllowedNow
from scheduling import agent_scheduler, backfills, endings, lease, runs
from scheduling.backfills import Wish
from scheduling.endings import Close, seen_of
from scheduling.models import Backfill, Gap, Occurrence, Run, Schedule
from scheduling.run_state import FINAL
from scheduling.run_state import RunState as S
from tests.conftest import NOON
from tests.db.schedule_fixtures import again, at, fire, gaps_of, plan

pytestmark = pytest.mark.django_db
API = "/api/v1"
BEFORE = NOON - timedelta(hours=5)


@pytest.fixture
def hourly(agent) -> Schedule:
    """Made at noon, every hour."""
    return plan(agent, cron="0 * * * *", overlap="skip")


def begin(schedule: Schedule, **how: Any) -> Backfill:
    wish = Wish(how.pop("start", BEFORE), how.pop("end", NOON), **how)
    return backfills.create(schedule, wish, actor="t", now=NOON)


def live() -> list[Run]:
    found = Run.objects.exclude(state__in=FINAL).order_by("id")
    return list(found.select_related("occurrence"))


def hours() -> list[str]:
    return [run.occurrence_key.partition("@")[2][9:11] for run in live()]


def end(run: Run, to: S = S.SUCCEEDED) -> None:
    for state in (S.ADMITTED, S.STARTING, S.RUNNING):
        run = runs.move(run, state, actor="t", now=NOON)
    row = Run.objects.values_list(*endings.SEEN).get(pk=run.pk)
    facts = {"ended_at": NOON, "exit_code": 0, "result": None}
    endings.close_many([Close(seen_of(row), to, "", facts)], actor="n", now=NOON)


def test_a_range_runs_a_few_at_a_time_oldest_first(hourly) -> None:
    row = begin(hourly, concurrency=2, params={"again": True})
    assert hours() == ["07", "08"]
    assert live()[0].params == {"again": True}
    end(live()[0])
    assert hours() == ["08", "09"]
    while found := live():
        assert len(found) <= 2
        end(found[0])
    token = lease.acquire("test", ttl_s=60)
    agent_scheduler.housekeep(token, now=NOON)
    row.refresh_from_db()
    assert (row.state, row.position, row.passed) == ("done", 6, 0)
    assert backfills.states_of(row) == {"succeeded": 6}


def test_the_newest_come_first_when_asked(hourly) -> None:
    begin(hourly, newest_first=True, concurrency=3)
    assert hours() == ["12", "11", "10"]


def test_the_preview_counts_exactly_what_then_runs(hourly, operator) -> None:
    url = f"{API}/schedules/{hourly.uid}/backfill/"
    asked = {"from": "2026-11-23T07:00:00Z", "to": "2026-11-23T23:00:00Z"}
    Occurrence.objects.create(
        schedule=hourly, key="20261123T080000Z", due_at=NOON, state="run"
    )
    Occurrence.objects.create(
        schedule=hourly, key="20261123T090000Z", due_at=NOON, state="missed"
    )
    Occurrence.objects.create(
        schedule=hourly, key="20261123T100000Z", due_at=NOON, state="planned"
    )
    told = operator.post(url, {**asked, "dry_run": True}).json()
    assert told == {
        "count": 4,
        "first": f"{hourly.uid}@20261123T070000Z",
        "last": f"{hourly.uid}@20261123T120000Z",
        "already_run": 1,
        "planned": 1,
    }
    assert not Run.objects.exists()
    made = operator.post(url, {**asked, "concurrency": 9})
    assert made.status_code == 201
    assert (made.json()["total"], made.json()["live"]) == (4, 4)
    assert hours() == ["07", "09", "11", "12"]
    (listed,) = operator.get(f"{API}/backfills/?state=running").json()["items"]
    assert listed["uid"] == made.json()["uid"]


def test_an_instant_that_ran_meanwhile_is_passed(hourly) -> None:
    first = begin(hourly)
    second = begin(hourly, concurrency=9)
    assert len(live()) == 6
    for run in reversed(live()):
        end(run)
    backfills.repair(now=NOON)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("done", "done")
    assert (first.passed, second.passed) == (5, 0)
    assert Run.objects.count() == 6


def test_what_ran_runs_again_only_when_asked_and_as_the_next_attempt(hourly) -> None:
    begin(hourly, concurrency=9)
    for run in live():
        end(run, S.FAILED)
    with pytest.raises(NotAllowedNow, match="no instant of that range is left"):
        begin(hourly)
    begin(hourly, concurrency=9, rerun=True)
    assert {run.attempt for run in live()} == {2}
    assert len(hours()) == 6
    again_at_once = begin(hourly, concurrency=9, rerun=True)
    assert again_at_once.passed == 6  # each of them is running
    assert len(live()) == 6


def test_the_schedule_goes_on_as_if_it_were_not_there(hourly) -> None:
    cursor = hourly.cursor_at
    begin(hourly, concurrency=9)
    assert again(hourly).cursor_at == cursor
    assert again(hourly).fired_count == 0
    assert fire(at("13:00:00")) == 1
    assert (
        Occurrence.objects.get(schedule=hourly, key="20261123T130000Z").state == "run"
    )


def test_an_instant_leaves_its_gap_when_it_runs(hourly) -> None:
    gap = {"from_at": BEFORE, "to_at": NOON, "outcome": "missed", "reason": "down"}
    Gap.objects.create(schedule=hourly, count=6, recorded_at=NOON, **gap)
    begin(hourly, concurrency=4)
    assert [gap.count for gap in gaps_of(hourly)] == [2]


def test_calling_it_off_stops_what_runs_and_starts_nothing_further(
    hourly, operator
) -> None:
    row = begin(hourly, concurrency=2)
    answer = operator.post(f"{API}/backfills/{row.uid}/cancel/")
    assert answer.json()["states"] == {"cancelled": 2}
    assert not live()
    backfills.repair(now=NOON)
    assert Run.objects.count() == 2
    assert operator.post(f"{API}/backfills/{row.uid}/cancel/").status_code == 409


def test_a_retry_counts_for_the_unit_it_belongs_to(make_agent) -> None:
    schedule = plan(make_agent("r", retries=1), cron="0 * * * *")
    begin(schedule)
    end(live()[0], S.FAILED)
    assert [(run.attempt, run.occurrence_key[-8:]) for run in live()] == [
        (2, "T070000Z")
    ]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-11-22T00:00:00Z"}, "to"),
        ({"from": "2016-01-01T00:00:00Z"}, "to"),
        ({"concurrency": 0}, "concurrency"),
        ({"order": "random"}, "order"),
        ({"params": []}, "params"),
        ({"rerun": "yes"}, "rerun"),
        ({"dry_run": 1}, "dry_run"),
        ({"form": 1}, "form"),
    ],
)
def test_a_wish_that_cannot_be_is_refused_by_its_field(
    hourly, operator, change, field
) -> None:
    asked = {"from": "2026-11-23T07:00:00Z", "to": "2026-11-23T12:00:00Z", **change}
    answer = operator.post(f"{API}/schedules/{hourly.uid}/backfill/", asked)
    assert answer.status_code == 400, answer.json()
    assert list(answer.json()["fields"]) == [field]
    assert not Backfill.objects.exists()


def test_an_agent_that_never_ends_has_nothing_to_backfill(make_agent, operator) -> None:
    schedule = plan(make_agent("p", kind="persistent"), cron="0 * * * *")
    asked = {"from": "2026-11-23T07:00:00Z", "to": "2026-11-23T12:00:00Z"}
    answer = operator.post(f"{API}/schedules/{schedule.uid}/backfill/", asked)
    assert answer.status_code == 409
