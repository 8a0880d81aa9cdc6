"""The timeline: what ran, what runs and what is to come."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest

from agents.models import Event
from scheduling import durations, planned, runs, schedules
from scheduling.models import Occurrence, Schedule
from scheduling.run_state import RunState as S
from scheduling.timeline import fitting, timeline
from scheduling.triggers.base import key_of
from tests.conftest import NOON
from tests.db.timeline_fixtures import DAY, HOUR, past_runs, plan

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("no_memory_of_other_tests"),
]
ITEM_KEYS = {
    *("id", "run", "occurrence", "schedule", "row", "agent", "start", "end", "state"),
    *("moved", "repeating", "movable", "why", "priority", "progress", "end_movable"),
    *("start_by_at", "finish_by_at", "at_risk", "deadline_missed", "deadline_version"),
    "end_p95",
}


def look(
    start: datetime = NOON - DAY,
    end: datetime = NOON + DAY,
    *,
    group="agent",
    q="",
    most=5000,
    now=NOON,
) -> dict:
    return timeline(start, end, group, q, most, now)


def instants(answer: dict) -> list:
    return sorted(item["start"] for item in answer["items"])


# --- what is to come ---------------------------------------------------------


def test_planned_instants_are_items_until_the_end_of_the_window(agent) -> None:
    schedule = plan(agent, cron="0 * * * *")
    answer = look(NOON, NOON + 3 * HOUR)
    assert instants(answer) == [NOON + HOUR, NOON + 2 * HOUR]
    item = answer["items"][0]
    assert set(item) == {*ITEM_KEYS, "graph"}
    assert item["id"] == f"{schedule.uid}@{key_of(NOON + HOUR)}"
    assert (item["state"], item["movable"], item["repeating"]) == (
        "planned",
        True,
        True,
    )
    assert item["end"] - item["start"] == timedelta(seconds=60)


def test_the_length_of_a_planned_run_is_the_median_of_past_ones(agent, node) -> None:
    for took_s in (10, 400, 20):
        past_runs(agent, node, 1, took_s=took_s)
    past_runs(agent, node, 5, took_s=9000, state=S.FAILED)
    plan(agent, cron="0 * * * *")
    items = look(NOON, NOON + HOUR + timedelta(seconds=1))["items"]
    (item,) = [item for item in items if item["state"] == "planned"]
    assert item["end"] - item["start"] == timedelta(seconds=20)


def test_a_one_off_does_not_repeat(agent) -> None:
    plan(agent, run_at="2026-11-23T15:00:00Z")
    (item,) = look()["items"]
    assert (item["start"], item["repeating"]) == (NOON + 3 * HOUR, False)


def test_a_moved_occurrence_stands_where_it_was_moved_to(agent, node) -> None:
    schedule = plan(agent, cron="0 * * * *")
    Occurrence.objects.create(
        schedule=schedule,
        key=key_of(NOON + HOUR),
        nominal_at=NOON + HOUR,
        due_at=NOON + timedelta(minutes=90),
        state="planned",
        moved=True,
        node=node,
    )
    answer = look(NOON, NOON + 3 * HOUR, group="node")
    assert instants(answer) == [NOON + timedelta(minutes=90), NOON + 2 * HOUR]
    moved = next(i for i in answer["items"] if i["moved"])
    assert (moved["row"], moved["id"]) == ("n1", f"{schedule.uid}@20261123T130000Z")


@pytest.mark.parametrize("state", ["skipped", "run", "missed"])
def test_an_instant_decided_before_its_time_is_not_planned(agent, state) -> None:
    schedule = plan(agent, cron="0 * * * *")
    Occurrence.objects.create(
        schedule=schedule,
        key=key_of(NOON + HOUR),
        nominal_at=NOON + HOUR,
        due_at=NOON,
        state=state,
    )
    assert instants(look(NOON, NOON + 3 * HOUR)) == [NOON + 2 * HOUR]


def test_paused_disabled_and_used_up_schedules_plan_nothing(agent, make_agent) -> None:
    paused, until, off, spent = (plan(agent, cron="0 * * * *") for _ in range(4))
    Schedule.objects.filter(pk=paused.pk).update(paused_at=NOON)
    Schedule.objects.filter(pk=until.pk).update(
        paused_at=NOON, paused_until=NOON + 5 * HOUR
    )
    Schedule.objects.filter(pk=off.pk).update(enabled=False)
    Schedule.objects.filter(pk=spent.pk).update(max_runs=3, fired_count=2)
    answer = look(NOON, NOON + 6 * HOUR)
    assert {(i["schedule"], i["start"]) for i in answer["items"]} == {
        (until.uid, NOON + 5 * HOUR),
        (spent.uid, NOON + HOUR),
    }


def test_a_disabled_or_retired_agent_plans_nothing(make_agent) -> None:
    for name, change in (("off", {"enabled": False}), ("old", {"retired_at": NOON})):
        agent = make_agent(name)
        plan(agent, cron="0 * * * *")
        type(agent).objects.filter(pk=agent.pk).update(**change)
    assert look()["items"] == []


def test_a_schedule_by_the_second_is_one_band_and_quick(agent) -> None:
    schedule = plan(agent, cron="* * * * * *")
    began = time.perf_counter()
    answer = look(NOON, NOON + 30 * DAY)
    assert time.perf_counter() - began < 1.0
    assert answer["items"] == []
    assert answer["capped"]
    (band,) = answer["bands"]
    assert (band["count"], band["schedule"]) == (30 * 86_400 - 1, schedule.uid)


def test_asking_again_a_little_later_answers_the_same(agent) -> None:
    plan(agent, cron="*/7 * * * *", timezone="Europe/Berlin")
    for minutes in (0, 1, 30, 5, 90):
        start = NOON + timedelta(minutes=minutes)
        warm = instants(look(start, start + 12 * HOUR))
        planned._walks.clear()
        assert instants(look(start, start + 12 * HOUR)) == warm


def test_a_changed_rule_is_seen_at_once(agent) -> None:
    schedule = plan(agent, cron="0 * * * *")
    look()
    schedules.change(schedule, {"cron": "30 * * * *"}, actor="user:test", now=NOON)
    assert instants(look(NOON, NOON + HOUR)) == [NOON + timedelta(minutes=30)]


def test_a_past_window_plans_nothing(agent) -> None:
    plan(agent, cron="* * * * *")
    assert look(NOON - 2 * DAY, NOON - DAY)["items"] == []


# --- what ran and runs -------------------------------------------------------


def test_a_run_is_drawn_from_its_start_to_its_end(agent, node) -> None:
    past_runs(agent, node, 1, took_s=90)
    (item,) = look()["items"]
    assert set(item) == {*ITEM_KEYS, "graph_run"}
    assert datetime.fromisoformat(item["start"]) == NOON - HOUR
    assert datetime.fromisoformat(item["end"]) == NOON - HOUR + timedelta(seconds=90)
    assert (item["state"], item["movable"], item["why"]) == ("succeeded", False, None)


def test_a_run_too_short_to_see_gets_a_second(agent, node) -> None:
    past_runs(agent, node, 1, took_s=0.01)
    (item,) = look()["items"]
    assert item["end"] == NOON - HOUR + timedelta(seconds=1)


def test_only_what_overlaps_the_window_is_there(agent, node) -> None:
    past_runs(agent, node, 48, took_s=1800)
    answer = look(NOON - 10.25 * HOUR, NOON - 8.5 * HOUR)
    begins = {datetime.fromisoformat(i["start"]) for i in answer["items"]}
    assert begins == {NOON - 9 * HOUR, NOON - 10 * HOUR}


def test_a_waiting_run_says_why_and_when_it_may_end(agent, node) -> None:
    first, second = runs.request_many(agent, 2, actor="user:test", now=NOON - HOUR)
    runs.note_waits({first.pk: ("busy:cpu", "n1 has too little free CPU")}, now=NOON)
    items = {item["id"]: item for item in look()["items"]}
    assert items[first.uid]["why"] == "n1 has too little free CPU"
    assert items[second.uid]["why"] == "n1 has too little free CPU"
    assert items[second.uid]["end"] == NOON + timedelta(seconds=60)


def test_a_running_run_reaches_to_its_expected_end(agent, node) -> None:
    past_runs(agent, node, 3, took_s=600)
    run = runs.request_run(agent, actor="user:test", now=NOON)
    move = {"actor": "x", "now": NOON}
    run = runs.move(run, S.ADMITTED, **move, node_id=node.pk, admitted_at=NOON)
    run = runs.move(run, S.STARTING, **move)
    run = runs.move(run, S.RUNNING, **move, started_at=NOON)
    later = NOON + timedelta(minutes=2)
    items = {item["id"]: item for item in look(now=later)["items"]}
    assert items[run.uid]["end"] == NOON + timedelta(minutes=10)
    durations.forget()
    much_later = NOON + HOUR
    items = {item["id"]: item for item in look(now=much_later)["items"]}
    assert items[run.uid]["end"] == much_later


# --- rows, groups, bounds ----------------------------------------------------


def test_every_agent_has_a_row_with_its_status(make_agent, node) -> None:
    make_agent("idle")
    past_runs(make_agent("broken", priority="high"), node, 1, state=S.FAILED)
    rows = {row["id"]: row for row in look()["rows"]}
    assert rows["idle"]["status"] == "sleeping"
    assert rows["broken"] == {
        "id": "broken",
        "title": "broken",
        "status": "crashed",
        "priority": "high",
        "kind": "ephemeral",
        "exec_env": "subprocess",
    }


@pytest.mark.parametrize(
    ("group", "row"),
    [("agent", "worker"), ("node", "n1"), ("priority", "high"), ("tag", "nightly")],
)
def test_runs_can_be_grouped(make_agent, node, group, row) -> None:
    past_runs(make_agent(priority="high", tags=["nightly"]), node, 2)
    answer = look(group=group)
    assert {item["row"] for item in answer["items"]} == {row}
    assert row in {r["id"] for r in answer["rows"]}


@pytest.mark.parametrize(
    ("q", "found"),
    [("alph", {"alpha"}), ("DAILY", {"beta"}), ("a daily", {"beta"}), ("%", set())],
)
def test_agents_are_found_by_id_and_tag(make_agent, node, q, found) -> None:
    for agent in (make_agent("alpha"), make_agent("beta", tags=["daily"])):
        past_runs(agent, node, 1)
        plan(agent, cron="0 13 * * *")
    answer = look(q=q)
    assert {row["id"] for row in answer["rows"]} == found
    assert {item["agent"] for item in answer["items"]} == found


def test_the_busiest_rows_become_bands_that_count_all(make_agent, node) -> None:
    busy, calm = make_agent("busy"), make_agent("calm")
    past_runs(busy, node, 300, every=timedelta(minutes=4))
    past_runs(busy, node, 40, every=timedelta(minutes=30), state=S.FAILED)
    past_runs(calm, node, 20)
    answer = look(most=100)
    assert {item["row"] for item in answer["items"]} == {"calm"}
    assert answer["capped"]
    bands = [band for band in answer["bands"] if band["row"] == "busy"]
    assert sum(band["count"] for band in bands) == 340
    assert sum(band["failed"] for band in bands) == 40
    assert all(NOON - DAY <= b["from"] < b["to"] <= NOON + DAY for b in bands)


@pytest.mark.parametrize("group", ["agent", "node", "priority", "tag"])
def test_what_runs_now_is_shown_even_where_the_rest_is_a_band(
    make_agent, node, group
) -> None:
    busy = make_agent("busy")
    past_runs(busy, node, 300, every=timedelta(minutes=4))
    run = runs.request_run(busy, actor="user:test", now=NOON)
    runs.move(run, S.ADMITTED, actor="x", now=NOON, node_id=node.pk)
    answer = look(most=50, group=group)
    assert run.uid in [item["id"] for item in answer["items"]]


def test_fitting_takes_the_smallest_and_never_more_than_the_room() -> None:
    sizes = [(5, "e"), (1, "a"), (3, "c"), (3, "b"), (100, "z")]
    assert fitting(sizes, room=7, most=50) == {"a", "b", "c"}
    assert fitting(sizes, room=1000, most=50) == {"a", "b", "c", "e"}
    assert fitting([], room=10, most=10) == set()


def test_the_version_is_that_of_the_journal(agent) -> None:
    assert look()["version"] == Event.objects.latest("pk").pk


# --- over HTTP ---------------------------------------------------------------


def test_the_timeline_over_http(viewer, agent) -> None:
    plan(agent, cron="0 * * * *")
    answer = viewer.get(
        "/api/v1/timeline/?from=2026-11-23T12:30:00Z&to=2026-11-23T13:30:00Z"
    )
    assert answer.status_code == 200
    assert set(answer.json()) == {
        "rows",
        "items",
        "bands",
        "capped",
        "version",
        "windows",
        "passed_over",
        "now",
    }


@pytest.mark.parametrize(
    "query",
    [
        "from=2020-01-01T00:00:00Z&to=2999-01-01T00:00:00Z",
        "from=2027-02-01T00:00:00Z&to=2027-01-01T00:00:00Z",
        "from=yesterday",
        "group=owner",
        "max_items=0",
        "max_items=1000000",
        "unknown=1",
        "q=a&q=b",
        "q=" + "a" * 500,
        "q=a%00b",
        "q=%ff%fe",
    ],
)
def test_a_window_that_makes_no_sense_is_refused(viewer, query) -> None:
    assert viewer.get(f"/api/v1/timeline/?{query}").status_code == 400
