"""What would become of the next hours, were schedules otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from agents.models import Event, Node
from scheduling import nodes
from scheduling.models import Schedule, Undo
from tests.db.schedule_fixtures import NOON, plan

pytestmark = pytest.mark.django_db
GB = 10**9


@pytest.fixture(autouse=True)
def node(db: None) -> Node:
    facts = {
        "cpu_millis": 2000,
        "memory_bytes": 10 * GB,
        "environments": ["subprocess"],
        "labels": {},
    }
    nodes.register("n1", now=NOON, facts=facts)
    return Node.objects.get()


@pytest.fixture
def ask(client_of: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("scheduling.placement_api.now", lambda: NOON)

    def send(**body: Any) -> Any:
        return client_of("viewer").post("/api/v1/plan/what-if/", body, format="json")

    return send


def ahead(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200, answer.json()
    found: dict[str, Any] = answer.json()["ahead"]
    return found


@pytest.fixture
def large(make_agent: Any) -> Schedule:
    return plan(make_agent("large", cpu=2), cron="0 13 * * *")


def test_one_more_schedule_makes_another_start_later(
    large: Schedule, make_agent: Any, ask: Any
) -> None:
    make_agent("urgent", cpu=2, priority="critical")
    told = ahead(ask(schedules=[{"add": {"agent": "urgent", "cron": "0 13 * * *"}}]))
    assert told["before"]["late"] == 0
    assert (told["after"]["starts"], told["after"]["late"]) == (2, 1)
    found = {c["agent"]: c for c in told["changes"]}
    assert found["urgent"]["what"] == "new"
    assert (found["large"]["what"], found["large"]["by_s"]) == ("later", 60.0)
    assert found["large"]["due_at"] == "2026-11-23T13:00:00Z"
    assert found["large"]["schedule"] == large.uid


def test_nothing_of_it_is_kept(large: Schedule, make_agent: Any, ask: Any) -> None:
    events = Event.objects.count()
    ask(
        schedules=[
            {"add": {"agent": "large", "interval": "10m"}},
            {"id": large.uid, "change": {"cron": "0 14 * * *"}},
            {"id": large.uid, "remove": True},
        ]
    )
    (row,) = Schedule.objects.all()
    assert (row.rule, row.ended_at, row.version) == ("0 13 * * *", None, 1)
    assert (Event.objects.count(), Undo.objects.count()) == (events, 0)


def test_one_that_is_taken_away_lets_another_start_earlier(
    large: Schedule, make_agent: Any, ask: Any
) -> None:
    urgent = plan(make_agent("urgent", cpu=2, priority="critical"), cron="0 13 * * *")
    told = ahead(ask(schedules=[{"id": urgent.uid, "remove": True}]))
    found = {c["agent"]: (c["what"], c["by_s"]) for c in told["changes"]}
    assert found == {"urgent": ("gone", None), "large": ("earlier", -60.0)}


def test_the_fullest_moment_is_told(make_agent: Any, ask: Any) -> None:
    small = plan(make_agent("small", cpu=1), cron="0 13 * * *")
    plan(make_agent("other", cpu=1), cron="30 13 * * *")
    told = ahead(ask(schedules=[{"id": small.uid, "change": {"cron": "30 13 * * *"}}]))
    assert told["before"]["peak"]["cpu_millis"] == 1000
    assert told["after"]["peak"]["cpu_millis"] == 2000
    assert told["after"]["peak"]["slots"] == 2


def test_one_that_no_node_can_run_is_infeasible(make_agent: Any, ask: Any) -> None:
    make_agent("huge", cpu=64)
    told = ahead(ask(schedules=[{"add": {"agent": "huge", "cron": "0 13 * * *"}}]))
    assert [c["what"] for c in told["changes"]] == ["infeasible"]
    assert (told["after"]["never"], told["after"]["starts"]) == (1, 0)


def test_schedules_and_a_larger_node_are_answered_together(
    large: Schedule, make_agent: Any, ask: Any
) -> None:
    make_agent("urgent", cpu=2, priority="critical")
    added = {"add": {"agent": "urgent", "cron": "0 13 * * *"}}
    told = ahead(ask(schedules=[added], nodes=[{"name": "n1", "cpu": 4}]))
    assert [c["what"] for c in told["changes"]] == ["new"]
    assert told["after"]["late"] == 0


def test_only_the_hours_asked_for_are_looked_at(large: Schedule, ask: Any) -> None:
    assert ahead(ask(schedules=[], hours=1))["before"]["planned"] == 0
    told = ahead(ask(schedules=[], hours=48))
    assert (told["before"]["planned"], told["changes"]) == (2, [])
    assert "ahead" not in ask(hours=48).json()


def test_one_with_very_many_instants_is_left_out_and_said(
    make_agent: Any, ask: Any
) -> None:
    plan(make_agent("often"), interval="10s")
    assert ahead(ask(schedules=[]))["capped"] is True


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("hours", {"hours": 0}),
        ("hours", {"hours": "6"}),
        ("schedules", {"schedules": {}}),
        ("schedules", {"schedules": [7]}),
        ("schedules", {"schedules": [{"id": "nope", "remove": True}]}),
        ("schedules", {"schedules": [{"add": {"agent": "large", "cron": "x"}}]}),
        ("schedules", {"schedules": [{"add": {}, "remove": True}]}),
    ],
)
def test_what_cannot_be_asked_names_its_field(
    large: Schedule, ask: Any, field: str, body: dict[str, Any]
) -> None:
    refused = ask(**body)
    assert refused.status_code == 400, refused.json()
    assert field in refused.json()["fields"]
    assert Schedule.objects.count() == 1
