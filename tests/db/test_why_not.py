"""`occurrences/{id}/why/`: what was passed over says what would have had to differ."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduling import runs, why_not
from scheduling.models import Gap, Occurrence
from tests.conftest import NOON
from tests.db.schedule_fixtures import plan

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def occurrence(schedule, state: str, reason: str, **also) -> str:
    key = "20261123T090000Z"
    Occurrence.objects.create(
        schedule=schedule,
        key=key,
        nominal_at=NOON - 180 * MINUTE,
        due_at=NOON - 180 * MINUTE,
        state=state,
        reason=reason,
        **also,
    )
    return f"{schedule.uid}@{key}"


@pytest.fixture
def schedule(agent):
    return plan(agent, now=NOON - 600 * MINUTE, cron="0 * * * *", timezone="UTC")


@pytest.mark.parametrize(
    ("state", "reason", "kind", "change"),
    [
        (
            *("skipped", "the run before it was still going", "overlap"),
            {"schedule": {"overlap": "buffer_one"}},
        ),
        (
            "skipped",
            "all 3 runs were used",
            "max_runs",
            {"schedule": {"max_runs": None}},
        ),
        ("skipped", "the agent is disabled", "disabled", {"agent": {"enabled": True}}),
        ("skipped", "paused by user:eva", "paused", {"resume": True}),
        (
            *("missed", "the scheduler did not run then", "missed"),
            {"schedule": {"missed": "all"}},
        ),
        ("skipped", "the schedule was changed", "changed", {}),
    ],
)
def test_a_passed_over_occurrence_says_what_would_have_had_to_differ(
    viewer, schedule, state, reason, kind, change
) -> None:
    uid = occurrence(schedule, state, reason)
    body = viewer.get(f"/api/v1/occurrences/{uid}/why/").json()
    assert (body["state"], body["code"]) == (state, kind)
    assert reason in body["text"]
    told = body["smallest_change"]
    assert {k: v for k, v in told.items() if k not in ("kind", "text")} == change


def test_an_occurrence_in_a_gap_one_to_come_and_one_that_never_was(
    viewer, schedule
) -> None:
    Gap.objects.create(
        schedule=schedule,
        from_at=NOON - 240 * MINUTE,
        to_at=NOON - 120 * MINUTE,
        count=3,
        outcome="missed",
        reason="the scheduler did not run then",
        recorded_at=NOON,
    )
    gone = why_not.why_not(f"{schedule.uid}@20261123T090000Z", now=NOON)
    assert gone["state"] == "missed"
    ahead = why_not.why_not(f"{schedule.uid}@20261125T090000Z", now=NOON)
    assert ahead["expected_start"] == "2026-11-25T09:00:00Z"
    for nowhere in ("20261123T090100Z", "nonsense", ""):
        url = f"/api/v1/occurrences/{schedule.uid}@{nowhere}/why/"
        assert viewer.get(url).status_code == 404


def test_an_occurrence_that_ran_answers_for_its_run(make_agent, schedule, node) -> None:
    uid = occurrence(schedule, "run", "")
    row = Occurrence.objects.get()
    run = runs.request_run(
        schedule.agent, actor="x", now=NOON, occurrence=row, schedule=schedule
    )
    body = why_not.why_not(uid, now=NOON)
    assert (body["run"], body["code"]) == (run.uid, "starting")
