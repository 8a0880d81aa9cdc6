"""What fires a schedule that no clock fires: each event once, by the usual rules."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agents.errors import NotAllowedNow
from agents.models import Event
from scheduling import inbound, schedules, triggered
from scheduling.models import Occurrence, Run, Schedule
from scheduling.webhook_models import Hook
from tests.db.schedule_fixtures import NOON, PERSON, again, fire, plan, runs_of

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


@pytest.fixture
def hook(db: None) -> Hook:
    return inbound.create("deploy", actor=PERSON, now=NOON)[0]


@pytest.fixture
def schedule(agent: Any, hook: Hook) -> Schedule:
    return plan(agent, event={"webhook": "deploy"}, overlap="allow_all")


def happen(schedule: Schedule, key: str = "push-1", **more: Any) -> bool:
    return triggered.fire(schedule, key, now=NOON, **more)


def row_of(schedule: Schedule, key: str = "push-1") -> Occurrence:
    return Occurrence.objects.get(schedule=schedule, key=key)


def test_the_same_event_a_hundred_times_is_one_run(schedule: Schedule) -> None:
    taken = [happen(schedule) for _ in range(100)]
    fire(NOON)
    later = [happen(schedule) for _ in range(100)]
    fire(NOON + SECOND)
    assert taken.count(True) == 1
    assert not any(later)
    assert len(runs_of(schedule)) == 1


def test_what_an_event_brings_lies_over_the_schedules_own_params(
    agent: Any, hook: Hook
) -> None:
    own = {"branch": "main", "dry": True}
    schedule = plan(agent, event={"webhook": "deploy"}, params=own)
    happen(schedule, params={"branch": "fix"}, reason="somebody pushed")
    fire(NOON)
    (run,) = runs_of(schedule)
    assert run.params == {"branch": "fix", "dry": True}
    assert run.reason == "somebody pushed"


def test_events_of_a_pause_are_skipped_with_its_reason(schedule: Schedule) -> None:
    schedules.pause(schedule, actor=PERSON, now=NOON, note="broken")
    assert happen(schedule)
    assert fire(NOON + SECOND) == 0
    schedules.resume(again(schedule), actor=PERSON, now=NOON + 2 * SECOND)
    row = row_of(schedule)
    assert row.state == "skipped"
    assert "paused by user:test: broken" in row.reason
    assert happen(schedule, "push-2")
    assert fire(NOON + 3 * SECOND) == 1


def test_an_event_of_a_disabled_agent_is_skipped(
    schedule: Schedule, agent: Any
) -> None:
    agent.enabled = False
    agent.save()
    assert happen(schedule)
    fire(NOON)
    row = row_of(schedule)
    assert (row.state, row.reason) == ("skipped", "the agent is disabled")
    assert runs_of(schedule) == []


def test_an_ended_or_disabled_schedule_takes_no_event(
    schedule: Schedule, agent: Any
) -> None:
    off = plan(agent, event={"webhook": "deploy"}, enabled=False)
    schedules.end(schedule, actor=PERSON, now=NOON)
    assert not happen(schedule)
    assert not happen(off)
    assert not Occurrence.objects.exists()


def test_overlap_holds_for_events(agent: Any, hook: Hook) -> None:
    schedule = plan(agent, event={"webhook": "deploy"}, overlap="skip")
    for number in range(3):
        happen(schedule, f"push-{number}")
    fire(NOON)
    assert len(runs_of(schedule)) == 1
    states = [row_of(schedule, f"push-{n}").state for n in range(3)]
    assert sorted(states) == ["run", "skipped", "skipped"]


def test_max_runs_ends_a_schedule_of_events(agent: Any, hook: Hook) -> None:
    schedule = plan(agent, event={"webhook": "deploy"}, max_runs=2, overlap="allow_all")
    for number in range(4):
        happen(schedule, f"push-{number}")
    fire(NOON)
    assert len(runs_of(schedule)) == 2
    assert again(schedule).ended_at is not None
    reasons = Occurrence.objects.filter(state="skipped").values_list(
        "reason", flat=True
    )
    assert set(reasons) == {"all 2 runs were used"}


def test_a_schedule_is_fired_by_hand_to_try_it(
    editor: Any, operator: Any, schedule: Schedule
) -> None:
    url = f"/api/v1/schedules/{schedule.uid}/fire/"
    assert operator.post(url, {}, format="json").status_code == 403
    answer = editor.post(url, {"params": {"x": 1}}, format="json")
    assert answer.status_code == 202, answer.content
    fire(row_of(schedule, answer.json()["occurrence"].partition("@")[2]).due_at)
    (run,) = runs_of(schedule)
    assert run.params == {"x": 1}
    assert run.reason == "fired by user:editor"
    assert Event.objects.filter(kind="schedule.fired").count() == 1


def test_what_runs_by_the_clock_is_not_fired_by_hand(editor: Any, agent: Any) -> None:
    timed = plan(agent, cron="0 9 * * *")
    answer = editor.post(f"/api/v1/schedules/{timed.uid}/fire/", {}, format="json")
    assert answer.status_code == 409
    with pytest.raises(NotAllowedNow):
        triggered.fire_by_hand(timed, None, actor=PERSON, now=NOON)


def test_bad_params_of_a_try_are_refused_by_name(
    editor: Any, schedule: Schedule
) -> None:
    url = f"/api/v1/schedules/{schedule.uid}/fire/"
    answer = editor.post(url, {"params": [1]}, format="json")
    assert answer.status_code == 400
    assert "params" in answer.json()["fields"]
    assert not Run.objects.exists()
    assert not Occurrence.objects.exists()


def test_a_key_is_readable_where_it_can_be() -> None:
    assert triggered.key_for("run", "abc") == "run-abc"
    odd = triggered.key_for("hook", "a/b c")
    assert odd.startswith("hook.")
    assert len(odd) <= 80
    assert triggered.key_for("file", "x" * 200) != triggered.key_for("file", "x" * 201)
