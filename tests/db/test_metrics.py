"""The metrics: read from rows, each ended run counted once."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from prometheus_client import generate_latest
from prometheus_client.core import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from agents import sealing
from agents.models import Node
from monitor import metrics, resource_manager
from scheduling import lease, runs
from scheduling.models import Run
from scheduling.run_state import RunState as S
from tests.conftest import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def scrape():
    """Values by (sample name, labels), from one collector across scrapes."""
    registry = CollectorRegistry()
    registry.register(metrics.KosCollector())

    def read() -> dict[tuple[str, frozenset], float]:
        with time_machine.travel(NOON + timedelta(minutes=1), tick=False):
            text = generate_latest(registry).decode()
        families = text_string_to_metric_families(text)
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    return read


def key(name: str, **labels: str) -> tuple[str, frozenset]:
    return name, frozenset(labels.items())


@pytest.fixture
def node() -> Node:
    return Node.objects.create(
        name="n1", cpu_millis=4000, memory_bytes=8 * 10**9, heartbeat_at=NOON
    )


def finish(run: Run, node: Node, state: S, *, wait_s: float, took_s: float) -> None:
    """Take a queued run through its life."""
    started = NOON + timedelta(seconds=wait_s)
    ended = started + timedelta(seconds=took_s)
    move = {"actor": "node:n1", "now": ended}
    for to, also in (
        (S.ADMITTED, {"node_id": node.pk, "admitted_at": NOON}),
        (S.STARTING, {"starting_at": NOON}),
        (S.RUNNING, {"started_at": started}),
        (state, {"ended_at": ended, "cpu_seconds": 0.5}),
    ):
        run = runs.move(run, to, **move, **also)


def queue(agent, count: int = 1) -> list[Run]:
    return runs.request_many(agent, count, actor="user:test", now=NOON)


def test_every_metric_is_in_the_list_and_has_its_prefix(scrape) -> None:
    registry = CollectorRegistry()
    registry.register(metrics.KosCollector())
    told = {family.name for family in registry.collect()}
    assert told == set(metrics.METRICS)
    assert all(name.startswith("kos_") for name in told)
    assert not any(name.endswith(("_ms", "_millis", "_total")) for name in told)


def test_runs_are_counted_by_state_and_priority(scrape, make_agent, node) -> None:
    urgent, usual = make_agent("urgent", priority="critical"), make_agent("usual")
    queue(urgent, 3)
    first, *_ = queue(usual, 2)
    runs.move(first, S.ADMITTED, actor="x", now=NOON, node_id=node.pk)
    seen = scrape()
    assert seen[key("kos_runs", state="queued")] == 4
    assert seen[key("kos_runs", state="admitted")] == 1
    assert seen[key("kos_queue_depth", priority="critical")] == 3
    assert seen[key("kos_queue_oldest_seconds")] == 60
    assert seen[key("kos_node_runs", node="n1")] == 1
    assert seen[key("kos_node_reserved_cores", node="n1")] == 0.1


def test_an_ended_run_is_counted_once_over_many_scrapes(scrape, agent, node) -> None:
    first, second, third = queue(agent, 3)
    finish(first, node, S.SUCCEEDED, wait_s=0.02, took_s=2)
    assert scrape()[key("kos_runs_ended_total", state="succeeded")] == 1
    finish(second, node, S.SUCCEEDED, wait_s=0.3, took_s=40)
    finish(third, node, S.FAILED, wait_s=0.3, took_s=1)
    for _ in range(3):
        seen = scrape()
    assert seen[key("kos_runs_ended_total", state="succeeded")] == 2
    assert seen[key("kos_agent_crashes_total", agent="worker")] == 1
    assert seen[key("kos_run_start_delay_seconds_count")] == 3
    assert seen[key("kos_run_start_delay_seconds_bucket", le="0.025")] == 1
    assert seen[key("kos_run_duration_seconds_sum", exec_env="subprocess")] == 43
    assert seen[key("kos_run_cpu_seconds_total")] == 1.5


def test_a_second_process_counts_the_same(scrape, agent, node) -> None:
    for run in queue(agent, 5):
        finish(run, node, S.SUCCEEDED, wait_s=1, took_s=1)
    scrape()
    other = metrics.RunTotals()
    other.catch_up()
    assert other.ended["succeeded"] == 5


def test_a_restart_is_told_by_agent(scrape, agent, node) -> None:
    (run,) = queue(agent)
    finish(run, node, S.LOST, wait_s=1, took_s=1)
    run.refresh_from_db()
    again = runs.retry(run, actor="scheduler", now=NOON)
    finish(again, node, S.SUCCEEDED, wait_s=1, took_s=1)
    assert scrape()[key("kos_agent_restarts_total", agent="worker")] == 1


def test_the_leader_and_the_journal_are_told(scrape, agent) -> None:
    lease.acquire("host-a:1", ttl_s=60)
    sealing.seal_pending(NOON, b"key")
    queue(agent)
    seen = scrape()
    assert seen[key("kos_leader", holder="host-a:1")] == 1
    assert seen[key("kos_events_total")] >= 1
    assert seen[key("kos_events_unsealed")] == 1


def test_a_name_cannot_forge_a_metric(scrape) -> None:
    name = '\r\n# TYPE x counter\nx 1\n"'
    Node.objects.create(name=name, cpu_millis=1, memory_bytes=1)
    seen = scrape()
    assert seen[key("kos_node_up", node=name)] == 1
    assert key("x") not in seen


def test_the_view_answers_in_prometheus_text(viewer, agent) -> None:
    answer = viewer.get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain")
    assert b"kos_runs{" in answer.content


def test_metrics_are_not_open(anonymous) -> None:
    assert anonymous.get("/metrics").status_code == 401


# --- the machine -------------------------------------------------------------


def test_the_machine_has_what_it_has() -> None:
    cpu_millis, memory_bytes, gpus = resource_manager.detect_capacity()
    assert cpu_millis >= 100
    assert memory_bytes >= 10**8
    assert gpus >= 0


def test_a_sample_lands_on_the_nodes_row(node) -> None:
    first = resource_manager.sampler_step("n1", None, now=NOON)
    resource_manager.sampler_step("n1", first, now=NOON)
    node.refresh_from_db()
    usage = node.usage
    assert 0 <= usage["cpu_fraction"] <= 1
    assert usage["memory_used_bytes"] > 0
    assert usage["sampled_at"] == "2026-11-23T12:00:00Z"
    assert usage["net_sent_bytes_per_s"] >= 0


def test_a_sample_for_a_node_that_is_gone_is_dropped() -> None:
    assert not resource_manager.write_sample("gone", NOON, {})


def test_sampled_use_shows_in_the_metrics(scrape, node) -> None:
    seen = {"cpu_fraction": 0.25, "memory_used_bytes": 10**9}
    assert resource_manager.write_sample("n1", NOON, seen)
    assert scrape()[key("kos_node_cpu_ratio", node="n1")] == 0.25
