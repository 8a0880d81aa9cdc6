"""Deadlines on a real database: told once before they are missed, once when they are,
and what follows.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Event, Node
from agents.registration import definition_of
from scheduling import (
    agent_scheduler,
    deadlines,
    endings,
    forecasts,
    lease,
    nodes,
    queue_moves,
    runs,
    spawning,
)
from scheduling.deadline_models import MissedDeadlines
from scheduling.endings import Close, seen_of
from scheduling.models import Occurrence, Run
from scheduling.run_state import RunState as S
from tests.conftest import NOON
from tests.db.schedule_fixtures import again, fire, plan, runs_of

pytestmark = pytest.mark.django_db
API = "/api/v1"
FACTS = {
    "cpu_millis": 64_000,
    "memory_bytes": 64 * 10**9,
    "environments": ["subprocess"],
    "boot_id": "b",
}


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def spawn(agent: Any, **how: Any) -> Run:
    body = {"agent": agent.agent_id, **how}
    return spawning.spawn(body, actor="t", now=NOON)[0]


def node_pk() -> int:
    return Node.objects.get(name="n1").pk


def begin(run: Run, now: datetime = NOON) -> Run:
    nodes.register("n1", now=NOON, facts=FACTS)
    run = runs.move(run, S.ADMITTED, actor="t", now=now, node_id=node_pk())
    run = runs.move(run, S.STARTING, actor="t", now=now)
    return runs.move(run, S.RUNNING, actor="t", now=now, started_at=now)


def end(run: Run, now: datetime, to: S = S.SUCCEEDED) -> None:
    row = Run.objects.values_list(*endings.SEEN).get(pk=run.pk)
    endings.close_many(
        [Close(seen_of(row), to, "", {"ended_at": now})], actor="t", now=now
    )


def told(run: Run) -> list[tuple[str, str]]:
    events = Event.objects.filter(subject=f"run:{run.uid}", kind__contains="deadline")
    rows = events.order_by("id").values_list("kind", "data")
    return [(kind.removeprefix("run."), data["deadline"]) for kind, data in rows]


def fresh(run: Run) -> Run:
    return Run.objects.get(pk=run.pk)


# --- where they come from --------------------------------------------------------


def test_a_run_without_deadlines_has_none_and_costs_the_watch_one_query(
    make_agent: Callable[..., Any],
) -> None:
    run = spawn(make_agent())
    assert (run.start_by_at, run.finish_by_at, run.deadline) == (None, None, None)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        deadlines.keep(now=after(9999))
    assert len(asked) == 1


def test_the_watch_reads_its_index_alone(make_agent: Callable[..., Any]) -> None:
    if connection.vendor == "postgresql":  # which reads so small a table whole
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    said = deadlines.watched().order_by("deadline_at")[:500].explain()
    assert "run_watched" in said


def test_a_schedule_goes_over_its_agent_and_a_spawn_over_both(
    make_agent: Callable[..., Any],
) -> None:
    agent = make_agent(start_by="5m", finish_by="2h", on_missed_start="cancel")
    schedule = plan(agent, cron="0 13 * * *", finish_by="1h")
    assert fire(after(3600)) == 1
    (run,) = runs_of(schedule)
    assert run.start_by_at == after(3600 + 300)
    assert run.finish_by_at == after(7200)
    assert run.deadline["on_missed_start"] == "cancel"
    one = spawn(agent, finish_by="10m", start_by="2026-11-23T12:01:00Z")
    assert (one.start_by_at, one.finish_by_at) == (after(60), after(600))


def test_a_definition_with_deadlines_comes_back_as_it_was_sent(
    make_agent: Callable[..., Any],
) -> None:
    said = {"start_by": 900.0, "finish_by": 7200.0, "on_missed_finish": "stop"}
    agent = make_agent(**said)
    assert said.items() <= definition_of(agent.spec).items()


def test_a_change_of_a_schedule_keeps_and_drops_its_deadlines(
    client_of: Callable[..., Any], make_agent: Callable[..., Any]
) -> None:
    client = client_of("editor")
    body = {"agent": make_agent().agent_id, "cron": "0 13 * * *", "finish_by": "1h"}
    made = client.post(f"{API}/schedules/", body)
    assert made.json()["finish_by"] == 3600
    url = f"{API}/schedules/{made.json()['id']}/"
    kept = client.patch(url, {"jitter": 5}).json()
    assert kept["finish_by"] == 3600
    gone = client.patch(url, {"finish_by": None})
    assert gone.json()["finish_by"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"start_by": "soon"}, "start_by"),
        ({"finish_by": 0}, "finish_by"),
        ({"finish_by": True}, "finish_by"),
        ({"finish_by": "2026-11-23T11:00:00Z"}, "finish_by"),
        ({"finish_by": "2026-99-23T11:00:00Z"}, "finish_by"),
        ({"start_by": "2h", "finish_by": "1h"}, "finish_by"),
        ({"on_missed_start": "explode"}, "on_missed_start"),
        ({"on_missed_finish": ["stop"]}, "on_missed_finish"),
    ],
)
def test_a_bad_deadline_of_a_spawn_is_refused_by_its_name(
    client_of: Callable[..., Any], make_agent: Callable[..., Any], body: Any, field: str
) -> None:
    sent = {"agent": make_agent().agent_id, **body}
    answer = client_of("operator").post(f"{API}/spawn/", sent)
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["fields"]) == [field]
    assert not Run.objects.exists()


def test_a_persistent_agent_has_no_end_to_finish_by(
    client_of: Callable[..., Any], make_agent: Callable[..., Any]
) -> None:
    serves = make_agent("serves", kind="persistent")
    for path, also in (("spawn/", {}), ("schedules/", {"cron": "0 13 * * *"})):
        body = {"agent": serves.agent_id, "finish_by": "1h", **also}
        answer = client_of("editor").post(f"{API}/{path}", body)
        assert answer.status_code == 400
        assert list(answer.json()["fields"]) == ["finish_by"]


# --- alerts ----------------------------------------------------------------------


def with_history(agent: Any, seconds: float, count: int = 6) -> None:
    """It succeeded so often before, and took so long each time."""
    for _ in range(count):
        run = begin(runs.request_run(agent, actor="t", now=NOON), after(-seconds))
        end(run, NOON)
    forecasts.forget()


def test_a_run_at_risk_is_told_once_before_its_deadline_and_once_when_it_is_missed(
    make_agent: Callable[..., Any],
) -> None:
    agent = make_agent()
    with_history(agent, 900)
    run = begin(spawn(agent, finish_by="10m"))
    for second in (1, 2, 3):
        deadlines.keep(now=after(second))
    deadlines.forget()  # as another leader would
    deadlines.keep(now=after(4))
    assert told(run) == [("deadline_at_risk", "finish")]
    assert "passes finish_by 12:10:00 UTC" in fresh(run).deadline["risk"]
    for second in (600, 601, 700):
        deadlines.keep(now=after(second))
    assert told(run)[1:] == [("deadline_missed", "finish")]
    assert fresh(run).state == S.RUNNING
    assert MissedDeadlines.objects.get(agent=agent).count == 1
    assert fresh(run).deadline_at is None


def test_a_run_in_time_is_told_nothing_and_is_watched_no_more(
    make_agent: Callable[..., Any],
) -> None:
    agent = make_agent()
    with_history(agent, 30)
    run = begin(spawn(agent, start_by="1m", finish_by="10m"))
    deadlines.keep(now=after(30))
    assert fresh(run).deadline_at == after(600)
    end(run, after(40))
    deadlines.keep(now=after(9999))
    assert told(run) == []
    assert fresh(run).deadline_at is None


def test_an_end_that_nobody_watched_is_told_as_missed(
    make_agent: Callable[..., Any],
) -> None:
    run = begin(spawn(make_agent(), finish_by="10m"))
    end(run, after(700))
    deadlines.keep(now=after(800))
    assert told(run) == [("deadline_missed", "finish")]


def test_a_held_run_is_at_risk_and_no_longer_once_it_is_released(
    make_agent: Callable[..., Any],
) -> None:
    run = spawn(make_agent(), start_by="10m")
    queue_moves.hold(run, note="", actor="t", now=NOON)
    deadlines.keep(now=after(1))
    assert told(run) == [("deadline_at_risk", "start")]
    queue_moves.release(fresh(run), actor="t", now=NOON)
    deadlines.keep(now=after(2))
    assert "risk" not in fresh(run).deadline


# --- what follows ----------------------------------------------------------------


def test_a_run_that_missed_its_start_is_cancelled_where_that_is_the_policy(
    make_agent: Callable[..., Any],
) -> None:
    agent = make_agent()
    late = spawn(agent, start_by="1m")
    gone = spawn(agent, start_by="1m", on_missed_start="cancel")
    deadlines.keep(now=after(61))
    assert fresh(late).state == S.QUEUED
    assert fresh(gone).state == S.CANCELLED
    assert fresh(gone).reason == "deadline: not started by 12:01:00 UTC"
    assert fresh(gone).reason_code == "deadline"


def test_a_run_that_missed_its_finish_is_stopped_with_its_grace(
    make_agent: Callable[..., Any],
) -> None:
    agent = make_agent(finish_by="10m", on_missed_finish="stop", grace_period="7s")
    run = begin(spawn(agent))
    deadlines.keep(now=after(599))
    assert fresh(run).state == S.RUNNING
    deadlines.keep(now=after(600))
    stopped = fresh(run)
    assert (stopped.state, stopped.stop_grace_s) == (S.STOPPING, 7.0)
    assert stopped.reason == "deadline: not finished by 12:10:00 UTC"


def test_the_watch_is_one_of_the_leaders_chores(make_agent: Callable[..., Any]) -> None:
    run = spawn(make_agent(), start_by="1m", on_missed_start="cancel")
    token = lease.acquire("test", ttl_s=60)
    assert token is not None
    agent_scheduler.housekeep(token, now=after(61))
    assert fresh(run).state == S.CANCELLED


def test_an_attempt_after_a_failure_keeps_the_same_deadline(
    make_agent: Callable[..., Any],
) -> None:
    agent = make_agent(finish_by="10m", start_by="1m", retries={"limit": 1})
    run = begin(spawn(agent))
    end(run, after(300), S.FAILED)
    second = Run.objects.get(retry_of=run)
    assert second.finish_by_at == after(600)
    assert second.start_by_at is None
    runs.stop(second, actor="t", now=after(301))
    third = runs.retry(fresh(second), actor="t", now=after(1000))
    assert third.finish_by_at == after(1600)


def test_news_of_a_deadline_fire_a_schedule_once(
    make_agent: Callable[..., Any],
) -> None:
    slow, pager = make_agent("slow"), make_agent("pager")
    event = {
        "run": {"agent": "slow", "states": ["deadline_at_risk", "deadline_missed"]}
    }
    schedule = plan(pager, event=event)
    run = spawn(slow, start_by="1m")
    for second in (50, 51, 61, 62):
        deadlines.keep(now=after(second))
    keys = Occurrence.objects.filter(schedule=schedule).order_by("id")
    assert [row.params["event"]["state"] for row in keys] == [
        "deadline_at_risk",
        "deadline_missed",
    ]
    assert keys[0].params["event"]["run"] == run.uid
    assert again(schedule).kind == "event"


# --- what is told ----------------------------------------------------------------


def test_lists_queue_and_metrics_tell_of_deadlines(
    client_of: Callable[..., Any], make_agent: Callable[..., Any]
) -> None:
    from monitor import metrics

    run = spawn(make_agent(), start_by="1m", finish_by="1h")
    queue_moves.hold(run, note="", actor="t", now=NOON)
    deadlines.keep(now=after(1))
    client = client_of("viewer")
    one = client.get(f"{API}/runs/{run.uid}/").json()
    assert one["start_by_at"] == "2026-11-23T12:01:00Z"
    assert one["finish_by_at"] == "2026-11-23T13:00:00Z"
    assert one["at_risk"].endswith("finish_by 13:00:00 UTC")
    (held,) = client.get(f"{API}/queue/").json()["held"]
    assert held["at_risk"] == one["at_risk"]
    scraped = {m.name: m for m in metrics.deadlines()}
    assert scraped["kos_deadlines_at_risk"].samples[0].value == 1
    deadlines.keep(now=after(61))
    (sample,) = {m.name: m for m in metrics.deadlines()}["kos_deadlines_missed"].samples
    assert (sample.labels, sample.value) == ({"agent": run.agent.agent_id}, 1)
