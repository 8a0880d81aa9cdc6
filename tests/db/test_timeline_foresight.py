"""What the timeline tells beyond the bars: the latest likely end, what is at risk, and
the instants that did not run."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling import durations, planned, schedules, timeline_passed
from scheduling.models import Gap, Occurrence, Run, Schedule
from scheduling.run_state import RunState as S
from scheduling.triggers.base import key_of
from tests.conftest import NOON
from tests.db.test_timeline import look
from tests.db.timeline_fixtures import past_runs, plan

pytestmark = pytest.mark.django_db
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture(autouse=True)
def no_memory_of_other_tests() -> None:
    durations.forget()
    planned._walks.clear()


def seconds(item: dict, key: str) -> float:
    start = item["start"]
    if isinstance(start, str):
        start = datetime.fromisoformat(start)
    return (item[key] - start).total_seconds()


def history(agent, node) -> None:
    """Nineteen runs of a minute and one of three."""
    past_runs(agent, node, 19, took_s=60)
    past_runs(agent, node, 1, took_s=180)


def test_a_planned_run_tells_its_median_end_and_the_95th(agent, node) -> None:
    history(agent, node)
    plan(agent, run_at=(NOON + HOUR).isoformat())
    [item] = [i for i in look()["items"] if i["state"] == "planned"]
    assert (seconds(item, "end"), seconds(item, "end_p95")) == (60, 180)


def test_the_time_limit_bounds_the_latest_end(agent, node) -> None:
    history(agent, node)
    plan(agent, run_at=(NOON + HOUR).isoformat())
    Schedule.objects.update(timeout_s=90)
    [item] = [i for i in look()["items"] if i["state"] == "planned"]
    assert seconds(item, "end_p95") == 90


def test_a_running_run_tells_its_latest_end_and_one_that_is_over_none(
    agent, node
) -> None:
    history(agent, node)
    newest = Run.objects.order_by("id")[0]  # one that took a minute
    Run.objects.filter(pk=newest.pk).update(
        state=S.RUNNING, ended_at=None, started_at=NOON - MINUTE / 2
    )
    items = {i["id"]: i for i in look()["items"]}
    live = items.pop(newest.uid)
    assert seconds(live, "end_p95") == 180
    assert {i["end_p95"] for i in items.values()} == {None}


def test_nobody_knows_the_latest_end_of_an_agent_that_never_ran(agent) -> None:
    plan(agent, run_at=(NOON + HOUR).isoformat())
    assert look()["items"][0]["end_p95"] is None


def test_what_is_planned_says_that_it_will_probably_miss_its_deadline(
    agent, node
) -> None:
    past_runs(agent, node, 20, took_s=300)
    plan(agent, run_at=(NOON + HOUR).isoformat(), finish_by="2m")
    [item] = [i for i in look()["items"] if i["state"] == "planned"]
    assert item["at_risk"] == (
        "expected end 13:05:00 UTC (p90) passes finish_by 13:02:00 UTC"
    )
    plan(agent, run_at=(NOON + 2 * HOUR).isoformat(), finish_by="10m")
    later = max(look()["items"], key=lambda i: str(i["start"]))
    assert later["at_risk"] is None


# --- what did not run -----------------------------------------------------------------


def pass_over(schedule: Schedule, at: datetime, state: str, reason: str) -> Occurrence:
    return Occurrence.objects.create(
        schedule=schedule,
        key=key_of(at),
        nominal_at=at,
        due_at=at,
        state=state,
        reason=reason,
        decided_at=at,
    )


def test_a_skipped_instant_is_told_with_its_reason(agent) -> None:
    schedule = plan(agent, cron="0 * * * *")
    pass_over(schedule, NOON - HOUR, "skipped", "falls into quiet hours")
    [told] = look()["passed_over"]
    at = (NOON - HOUR).replace(tzinfo=None)
    assert told["start"] == told["end"] == f"{at.isoformat()}Z"
    assert {k: told[k] for k in told.keys() - {"start", "end"}} == {
        "id": f"{schedule.uid}@{key_of(NOON - HOUR)}",
        "schedule": schedule.uid,
        "row": agent.agent_id,
        "agent": agent.agent_id,
        "count": 1,
        "state": "skipped",
        "why": "falls into quiet hours",
        "priority": "medium",
    }


def test_several_missed_in_a_row_are_one_stretch_that_counts_them(agent) -> None:
    schedule = plan(agent, cron="*/5 * * * *")
    Gap.objects.create(
        schedule=schedule,
        from_at=NOON - 2 * HOUR,
        to_at=NOON - HOUR,
        count=13,
        outcome="missed",
        reason="the scheduler did not run then",
        recorded_at=NOON,
    )
    [told] = look()["passed_over"]
    assert (told["count"], told["state"]) == (13, "missed")
    assert told["start"] < told["end"]
    assert look(NOON - MINUTE)["passed_over"] == []


def test_what_was_moved_along_with_its_series_did_run_and_is_not_told(agent) -> None:
    schedule = plan(agent, cron="0 * * * *")
    pass_over(schedule, NOON - HOUR, "skipped", timeline_passed.CARRIED)
    assert look()["passed_over"] == []


def test_a_filter_leaves_only_its_agents_instants(make_agent) -> None:
    for name in ("near", "far"):
        schedule = plan(make_agent(name), cron="0 * * * *")
        pass_over(schedule, NOON - HOUR, "missed", "the scheduler did not run then")
    assert [one["agent"] for one in look(q="near")["passed_over"]] == ["near"]


def test_of_very_many_only_the_latest_are_told_and_it_says_so(
    agent, monkeypatch
) -> None:
    monkeypatch.setattr(timeline_passed, "MOST", 2)
    schedule = plan(agent, cron="0 0 1 1 *")
    for minutes in (30, 20, 10):
        pass_over(schedule, NOON - minutes * MINUTE, "skipped", "held")
    answer = look()
    assert answer["capped"] is True
    assert [one["start"][11:16] for one in answer["passed_over"]] == ["11:50", "11:40"]


def test_more_runs_and_more_instants_cost_no_further_query(make_agent, node) -> None:
    def cost() -> int:
        look()  # what is remembered is remembered
        with CaptureQueriesContext(connection) as seen:
            look()
        return len(seen)

    one, two = make_agent("one"), make_agent("two")
    first = plan(one, cron="0 * * * *")
    past_runs(one, node, 1)
    pass_over(first, NOON - HOUR, "missed", "held")
    before = cost()
    history(two, node)
    for minutes in range(1, 9):
        pass_over(first, NOON - minutes * MINUTE, "skipped", "held")
    assert cost() == before


def test_paused_instants_are_seen_after_the_schedule_goes_on(agent) -> None:
    schedule = plan(agent, cron="0 * * * *")
    who = {"actor": "user:anna"}
    schedules.pause(schedule, note="holiday", now=NOON, **who)
    later = NOON + 3 * HOUR + MINUTE
    schedules.resume(schedule, now=later, **who)
    told = look(NOON, NOON + 4 * HOUR, now=later)["passed_over"]
    assert sum(one["count"] for one in told) == 3
    assert {"anna" in one["why"] and "holiday" in one["why"] for one in told} == {True}
