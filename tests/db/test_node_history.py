"""A node's use over time: kept by the minute, made coarser, and forgotten at last."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Node
from scheduling import node_history, runs
from scheduling.models import NodeSample, Run
from scheduling.node_history import RANGES, Keeper
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def node() -> Node:
    return Node.objects.create(
        name="n1", state="up", cpu_millis=4000, memory_bytes=8 * 10**9
    )


def usage(cpu: float, **more: Any) -> dict[str, Any]:
    return {"cpu_fraction": cpu, "memory_fraction": 0.5, "gpus": [], **more}


def fed(keeper: Keeper, *samples: tuple[timedelta, float]) -> Keeper:
    for after, cpu in samples:
        keeper.take("n1", usage(cpu), now=NOON + after)
    return keeper


def line(name: str, range_: str = "1h", now: Any = NOON) -> list[float | None]:
    return node_history.read("n1", RANGES[range_], now)["lines"].get(name, [])


def test_a_minute_is_kept_as_the_mean_of_its_samples(node):
    fed(Keeper(), (0 * SECOND, 0.2), (20 * SECOND, 0.6), (65 * SECOND, 0.9))
    assert NodeSample.objects.get().seen["cpu_fraction"] == 0.4
    shown = line("cpu_fraction", now=NOON + 65 * SECOND)
    assert shown[-2:] == [0.4, None]
    assert len(shown) == 60


def test_samples_within_a_minute_ask_the_database_nothing(node):
    with CaptureQueriesContext(connection) as asked:
        fed(Keeper(), *((n * SECOND, 0.5) for n in range(59)))
    assert len(asked) == 0


def test_what_runs_hold_is_kept_beside_what_was_measured(node, agent):
    (run,) = runs.request_many(agent, 1, actor="x", now=NOON)
    Run.objects.filter(pk=run.pk).update(state="running", node=node, cpu_millis=1000)
    fed(Keeper(), (0 * MINUTE, 0.1), (1 * MINUTE, 0.1))
    seen = NodeSample.objects.get().seen
    assert (seen["runs"], seen["held_cpu_fraction"]) == (1, 0.25)


def test_the_busiest_gpu_is_the_one_that_is_drawn(node):
    found = node_history.numbers(
        {"gpus": [{"busy_fraction": 0.2}, {"busy_fraction": 0.7}, {"id": "x"}]}
    )
    assert found == {"gpu_fraction": 0.7}


def test_ten_minutes_become_one_row_even_when_the_process_began_anew(node):
    fed(Keeper(), *((n * MINUTE, n / 100) for n in range(8)))
    fed(Keeper(), (9 * MINUTE, 0.5), (10 * MINUTE, 0.5), (11 * MINUTE, 0.5))
    coarse = NodeSample.objects.get(step_s=node_history.COARSE_S)
    assert coarse.at == NOON
    assert coarse.seen["cpu_fraction"] == round((sum(range(7)) / 100 + 0.5) / 8, 4)


def test_a_week_is_bounded_and_what_is_older_goes(node):
    old = {"node": node, "seen": {"cpu_fraction": 0.1}}
    for hours, step_s in ((200, 60), (190, 600), (150, 600)):
        NodeSample.objects.create(at=NOON - hours * HOUR, step_s=step_s, **old)
    fed(Keeper(), (9 * MINUTE, 0.5), (10 * MINUTE, 0.5))
    left = NodeSample.objects.filter(at__lt=NOON).values_list("at", "step_s")
    assert list(left) == [(NOON - 150 * HOUR, 600)]


def test_a_week_reads_coarse_rows_and_ends_with_the_minutes_of_today(node):
    NodeSample.objects.create(
        node=node, at=NOON - 48 * HOUR, step_s=600, seen={"cpu_fraction": 0.3}
    )
    fed(Keeper(), (0 * MINUTE, 0.8), (1 * MINUTE, 0.8))
    shown = line("cpu_fraction", "7d", NOON + 2 * MINUTE)
    assert [value for value in shown if value is not None] == [0.3, 0.8]
    assert (len(shown), shown[-1]) == (336, 0.8)


def test_over_http_each_range_has_one_value_a_step(node, viewer):
    for name, steps in (("1h", 60), ("24h", 288), ("7d", 336)):
        told = viewer.get(f"/api/v1/nodes/n1/history/?range={name}").json()
        assert (len(told["times"]), told["lines"]) == (steps, {})


def test_a_range_that_is_none_is_refused_by_name(node, viewer):
    refused = viewer.get("/api/v1/nodes/n1/history/?range=1y")
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["range"])
    assert viewer.get("/api/v1/nodes/nope/history/").status_code == 404
