"""Schedules that start gangs: several runs at each instant, together or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from agents.errors import Invalid, NotAllowedNow
from scheduling import agent_scheduler, backfills, nodes, schedules
from scheduling.models import Run, Schedule
from scheduling.planner.admission import Admit
from scheduling.run_state import RunState
from tests.db.schedule_fixtures import (
    NOON,
    PERSON,
    again,
    at,
    end_runs,
    fire,
    outcomes,
    plan,
    runs_of,
)

pytestmark = pytest.mark.django_db
GB = 10**9


def register(cores: int) -> None:
    facts = {
        "cpu_millis": cores * 1000,
        "memory_bytes": 10 * GB,
        "environments": ["subprocess"],
    }
    nodes.register("n1", now=at("13:00"), facts=facts)


@pytest.fixture
def trio(make_agent: Any) -> Schedule:
    return plan(make_agent("trainer", cpu=1), cron="0 * * * *", gang=3)


def admitted() -> int:
    plan_now = agent_scheduler.make_plan(now=at("13:00"), per_class=10)
    return sum(isinstance(decision, Admit) for decision in plan_now)


@pytest.mark.parametrize(("cores", "starts"), [(2, 0), (3, 3)])
def test_all_of_an_instant_start_together_or_nobody(
    trio: Schedule, cores: int, starts: int
) -> None:
    register(cores)
    fire(at("13:00"))
    found = runs_of(trio)
    assert (len(found), len({run.gang for run in found})) == (3, 1)
    assert found[0].gang
    assert admitted() == starts


def test_an_instant_has_its_gang_once(trio: Schedule) -> None:
    fire(at("13:00")), fire(at("13:00:05"))
    assert len(runs_of(trio)) == 3
    assert outcomes(trio) == {"130000": "run"}


def test_the_next_waits_for_the_last_of_them(trio: Schedule) -> None:
    fire(at("13:00"))
    first = runs_of(trio)[0]
    Run.objects.filter(pk=first.pk).update(state=RunState.CANCELLED, ended_at=NOON)
    fire(at("14:00"))
    assert outcomes(trio)["140000"] == "skipped"
    end_runs(trio, at("14:30"))
    fire(at("15:00"))
    assert len({run.gang for run in runs_of(trio)}) == 2


def test_all_of_them_tell_their_occurrence(trio: Schedule, viewer: Any) -> None:
    fire(at("13:00"))
    found = viewer.get("/api/v1/runs/").json()["items"]
    occurrence = f"{trio.uid}@20261123T130000Z"
    assert [run["occurrence"] for run in found] == [occurrence] * 3
    assert viewer.get(f"/api/v1/occurrences/{occurrence}/why/").status_code == 200


def test_its_size_is_changed_and_taken_back(trio: Schedule, editor: Any) -> None:
    url = f"/api/v1/schedules/{trio.uid}/"
    changed = editor.patch(url, {"gang": 2}).json()
    assert (changed["gang"], again(trio).gang) == (2, 2)
    editor.post(f"/api/v1/undo/{changed['undo_token']}/", {})
    assert again(trio).gang == 3
    assert editor.patch(url, {"gang": None}).json()["gang"] is None
    fire(at("13:00"))
    (run,) = runs_of(trio)
    assert run.gang == ""


@pytest.mark.parametrize("size", [1, 0, 1001, 2.5, "3", True])
def test_a_size_that_is_none_is_refused(make_agent: Any, size: object) -> None:
    with pytest.raises(Invalid) as told:
        plan(make_agent("a"), cron="0 13 * * *", gang=size)
    assert "gang" in told.value.fields


def test_one_that_never_ends_has_no_gangs(make_agent: Any, trio: Schedule) -> None:
    with pytest.raises(Invalid, match="only one run of it"):
        plan(make_agent("db", kind="persistent"), cron="0 13 * * *", gang=2)
    wish = backfills.parse_wish(
        {"from": "2026-11-20T00:00:00Z", "to": "2026-11-21T00:00:00Z"}
    )
    with pytest.raises(NotAllowedNow):
        backfills.look(trio, wish)


def test_a_graph_is_started_once(make_agent: Any) -> None:
    raw = {"graph": "night", "cron": "0 13 * * *", "gang": 2}
    with pytest.raises(Invalid) as told:
        schedules.create(None, raw, actor=PERSON, now=NOON)
    assert "gang" in told.value.fields
