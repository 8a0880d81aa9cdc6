"""Placement on a real database: labels, taints, neighbours, bandwidth, measured use."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents import live_config, machine
from agents.models import Event, Node
from agents.registration import definition_of, parse_agent
from monitor import resource_manager
from scheduling import (
    agent_scheduler,
    hot_reads,
    lease,
    nodes,
    runs,
    taints,
    window_bars,
)
from scheduling.models import Run
from scheduling.run_state import RunState as S
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
GB = 10**9


def add_node(name: str, labels: Any = None, **more: Any) -> Node:
    facts = {
        "cpu_millis": 4000,
        "memory_bytes": 10 * GB,
        "environments": ["subprocess"],
        "boot_id": name,
        "labels": labels or {},
        **more,
    }
    nodes.register(name, now=NOON, facts=facts)
    return Node.objects.get(name=name)


@pytest.fixture
def pair(db: None) -> list[Node]:
    return [add_node("n1"), add_node("n2", {"disk": "ssd", "zone": "b", "avx": True})]


def tick(now: Any = NOON) -> None:
    token = lease.acquire("test-scheduler", ttl_s=60)
    assert token is not None
    agent_scheduler.tick(token, now=now, per_class=100)


def where(agent: Any, now: Any = NOON) -> str:
    """The node a run of the agent gets, or the code of why it gets none."""
    run = runs.request_run(agent, actor="user:test", now=NOON)
    tick(now)
    run.refresh_from_db()
    return run.node.name if run.node else run.reason_code


def sampled(node: Node, used: float, at: Any = NOON, **more: Any) -> None:
    usage = {
        "memory_used_bytes": int(used * 10 * GB),
        "memory_total_bytes": 10 * GB,
        "memory_fraction": used,
        **more,
    }
    resource_manager.write_sample(node.name, at, usage)


@pytest.mark.parametrize(
    ("require", "found"),
    [
        ({"disk": "ssd"}, "n2"),
        ({"zone": ["a", "b"]}, "n2"),
        ({"avx": "exists"}, "n2"),
        ({"disk": "hdd"}, "labels"),
        ({"disk": "ssd", "gpu": "exists"}, "labels"),
    ],
)
def test_a_run_goes_where_the_labels_are(make_agent, pair, require, found) -> None:
    assert where(make_agent(placement={"require": require})) == found


def test_it_says_which_label_is_missing(make_agent, pair) -> None:
    where(make_agent(placement={"require": {"disk": ["hdd", "tape"]}}))
    assert Run.objects.get().reason == "needs a node with disk = hdd or tape"


def test_a_run_is_only_on_the_nodes_it_names(make_agent, pair) -> None:
    assert where(make_agent(placement={"nodes": ["n2"]})) == "n2"
    assert where(make_agent("b", placement={"nodes": ["n9"]})) == "nodes"


def test_a_preferred_node_is_taken_while_it_has_room(make_agent, pair) -> None:
    prefer = [{"labels": {"disk": "ssd"}, "weight": 5}]
    agent = make_agent(placement={"prefer": prefer}, cpu=2)
    assert [where(agent) for _ in range(3)] == ["n2", "n2", "n1"]


def test_apart_from_its_own_an_agent_has_one_run_on_each_node(make_agent, pair) -> None:
    agent = make_agent("solo", placement={"apart": ["solo"]})
    runs.request_many(agent, 3, actor="t", now=NOON)
    tick()
    assert sorted(
        Run.objects.exclude(node=None).values_list("node__name", flat=True)
    ) == ["n1", "n2"]
    waits = Run.objects.get(state=S.QUEUED)
    assert waits.reason_code == "apart"
    assert "agent solo is on n1, and it is to be apart" in waits.reason


def test_with_a_tag_it_waits_for_a_run_that_has_it(make_agent, pair) -> None:
    agent = make_agent("near", placement={"with": [{"tag": "cache"}]})
    assert where(agent) == "with"
    cache = make_agent("cache", tags=["cache"], placement={"nodes": ["n2"]})
    assert where(cache) == "n2"
    assert where(agent) == "n2"


def test_a_plain_run_of_the_same_plan_counts_as_a_neighbour(make_agent, pair) -> None:
    Node.objects.filter(name="n1").update(cordoned=True)
    make_agent("loud", tags=["noisy"])
    shy = make_agent("shy", placement={"apart": [{"tag": "noisy"}]})
    loud = make_agent("louder", tags=["noisy"], priority="high")
    runs.request_run(loud, actor="t", now=NOON)
    assert where(shy) == "apart"


def test_a_taint_keeps_plain_runs_away_from_the_node(make_agent, pair) -> None:
    for name in ("n1", "n2"):
        taints.set_taints(name, ["gpu"], actor="user:anna", now=NOON)
    assert where(make_agent()) == "taint"
    assert where(make_agent("fit", placement={"tolerate": ["gpu"]})) == "n1"


def test_taints_of_the_configuration_come_and_go_with_it(pair) -> None:
    taints.announce("n1", ["spot"])
    taints.set_taints("n1", ["mine"], actor="user:anna", now=NOON)
    assert Node.objects.get(name="n1").taints == {"spot": "config", "mine": "user:anna"}
    taints.announce("n1", [])
    assert Node.objects.get(name="n1").taints == {"mine": "user:anna"}
    (event,) = Event.objects.filter(kind="node.tainted")
    assert event.data["taints"] == ["mine", "spot"]


def test_taints_over_http(client_of, pair) -> None:
    client = client_of("admin")
    url = "/api/v1/nodes/n1/taints/"
    answer = client.put(url, {"taints": ["gpu"]}, format="json")
    assert (answer.status_code, answer.json()["taints"]) == (200, ["gpu"])
    for wrong in (["a b"], "gpu", [1], ["x", "x"], [""], None, {"a": 1}):
        answer = client.put(url, {"taints": wrong}, format="json")
        assert answer.status_code == 400, wrong
        assert "taints" in answer.json()["fields"]
    assert Node.objects.get(name="n1").taints.keys() == {"gpu"}
    missing = client.put("/api/v1/nodes/no/taints/", {"taints": []}, format="json")
    assert missing.status_code == 404


def test_bandwidth_is_shared_out_among_live_runs(make_agent, pair) -> None:
    Node.objects.update(bandwidth_bps=10**9)
    agent = make_agent(bandwidth="600Mbit")
    assert [where(agent) for _ in range(3)] == ["n1", "n2", "busy:bandwidth"]
    assert where(make_agent("wide", bandwidth="2Gbit")) == "never:bandwidth"


def test_a_node_that_does_not_know_its_bandwidth_takes_any(make_agent, pair) -> None:
    agent = make_agent(bandwidth="9000Gbit")
    assert [where(agent) for _ in range(2)] == ["n1", "n2"]


def test_above_max_memory_usage_nothing_is_admitted(make_agent, pair) -> None:
    agent = make_agent()
    for node in pair:
        sampled(node, 0.91)
    assert where(agent) == "pressure"
    assert "91% is above max_memory_usage 85%" in Run.objects.get().reason
    sampled(pair[1], 0.5)
    tick()
    assert Run.objects.get().node == pair[1]


def test_a_stale_sample_says_nothing(make_agent, pair) -> None:
    sampled(pair[0], 0.91, NOON - timedelta(seconds=31))
    assert where(make_agent()) == "n1"


def test_a_run_counts_in_full_until_it_has_had_time_to_grow(make_agent, pair) -> None:
    Node.objects.filter(name="n2").update(cordoned=True)
    agent = make_agent(memory="3GB")
    sampled(pair[0], 0.5)
    assert [where(agent) for _ in range(2)] == ["n1", "busy:memory"]
    later = NOON + timedelta(seconds=31)
    sampled(pair[0], 0.5, later)  # it never took what it declared
    tick(later)
    assert Run.objects.filter(node__name="n1").count() == 2


def test_the_sampler_tells_what_pressure_needs(pair, monkeypatch) -> None:
    live_config.set_override("max_memory_usage", "1%", actor="t", now=NOON)
    live_config.forget()
    resource_manager.sampler_step("n1", None, now=NOON)
    usage = Node.objects.get(name="n1").usage
    assert usage["memory_total_bytes"] > usage["memory_used_bytes"] > 0
    assert usage["memory_over"] is True


def test_the_fastest_card_that_is_up_tells_the_bandwidth(tmp_path: Path) -> None:
    for name, speed, real in (
        ("eth0", "1000", True),
        ("eth1", "-1", True),
        ("br0", "40000", False),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "speed").write_text(speed)
        if real:
            (tmp_path / name / "device").mkdir()
    assert machine.bandwidth_bps(tmp_path) == 10**9
    assert machine.bandwidth_bps(tmp_path / "none") is None


def test_a_plain_run_asks_the_database_nothing_more(
    make_agent, pair, django_assert_num_queries
) -> None:
    runs.request_run(make_agent(), actor="t", now=NOON)
    window_bars.kept()  # asked once a second, however many plans
    with django_assert_num_queries(6):  # classes, heads, frozen, nodes, held, victims
        agent_scheduler.make_plan(now=NOON, per_class=10)
    assert hot_reads.nodes()[0][9] == {}


PLACEMENT = {
    "require": {"disk": "ssd", "zone": ["a", "b"], "avx512": "exists"},
    "prefer": [{"labels": {"zone": "a"}, "weight": 50}],
    "with": [{"agent": "db", "hard": True, "weight": 10}],
    "apart": [{"tag": "noisy", "hard": False, "weight": 3}],
    "strategy": "pack",
    "tolerate": ["gpu"],
    "nodes": ["n1", "n2"],
}
LEAST = {"agent_id": "a", "exec_env": "subprocess", "entry_point": "/bin/true"}


def test_a_placement_goes_there_and_back() -> None:
    spec = parse_agent({**LEAST, "placement": PLACEMENT})
    assert definition_of(spec)["placement"] == PLACEMENT
    assert parse_agent(definition_of(spec)) == spec
    assert parse_agent({**LEAST, "placement": {}})["placement"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"require": {"disk=ssd": "x"}},
        {"require": {"disk": 3}},
        {"require": {"disk": []}},
        {"require": {}},
        {"require": "ssd"},
        {"prefer": [{"labels": {"a": "b"}, "weight": 0}]},
        {"prefer": [{"weight": 5}]},
        {"with": [{"agent": "a", "tag": "b"}]},
        {"with": [{}]},
        {"apart": [3]},
        {"strategy": "random"},
        {"tolerate": ["a b"]},
        {"nodes": ["n1", "n1"]},
        {"elsewhere": True},
        ["n1"],
    ],
)
def test_a_wrong_placement_is_refused_by_name(client_of, wrong) -> None:
    body = {**LEAST, "placement": wrong}
    answer = client_of("admin").post("/api/v1/agents/", body, format="json")
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == {"placement"}
