"""The capacity strip: how much of the fleet is held, and will be."""

from __future__ import annotations

import pytest

from scheduling.capacity import capacity
from tests.conftest import NOON
from tests.db.timeline_fixtures import HOUR, past_runs, plan

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.usefixtures("no_memory_of_other_tests"),
]


def test_capacity_is_the_share_held_on_average_in_each_step(agent, node) -> None:
    past_runs(agent, node, 1, took_s=1800)  # 11:00 to 11:30: 1 of 4 cores, 2 of 8 GB
    strip = capacity(NOON - 2 * HOUR, NOON, 3600, NOON)
    assert strip["cpu"] == [0.0, 0.125]
    assert strip["memory"] == [0.0, 0.125]
    assert strip["gpu"] == [0.0, 0.0]
    assert strip["times"] == [(NOON - n * HOUR).timestamp() for n in (2, 1)]


def test_capacity_to_come_is_that_of_what_is_planned(make_agent, node) -> None:
    agent = make_agent(cpu=2, memory="4GB")
    plan(agent, cron="0 * * * *")
    strip = capacity(NOON, NOON + 2 * HOUR, 60, NOON)
    assert [n for n, value in enumerate(strip["cpu"]) if value] == [60]
    assert (strip["cpu"][60], strip["memory"][60]) == (0.5, 0.5)


def test_a_schedule_by_the_second_is_spread_over_the_strip(make_agent, node) -> None:
    plan(make_agent(cpu=1), cron="* * * * * *")
    strip = capacity(NOON, NOON + HOUR, 600, NOON)
    assert all(value > 0 for value in strip["slots"])


@pytest.mark.parametrize(
    "query", ["step_s=0", "step_s=x", "from=2027-01-01", "to=2020-01-01T00:00:00Z"]
)
def test_a_strip_that_makes_no_sense_is_refused(viewer, query) -> None:
    assert viewer.get(f"/api/v1/capacity/?{query}").status_code == 400


def test_a_strip_has_a_bounded_number_of_steps(viewer, db) -> None:
    window = "from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z"
    body = viewer.get(f"/api/v1/capacity/?{window}&step_s=1").json()
    assert set(body) == {"times", "cpu", "memory", "gpu", "slots"}
    assert len(body["times"]) <= 2000
