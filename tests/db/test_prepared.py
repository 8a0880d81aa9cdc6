"""A prepared query answers what the ORM would, objects and all."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents import agent_registry
from agents.models import Agent
from agents.prepared import Prepared
from scheduling import firing_facts, schedules
from scheduling.models import Schedule

pytestmark = pytest.mark.django_db
BY_ID = Prepared(Agent, "current", rest="WHERE t0.agent_id = %s")


def agent(agent_id: str, now) -> Agent:
    raw = {"agent_id": agent_id, "exec_env": "subprocess", "entry_point": "/bin/true"}
    return agent_registry.register(raw, actor="t", now=now, may_unsandboxed=True)


def values(row) -> dict[str, object]:
    return {f.attname: getattr(row, f.attname) for f in row._meta.concrete_fields}


def test_every_column_is_what_the_orm_reads(now) -> None:
    agent("a", now)
    ours = BY_ID.first("a")
    theirs = Agent.objects.select_related("current").get(agent_id="a")
    assert ours is not None
    assert values(ours) == values(theirs)
    assert values(ours.current) == values(theirs.current)


def test_what_is_followed_costs_no_further_query(now) -> None:
    agent("a", now)
    schedules.create(None, {"agent": "a", "cron": "* * * * *"}, actor="t", now=now)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        (due,) = firing_facts.due_schedules(now + timedelta(minutes=2), 10)
        assert due.agent.agent_id == "a"
        assert due.agent.current.spec["entry_point"] == "/bin/true"
    assert len(queries) == 1
    theirs = Schedule.objects.get()
    assert values(due) == values(theirs)


def test_nothing_is_found_without_a_row(now) -> None:
    assert BY_ID.first("nobody") is None


def test_a_key_that_points_nowhere_is_none(now) -> None:
    Agent.objects.create(
        agent_id="bare",
        kind="ephemeral",
        exec_env="subprocess",
        priority=2,
        created_at=now,
        updated_at=now,
    )
    found = BY_ID.first("bare")
    assert found is not None
    assert found.current is None


def test_a_row_can_be_saved_again(now) -> None:
    agent("a", now)
    found = BY_ID.first("a")
    assert found is not None
    found.held = True
    found.save(update_fields=["held"])
    assert Agent.objects.get().held
