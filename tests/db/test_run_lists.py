"""Lists of runs, a run's attempts and frozen spans, and what it used over its time."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents.executors.base import Usage
from agents.models import Node
from monitor import usage
from monitor.usage_keeper import UsageKeeper
from scheduling import runs
from scheduling.models import Run
from scheduling.run_folders import folder_of
from scheduling.run_state import RunState as S
from tests.conftest import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def node(db) -> Node:
    return Node.objects.create(name="n1", cpu_millis=2000, memory_bytes=2**30)


def get(client: Any, path: str, status: int = 200) -> Any:
    answer = client.get(f"/api/v1/{path}")
    assert answer.status_code == status, answer.content
    return json.loads(answer.content)


def later(seconds: float) -> Any:
    return NOON + timedelta(seconds=seconds)


def ended(agent: Any, took_s: float, **facts: Any) -> Run:
    run = runs.request_run(agent, actor="user:ada", now=NOON)
    runs.move(run, S.CANCELLED, actor="t", now=NOON, ended_at=later(took_s))
    Run.objects.filter(pk=run.pk).update(started_at=NOON, **facts)
    return run


def uids(found: Any) -> list[str]:
    return [row["uid"] for row in found["items"]]


def test_a_list_begins_anywhere_and_tells_how_long_it_is(agent, viewer) -> None:
    made = [ended(agent, n) for n in range(7)]
    found = get(viewer, "runs/?offset=2&limit=3")
    assert found["total"] == 7
    assert uids(found) == [run.uid for run in made[::-1][2:5]]
    assert get(viewer, "runs/?offset=9")["items"] == []


@pytest.mark.parametrize(
    ("order", "first"), [("longest", 0), ("memory", 1), ("cpu", 2), ("oldest", 0)]
)
def test_a_list_is_sorted(agent, viewer, order: str, first: int) -> None:
    made = [
        ended(agent, 90),
        ended(agent, 5, peak_memory_bytes=10**9),
        ended(agent, 6, cpu_seconds=40.0),
    ]
    waiting = runs.request_run(agent, actor="user:ada", now=NOON)
    found = uids(get(viewer, f"runs/?order={order}"))
    assert found[0] == made[first].uid
    assert waiting.uid in found


def test_a_list_is_searched_by_what_people_know(agent, make_agent, viewer) -> None:
    mine, other = ended(agent, 1), ended(make_agent("billing"), 2)
    Run.objects.filter(pk=mine.pk).update(reason="the disk is full")
    assert uids(get(viewer, "runs/?q=DISK")) == [mine.uid]
    assert uids(get(viewer, f"runs/?q={other.uid[:9]}")) == [other.uid]
    assert uids(get(viewer, "runs/?q=bill")) == [other.uid]
    assert set(uids(get(viewer, "runs/?q=ada"))) == {mine.uid, other.uid}
    before = "runs/?queued_before=2020-01-01T00:00:00Z"
    assert get(viewer, before)["items"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("order=worst", "order"),
        ("offset=-1", "offset"),
        ("offset=99999999999", "offset"),
        ("offset=1&cursor=x", "cursor"),
    ],
)
def test_odd_lists_are_refused_by_name(agent, viewer, query: str, field: str) -> None:
    assert field in get(viewer, f"runs/?{query}", 400)["fields"]


def test_each_agent_has_its_last_runs(agent, make_agent, viewer) -> None:
    make_agent("idle")
    made = [ended(agent, n) for n in range(5)]
    found = get(viewer, "runs/by-agent/?last=3")
    by = {item["agent"]: item["runs"] for item in found["items"]}
    assert [run["uid"] for run in by[agent.agent_id]] == [r.uid for r in made[2:]]
    assert by["idle"] == []
    assert get(viewer, "runs/by-agent/?agent=idle")["total"] == 1
    assert "last" in get(viewer, "runs/by-agent/?last=0", 400)["fields"]


def test_the_attempts_of_a_run_stand_together(agent, viewer) -> None:
    first = ended(agent, 4)
    second = runs.retry(first, actor="user:ada", now=later(9))
    runs.move(second, S.CANCELLED, actor="t", now=later(9), ended_at=later(9))
    third = runs.retry(second, actor="user:ada", now=later(20))
    ended(agent, 4)
    for run in (first, second, third):
        found = get(viewer, f"runs/{run.uid}/attempts/")
        assert uids(found) == [first.uid, second.uid, third.uid]
    assert [item["attempt"] for item in found["items"]] == [1, 2, 3]
    get(viewer, "runs/nothing/attempts/", 404)


def test_frozen_spans_are_told_by_the_journal(agent, node, viewer) -> None:
    run = runs.request_run(agent, actor="user:ada", now=NOON)
    at = dict.fromkeys(("admitted_at", "starting_at", "started_at"), NOON)
    for state in (S.ADMITTED, S.STARTING, S.RUNNING):
        runs.move(run, state, actor="t", now=NOON, **at, node_id=node.pk)
    runs.move(run, S.SUSPENDED, actor="t", now=later(10), reason="room for a")
    runs.move(run, S.RUNNING, actor="t", now=later(40), reason="goes on")
    runs.move(run, S.SUSPENDED, actor="t", now=later(60), reason="room for b")
    (told,) = get(viewer, f"runs/{run.uid}/attempts/")["items"]
    assert told["frozen"] == [
        {
            "from": "2026-11-23T12:00:10Z",
            "to": "2026-11-23T12:00:40Z",
            "reason": "room for a",
        },
        {"from": "2026-11-23T12:01:00Z", "to": None, "reason": "room for b"},
    ]


class Engine:
    """Tells what a run uses: half a core, and 10 MB more every second."""

    asked = 0

    def usage(self, uid: str) -> Usage:
        self.asked += 1
        return Usage(cpu_seconds=self.asked, memory_bytes=10**7 * self.asked)


def test_a_run_that_goes_on_is_looked_at_and_a_short_one_is_not(
    agent, node, viewer, settings, tmp_path: Path
) -> None:
    settings.VAR = tmp_path
    run = runs.request_run(agent, actor="user:ada", now=NOON)
    for state in (S.ADMITTED, S.STARTING, S.RUNNING):
        runs.move(run, state, actor="t", now=NOON, node_id=node.pk, started_at=NOON)
    folder_of(run.uid).mkdir(parents=True)
    engine = Engine()
    keeper = UsageKeeper(node.name, lambda env: engine)  # type: ignore[arg-type]
    assert keeper.look(later(1)) == 0
    assert [keeper.look(later(s)) for s in (2, 4, 6)] == [1, 1, 1]
    assert keeper.look(later(6.1)) == 0
    found = get(viewer, f"runs/{run.uid}/usage/")
    assert found["cpu"] == [None, 0.5, 0.5]
    assert found["memory"] == [10**7, 2 * 10**7, 3 * 10**7]
    assert found["read"] == [None, None, None]


def test_samples_are_bounded_and_cover_the_whole_run(tmp_path: Path) -> None:
    for n in range(3000):
        one = usage.Taken(1e9 + n, n / 2, n, 0, 0)
        usage.append(str(tmp_path), one)
    kept = usage.read(tmp_path)
    assert len(kept) <= usage.MOST
    assert (kept[0].at, kept[-1].at) == (1e9, 1e9 + 2999)
    rates = [r for r in usage.shown(kept)["cpu"] if r is not None]
    assert set(rates) == {0.5}


def test_a_link_in_the_place_of_samples_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"")
    (tmp_path / "usage").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        usage.append(str(tmp_path), usage.Taken(1e9, 0, 0, 0, 0))
    assert victim.read_bytes() == b""
    assert usage.read(tmp_path) == []


def test_a_run_on_demand_is_put_to_a_node(agent, node, operator) -> None:
    body = {"agent": agent.agent_id, "node": node.name}
    answer = operator.post("/api/v1/spawn/", body, content_type="application/json")
    (uid,) = answer.json()["runs"]
    assert Run.objects.get(uid=uid).pinned_node == Node.objects.get(name=node.name)
    for wrong in ("nowhere", 7):
        body["node"] = wrong
        answer = operator.post("/api/v1/spawn/", body, content_type="application/json")
        assert (answer.status_code, list(answer.json()["fields"])) == (400, ["node"])
