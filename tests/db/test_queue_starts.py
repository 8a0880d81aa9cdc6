"""When those that wait will start: about, and by when at the latest."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from scheduling import forecasts, queue_view, why_reader
from scheduling.models import Run
from scheduling.run_state import RunState
from tests.conftest import NOON
from tests.db.test_why import make_node, queued, running

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def took(agent: Any, *minutes: float) -> None:
    """Successes of the agent, oldest first."""
    for length in minutes:
        run = queued(agent, minutes_ago=90)
        Run.objects.filter(pk=run.pk).update(
            state=RunState.SUCCEEDED,
            started_at=NOON - 90 * MINUTE,
            ended_at=NOON - (90 - length) * MINUTE,
        )
    forecasts.forget()


def line(at: datetime = NOON) -> list[dict[str, Any]]:
    seen = why_reader.read(at)
    slow = seen.slow().forecast().starts
    starts = {
        pk: (begins, slow.get(pk)) for pk, begins in seen.forecast().starts.items()
    }
    return list(queue_view.queue(10, at, starts=starts)["items"])


def test_what_waits_behind_an_uneven_agent_starts_about_then_and_by_when(
    make_agent: Any,
) -> None:
    node = make_node()
    busy = make_agent("busy", cpu=1.5)
    took(busy, *[10] * 8, 30, 30)
    running(busy, node, minutes_ago=4)
    queued(make_agent("a", cpu=1))
    [entry] = line()
    assert entry["expected_start"] == "2026-11-23T12:06:00Z"
    assert entry["expected_start_p90"] == "2026-11-23T12:26:00Z"


def test_where_lengths_are_always_the_same_both_are_one_instant(
    make_agent: Any,
) -> None:
    node = make_node()
    busy = make_agent("busy", cpu=1.5)
    took(busy, *[10] * 6)
    running(busy, node, minutes_ago=4)
    queued(make_agent("a", cpu=1))
    [entry] = line()
    assert entry["expected_start"] == entry["expected_start_p90"]


def test_the_queue_tells_it_and_asks_the_database_nothing_more_for_each_run(
    viewer: Any, make_agent: Any
) -> None:
    make_node(heartbeat_at=NOON)
    agent = make_agent("a", cpu=1)
    viewer.get("/api/v1/queue/")  # what is read once is read
    counts = []
    for _ in range(2):
        for _ in range(5):
            queued(agent)
        forecasts.forget()
        with CaptureQueriesContext(
            connection,
        ) as seen:
            items = viewer.get("/api/v1/queue/").json()["items"]
        counts.append(len(seen))
    assert len(items) == 10
    assert {"expected_start", "expected_start_p90"} <= items[0].keys()
    assert counts[1] <= counts[0]  # twice as many wait


def test_the_slow_outlook_reads_nothing(make_agent: Any) -> None:
    node = make_node()
    busy = make_agent("busy", cpu=1.5)
    took(busy, *[10] * 6)
    running(busy, node)
    seen = why_reader.read(NOON)
    with CaptureQueriesContext(connection) as asked:
        seen.slow()
    assert len(asked) == 0
