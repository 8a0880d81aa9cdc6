"""From "it is time" to a run that is wanted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from agents.errors import ChangedMeanwhile
from agents.models import Event
from scheduling import firing, firing_facts, firing_writes, runs, schedules, window_bars
from scheduling.firing_turn import Turn
from scheduling.models import Occurrence, Run, Schedule
from scheduling.run_state import RunState
from tests.db.schedule_fixtures import (
    NOON,
    PERSON,
    again,
    at,
    end_runs,
    fire,
    gaps_of,
    outcomes,
    plan,
    runs_of,
)

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def start_running(run: Run) -> Run:
    """As the launcher would take it, to a state in which stopping takes time."""
    for state in (RunState.ADMITTED, RunState.STARTING, RunState.RUNNING):
        run = runs.move(run, state, actor="scheduler", now=NOON)
    return run


def finish(turn: Turn, now: datetime) -> None:
    """What a leader does that read the schedule before another one moved it on."""
    with transaction.atomic():
        turn.decide(firing_facts.Facts())
        firing_writes.write([turn], now)


def test_nothing_fires_early(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    assert fire(at("13:00") - timedelta(microseconds=1)) == 0
    assert runs_of(schedule) == []


def test_a_due_instant_becomes_one_queued_run(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *", params={"size": 3}, priority="high")
    assert fire(at("13:00")) == 1
    (run,) = runs_of(schedule)
    assert run.state == "queued"
    assert run.due_at == at("13:00")
    assert run.occurrence_key == f"{schedule.uid}@20261123T130000Z"
    assert (run.params, run.priority, run.requested_by) == ({"size": 3}, 3, "scheduler")
    assert outcomes(schedule) == {"130000": "run"}
    assert again(schedule).next_due_at == at("2026-11-24T13:00")


def test_firing_twice_at_one_moment_fires_once(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    fire(at("13:00"))
    assert fire(at("13:00")) == 0
    assert len(runs_of(schedule)) == 1


def test_a_leader_that_was_overtaken_leaves_nothing_behind(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    stale = Turn.begin(again(schedule), at("13:00"))
    fire(at("13:00"))
    with pytest.raises(ChangedMeanwhile):
        finish(stale, at("13:00"))
    assert len(runs_of(schedule)) == 1


def test_an_instant_whose_key_is_used_is_not_fired_again(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    Occurrence.objects.create(
        schedule=schedule,
        key="20261123T130000Z",
        nominal_at=at("13:00"),
        due_at=at("12:30"),
        state="run",
        moved=True,
    )
    assert fire(at("13:00")) == 0
    assert again(schedule).next_due_at == at("2026-11-24T13:00")


def test_the_next_due_moment_is_the_earliest_of_all(agent: Any) -> None:
    assert firing.next_due(now=NOON) is None
    plan(agent, cron="0 14 * * *")
    plan(agent, interval=60)
    assert firing.next_due(now=NOON) == at("12:01")


def test_jitter_delays_by_the_amount_the_timetable_says(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *", jitter=600)
    due = schedule.next_due_at
    assert due is not None
    assert at("13:00") <= due < at("13:10")
    assert fire(due - timedelta(milliseconds=1)) == 0
    assert fire(due) == 1
    assert runs_of(schedule)[0].due_at == due


def test_a_one_off_fires_once_and_ends(agent: Any) -> None:
    schedule = plan(agent, run_at="2026-11-23T13:00:00Z")
    assert fire(at("13:00")) == 1
    assert again(schedule).ended_at == at("13:00")
    assert again(schedule).next_due_at is None


def test_max_runs_ends_the_schedule(agent: Any) -> None:
    schedule = plan(agent, interval=60, max_runs=2, overlap="allow_all")
    for minute in (1, 2, 3):
        fire(NOON + minute * timedelta(minutes=1))
    assert len(runs_of(schedule)) == 2
    assert again(schedule).ended_at == at("12:02")


@pytest.mark.parametrize(
    ("policy", "states"),
    [
        ("skip", {"120100": "run", "120200": "skipped", "120300": "skipped"}),
        ("buffer_one", {"120100": "run", "120200": "planned", "120300": "skipped"}),
        ("buffer_all", {"120100": "run", "120200": "planned", "120300": "planned"}),
        ("allow_all", {"120100": "run", "120200": "run", "120300": "run"}),
        # queued runs have nothing to stop, so their place is taken at once
        ("cancel_other", {"120100": "run", "120200": "run", "120300": "run"}),
        ("terminate_other", {"120100": "run", "120200": "run", "120300": "run"}),
    ],
)
def test_what_happens_while_the_run_before_is_live(
    agent: Any, policy: str, states: dict[str, str]
) -> None:
    schedule = plan(agent, interval=60, overlap=policy)
    for minute in (1, 2, 3):
        fire(NOON + minute * timedelta(minutes=1))
    assert outcomes(schedule) == states
    live = [r for r in runs_of(schedule) if r.state == "queued"]
    assert len(live) == (3 if policy == "allow_all" else 1)


@pytest.mark.parametrize("policy", ["cancel_other", "terminate_other"])
def test_a_running_one_is_stopped_and_its_successor_waits(
    agent: Any, policy: str
) -> None:
    schedule = plan(agent, interval=60, overlap=policy)
    fire(at("12:01"))
    first = start_running(runs_of(schedule)[0])
    fire(at("12:02"))
    first.refresh_from_db()
    assert first.state == "stopping"
    assert first.stop_grace_s == (0 if policy == "terminate_other" else 10)
    assert outcomes(schedule) == {"120100": "run", "120200": "planned"}
    fire(at("12:03"))
    assert outcomes(schedule)["120200"] == "skipped"
    runs.move(first, RunState.CANCELLED, actor="node:a", now=NOON)
    assert fire(at("12:03:10")) == 1
    assert outcomes(schedule)["120300"] == "run"


def test_buffered_ones_start_in_order_as_the_runs_before_end(agent: Any) -> None:
    schedule = plan(agent, interval=60, overlap="buffer_all")
    for minute in (1, 2, 3):
        fire(NOON + minute * timedelta(minutes=1))
    end_runs(schedule, at("12:03:01"))
    assert fire(at("12:03:02")) == 1
    assert outcomes(schedule) == {
        "120100": "run",
        "120200": "run",
        "120300": "planned",
    }
    assert runs_of(schedule)[-1].due_at == at("12:02")


def test_one_skip_says_why_and_is_in_the_journal(agent: Any) -> None:
    schedule = plan(agent, interval=60)
    fire(at("12:01"))
    fire(at("12:02"))
    row = Occurrence.objects.get(schedule=schedule, state="skipped")
    assert row.reason == "the run before it was still going"
    event = Event.objects.get(kind="occurrence.skipped")
    assert event.data["occurrence"] == f"{schedule.uid}@20261123T120200Z"


def test_a_month_of_seconds_leaves_one_gap_and_one_run(agent: Any) -> None:
    schedule = plan(agent, cron="* * * * * *")
    back = NOON + timedelta(days=30)
    assert fire(back) == 1
    (gap,) = gaps_of(schedule)
    assert gap.count == 30 * 86_400 - 1
    assert (gap.outcome, gap.counted_exactly) == ("missed", True)
    assert (gap.from_at, gap.to_at) == (NOON + SECOND, back - SECOND)
    assert runs_of(schedule)[0].due_at == back
    assert again(schedule).next_due_at == back + SECOND


@pytest.mark.parametrize(
    ("missed", "runs", "missing"), [("skip", 0, 3), ("latest", 1, 2), ("all", 3, 0)]
)
def test_after_a_sleep_the_policy_decides(
    agent: Any, missed: str, runs: int, missing: int
) -> None:
    schedule = plan(agent, cron="0 * * * *", missed=missed, catchup_window=14400)
    schedules.change(again(schedule), {"overlap": "allow_all"}, actor=PERSON, now=NOON)
    fire(at("15:30"))
    assert len(runs_of(schedule)) == runs
    assert sum(gap.count for gap in gaps_of(schedule)) == missing
    assert again(schedule).next_due_at == at("16:00")


def test_one_missed_instant_is_one_row(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *", missed="skip")
    fire(at("13:30"))
    row = Occurrence.objects.get(schedule=schedule)
    assert (row.state, row.key) == ("missed", "20261123T130000Z")
    assert "did not run then" in row.reason


def test_what_is_older_than_the_catch_up_window_is_missed(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *", catchup_window=600)
    assert fire(at("13:30")) == 0
    assert outcomes(schedule) == {"130000": "missed"}


def test_what_is_only_a_little_late_runs_as_usual(agent: Any) -> None:
    schedule = plan(agent, interval=10, overlap="allow_all", missed="skip")
    assert fire(at("12:00:30")) == 3
    assert gaps_of(schedule) == []
    assert len(runs_of(schedule)) == 3


def test_a_disabled_agent_skips_with_a_reason(agent: Any) -> None:
    from agents.models import Agent

    schedule = plan(agent, interval=60)
    Agent.objects.update(enabled=False)
    fire(at("12:03"))
    fire(at("12:05"))
    (gap,) = gaps_of(schedule)
    assert (gap.count, gap.outcome) == (5, "skipped")
    assert gap.reason == "the agent is disabled"


def test_a_pause_with_an_end_is_over_by_itself(agent: Any) -> None:
    schedule = plan(agent, interval=60)
    schedules.pause(
        schedule, actor=PERSON, now=NOON, note="disk swap", until=at("12:30:30")
    )
    assert firing.next_due(now=NOON) == at("12:30:30")
    fire(at("12:30:30"))
    (gap,) = gaps_of(schedule)
    assert (gap.count, gap.reason) == (30, "paused by user:test: disk swap")
    assert again(schedule).paused_at is None
    assert fire(at("12:31")) == 1


def test_a_moved_occurrence_fires_at_its_new_time_only(agent: Any) -> None:
    schedule = plan(agent, cron="0 13 * * *")
    Occurrence.objects.create(
        schedule=schedule,
        key="20261123T130000Z",
        nominal_at=at("13:00"),
        due_at=at("15:00"),
        state="planned",
        moved=True,
        timeout_s=90.0,
    )
    Schedule.objects.update(next_due_at=at("13:00"))
    assert fire(at("13:00")) == 0
    assert again(schedule).next_due_at == at("15:00")
    assert fire(at("15:00")) == 1
    (run,) = runs_of(schedule)
    assert (run.due_at, run.timeout_s) == (at("15:00"), 90.0)
    assert run.occurrence_key.endswith("@20261123T130000Z")


def test_a_schedule_that_cannot_be_read_stops_no_other(agent: Any) -> None:
    bad, good = plan(agent, interval=60), plan(agent, interval=60)
    Schedule.objects.filter(pk=bad.pk).update(rule="sixty")
    assert fire(at("12:01")) == 1
    assert len(runs_of(good)) == 1
    assert again(bad).next_due_at == at("13:01")
    event = Event.objects.get(kind="schedule.stuck")
    assert "sixty" in event.data["reason"]


def test_a_persistent_agent_never_runs_twice(make_agent: Any) -> None:
    agent = make_agent("monitor", kind="persistent")
    schedule = plan(agent, interval=60, overlap="allow_all")
    fire(at("12:01"))
    fire(at("12:02"))
    assert outcomes(schedule) == {"120100": "run", "120200": "skipped"}


def test_many_due_at_once_are_decided_in_a_few_statements(agent: Any) -> None:
    for _ in range(30):
        plan(agent, interval=60, overlap="allow_all")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert fire(at("12:01")) == 30
    writes = [q for q in asked if not q["sql"].startswith(("SAVEPOINT", "RELEASE"))]
    assert len(writes) <= 10 + 30  # one statement moves each cursor


def test_one_due_schedule_costs_few_statements(agent: Any) -> None:
    plan(agent, cron="0 13 * * *")
    window_bars.kept()  # asked once a second, however much fires
    with CaptureQueriesContext(connection) as asked:
        fire(at("13:00"))
    said = [q["sql"] for q in asked]
    real = [s for s in said if not s.startswith(("SAVEPOINT", "RELEASE", "BEGIN"))]
    assert len(real) <= 8, "\n".join(real)
