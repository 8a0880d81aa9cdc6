"""What fires what, as the page of triggers reads it, and schedules tried by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.http import iso
from agents.models import Event, Node
from scheduling import inbound, nodes, runs, schedules, windows
from scheduling.models import Occurrence, Run, Schedule
from scheduling.sensor_models import Sensor
from tests.db.schedule_fixtures import NOON, PERSON, fire, plan, runs_of

pytestmark = pytest.mark.django_db
TRIGGERS = "/api/v1/triggers/"
GB = 10**9
DAY = timedelta(days=1)


@pytest.fixture
def node(db: None) -> Node:
    facts = {"cpu_millis": 2000, "memory_bytes": 10 * GB}
    nodes.register("n1", now=NOON, facts={**facts, "environments": ["subprocess"]})
    return Node.objects.get()


@pytest.fixture
def hooked(agent: Any) -> Schedule:
    inbound.create("deploy", actor=PERSON, now=NOON)
    return plan(agent, event={"webhook": "deploy"})


@pytest.fixture
def daily(agent: Any) -> Schedule:
    return plan(agent, cron="0 9 * * *", params={"depth": 3}, priority="high")


def one(client: Any, schedule: Schedule, query: str = "") -> Any:
    items = client.get(TRIGGERS + query).json()["items"]
    return next(item for item in items if item["id"] == schedule.uid)


def try_it(client: Any, schedule: Schedule, **body: Any) -> Any:
    path = f"/api/v1/schedules/{schedule.uid}/test-fire/"
    return client.post(path, body, format="json")


# -- the list ------------------------------------------------------------


def test_every_schedule_stands_in_its_family_with_its_rule_in_words(
    viewer: Any, hooked: Schedule, daily: Schedule
) -> None:
    told = viewer.get(TRIGGERS).json()
    assert told["counts"] == {"condition": 0, "event": 1, "sun": 0, "clock": 1}
    assert one(viewer, hooked)["waits_for"] == {"webhook": "deploy"}
    assert one(viewer, hooked)["next_due_at"] is None
    clock = one(viewer, daily)
    assert clock["rule_text"] == "At 09:00 (UTC)"
    assert clock["next_due_at"] == "2026-11-24T09:00:00Z"
    assert clock["last"] is None


def test_the_last_firing_is_told_with_its_run(viewer: Any, daily: Schedule) -> None:
    due = daily.next_due_at
    assert due is not None
    fire(due)
    (run,) = runs_of(daily)
    last = one(viewer, daily)["last"]
    assert (last["outcome"], last["run"], last["state"]) == ("run", run.uid, "queued")
    assert last["at"] == "2026-11-24T09:00:00Z"


def test_a_later_moved_instant_that_has_not_come_is_not_the_last_one(
    viewer: Any, daily: Schedule
) -> None:
    made = {"due_at": NOON.replace(year=2027), "state": "planned"}
    Occurrence.objects.create(schedule=daily, key="later", **made)
    assert one(viewer, daily)["last"] is None


def test_a_condition_tells_its_values_and_whether_it_is_true(
    viewer: Any, agent: Any
) -> None:
    given = {"source": "rest", "type": "number", "created_at": NOON}
    Sensor.objects.create(name="heat", value=31, at=NOON, created_by="t", **given)
    warm = plan(agent, condition={"when": "sensors.heat > 30", "hold": "5m"})
    kept = {"armed": True, "true_since": "2026-11-23T12:00:00Z"}
    Schedule.objects.filter(pk=warm.pk).update(trigger_state=kept)
    told = one(viewer, warm)["condition"]
    assert (told["level"], told["values"]) == (True, {"sensors.heat": 31})
    assert told["holds_until"] == "2026-11-23T12:05:00Z"
    Sensor.objects.update(value=None, at=None)
    assert one(viewer, warm)["condition"]["level"] is None
    assert "heat" in one(viewer, warm)["condition"]["error"]


def test_the_list_is_filtered_and_paged(
    viewer: Any, agent: Any, hooked: Schedule, daily: Schedule
) -> None:
    schedules.pause(daily, actor=PERSON, now=NOON, note="holidays", until=None)
    assert one(viewer, daily, "?state=paused")["paused"]["note"] == "holidays"
    on = viewer.get(f"{TRIGGERS}?state=on").json()["items"]
    assert [item["id"] for item in on] == [hooked.uid]
    first = viewer.get(f"{TRIGGERS}?limit=1").json()
    second = viewer.get(f"{TRIGGERS}?limit=1&cursor={first['next']}").json()
    assert {first["items"][0]["id"], second["items"][0]["id"]} == {
        hooked.uid,
        daily.uid,
    }
    assert second["next"] is None
    assert viewer.get(f"{TRIGGERS}?family=moon").json()["fields"].keys() == {"family"}


def test_who_starts_agents_besides_is_told_once_each(
    viewer: Any, agent: Any, daily: Schedule
) -> None:
    runs.request_many(agent, 3, actor="token:ci", now=NOON)
    assert daily.next_due_at is not None
    fire(daily.next_due_at)
    (asked,) = viewer.get(TRIGGERS).json()["asked"]
    assert (asked["by"], asked["count"]) == ("token:ci", 3)


def test_the_list_asks_the_database_as_often_for_many_as_for_one(
    viewer: Any, make_agent: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        plan(make_agent(f"a{number}"), cron="0 9 * * *")
    with django_assert_max_num_queries(12):
        assert len(viewer.get(TRIGGERS).json()["items"]) == 12


# -- tried by hand ------------------------------------------------------------


def test_a_dry_run_tells_where_it_would_start_and_starts_nothing(
    operator: Any, node: Node, daily: Schedule
) -> None:
    before = Event.objects.count()
    told = try_it(operator, daily, dry_run=True, params={"depth": 5}).json()
    assert (told["outcome"], told["node"]) == ("starts", "n1")
    assert told["params"] == {"depth": 5}
    assert told["priority"] == "high"
    assert not Run.objects.exists()
    assert Event.objects.count() == before


def test_a_dry_run_tells_why_it_would_wait(
    operator: Any, node: Node, make_agent: Any
) -> None:
    told = try_it(
        operator, plan(make_agent(cpu=64), cron="0 9 * * *"), dry_run=True
    ).json()
    assert told["outcome"] == "waits"
    assert "CPU" in told["text"]


def test_a_dry_run_knows_what_holds_for_a_firing(
    operator: Any, node: Node, hooked: Schedule, agent: Any
) -> None:
    schedules.pause(hooked, actor=PERSON, now=NOON, note="", until=None)
    assert try_it(operator, hooked, dry_run=True).json()["outcome"] == "waits"
    schedules.resume(hooked, actor=PERSON, now=NOON)
    today = datetime.now(UTC)
    freeze = {"name": "freeze", "kind": "blackout", "policy": "skip"}
    freeze |= {"from": iso(today - DAY) or "", "to": iso(today + DAY) or ""}
    windows.create(freeze, actor=PERSON, now=NOON)
    told = try_it(operator, hooked, dry_run=True).json()
    assert told["outcome"] == "skipped"
    assert "freeze" in told["text"]


def test_a_test_fire_of_a_clock_starts_its_agent_with_the_schedules_params(
    operator: Any, daily: Schedule
) -> None:
    answer = try_it(operator, daily)
    assert answer.status_code == 202
    run = Run.objects.get(uid=answer.json()["run"])
    assert (run.params, run.schedule) == ({"depth": 3}, None)
    assert Event.objects.get(kind="schedule.fired").data["run"] == run.uid
    assert schedules.find(daily.uid).next_due_at == daily.next_due_at


def test_a_test_fire_of_a_trigger_is_a_firing_of_it(
    operator: Any, hooked: Schedule
) -> None:
    occurrence = try_it(operator, hooked).json()["occurrence"]
    fire(NOON.replace(year=2100))
    (run,) = runs_of(hooked)
    assert run.occurrence_key == occurrence


def test_what_cannot_start_is_refused_with_the_reason(
    operator: Any, viewer: Any, daily: Schedule, agent: Any
) -> None:
    assert try_it(viewer, daily).status_code == 403
    assert try_it(operator, daily, dry_run="yes").json()["fields"].keys() == {"dry_run"}
    type(agent).objects.update(enabled=False)
    assert try_it(operator, daily).status_code == 409
    assert try_it(operator, daily, dry_run=True).json()["outcome"] == "refused"
    assert not Run.objects.exists()
