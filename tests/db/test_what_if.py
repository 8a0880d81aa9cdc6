"""What would become of the runs that wait, were things otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from agents.models import Event, Node
from scheduling import nodes, runs
from scheduling.models import Run
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
GB = 10**9


@pytest.fixture(autouse=True)
def node(db: None) -> Node:
    facts = {
        "cpu_millis": 2000,
        "memory_bytes": 10 * GB,
        "environments": ["subprocess"],
        "labels": {"disk": "ssd"},
    }
    nodes.register("n1", now=NOON, facts=facts)
    return Node.objects.get()


@pytest.fixture
def ask(client_of: Any) -> Any:
    def send(**body: Any) -> Any:
        return client_of("viewer").post("/api/v1/plan/what-if/", body, format="json")

    return send


def queued(agent: Any, count: int = 1) -> list[Run]:
    return runs.request_many(agent, count, actor="t", now=NOON)


def test_more_slots_admit_more_of_them(make_agent, ask) -> None:
    waiting = queued(make_agent(), 3)
    told = ask(config={"max_concurrent_agents": 1}).json()
    assert told["before"] == {"admit": 3, "preempt": 0, "wait": 0}
    assert told["after"] == {"admit": 1, "preempt": 0, "wait": 2}
    assert {c["uid"] for c in told["changes"]} == {r.uid for r in waiting[1:]}
    change = told["changes"][0]
    assert change["before"]["node"] == "n1"
    assert change["after"]["code"] == "slots"


def test_a_larger_node_takes_what_could_never_fit(make_agent, ask) -> None:
    queued(make_agent(cpu=4))
    (change,) = ask(nodes=[{"name": "n1", "cpu": 8}]).json()["changes"]
    assert change["before"]["code"] == "never:CPU"
    assert change["after"]["do"] == "admit"
    (change,) = ask(nodes=[{"name": "n9", "like": "n1", "cpu": "4000m"}]).json()[
        "changes"
    ]
    assert change["after"]["node"] == "n9"


def test_a_node_like_another_has_its_labels_and_nothing_on_it(make_agent, ask) -> None:
    ssd = make_agent(cpu=2, placement={"require": {"disk": "ssd"}})
    queued(ssd, 2)
    told = ask(nodes=[{"name": "n2", "like": "n1"}]).json()
    assert (told["before"]["admit"], told["after"]["admit"]) == (1, 2)
    hdd = make_agent("hdd", cpu=0.1, placement={"require": {"disk": "hdd"}})
    queued(hdd)
    told = ask(nodes=[{"name": "n2", "like": "n1"}]).json()
    assert told["after"]["wait"] == 1


def test_a_node_that_goes_takes_its_room_with_it(make_agent, ask) -> None:
    queued(make_agent())
    (change,) = ask(nodes=[{"name": "n1", "remove": True}]).json()["changes"]
    assert change["after"]["code"] == "no_node"


def test_less_memory_for_agents_is_felt(make_agent, ask) -> None:
    queued(make_agent(memory="5GB"))
    (change,) = ask(config={"max_memory_usage": "40%"}).json()["changes"]
    assert change["after"]["code"] == "never:memory"
    assert ask(config={"scheduler_mode": "lifo"}).json()["changes"] == []


def test_nothing_changes_by_asking(make_agent, ask) -> None:
    queued(make_agent(), 2)
    before = Event.objects.count(), list(Run.objects.values())
    ask(config={"max_concurrent_agents": 1}, nodes=[{"name": "n1", "remove": True}])
    assert (Event.objects.count(), list(Run.objects.values())) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"config": {"max_concurrent_agents": 0}}, "config"),
        ({"config": {"nodes.name": "x"}}, "config"),
        ({"config": []}, "config"),
        ({"config": None}, "config"),
        ({"nodes": {}}, "nodes"),
        ({"nodes": ["n1"]}, "nodes"),
        ({"nodes": [{"name": "n9"}]}, "nodes"),
        ({"nodes": [{"name": "n9", "like": "n8"}]}, "nodes"),
        ({"nodes": [{"name": "n9", "like": []}]}, "nodes"),
        ({"nodes": [{"name": "n1", "like": "n1"}]}, "nodes"),
        ({"nodes": [{"name": "n1", "cpu": "many"}]}, "nodes"),
        ({"nodes": [{"name": "n1", "memory": -1}]}, "nodes"),
        ({"nodes": [{"name": "n1", "remove": False}]}, "nodes"),
        ({"nodes": [{"name": "n1", "remove": True, "cpu": 1}]}, "nodes"),
        ({"nodes": [{"name": "n1", "gpu": 1}]}, "nodes"),
        ({"calendars": []}, "calendars"),
    ],
)
def test_what_is_wrong_is_named(ask, body, field) -> None:
    answer = ask(**body)
    assert answer.status_code == 400
    assert field in answer.json()["fields"]
