"""Devices, ports and requirements on a real database: who gets what, who waits."""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agents import advice, agent_registry, live_config
from agents.errors import Invalid
from agents.executors.base import Ended, Started
from agents.models import Node, NodeLog
from scheduling import (
    agent_scheduler,
    endings,
    launch,
    lease,
    node_checks,
    nodes,
    overdue,
    runs,
    snapshot_reader,
    this_node,
    why,
    window_bars,
)
from scheduling.models import Run
from scheduling.planner.admission import Admit
from scheduling.run_state import RunState as S
from tests.conftest import NOON
from tests.free_ports import ten_free_ports

pytestmark = pytest.mark.django_db
HOLDER = "test-scheduler"
GPU = {"id": "GPU-1", "model": "A10", "memory_bytes": None, "share": 1}


def later(seconds: float) -> Any:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def node(db: None) -> Node:
    facts = {
        "cpu_millis": 64_000,
        "memory_bytes": 64 * 10**9,
        "environments": ["subprocess", "docker"],
        "boot_id": "b",
        "gpus": 1,
        "devices": [GPU],
    }
    nodes.register("n1", now=NOON, facts=facts)
    return Node.objects.get()


def tick(now: Any = NOON) -> int:
    token = lease.acquire(HOLDER, ttl_s=60)
    assert token is not None
    return agent_scheduler.tick(token, now=now, per_class=100)


def queued(agent: Any, **more: Any) -> Run:
    return runs.request_run(agent, actor="user:test", now=NOON, **more)


def fresh(run: Run) -> Run:
    run.refresh_from_db()
    return run


def admitted(run: Run, now: Any = NOON) -> Run:
    tick(now)
    assert fresh(run).state == S.ADMITTED, run.reason
    return run


def environment_of(run: Run) -> dict[str, str]:
    (start,) = launch.begin([(run.pk, run.token)], node="n1", now=NOON)
    return dict(start.spec.env)


def started(run: Run, node: Node) -> Run:
    launch.begin([(run.pk, run.token)], node="n1", now=NOON)
    said = Started(run.uid, run.token, int(NOON.timestamp() * 1e9), {"pid": 1})
    log, _ = NodeLog.objects.get_or_create(node=node, executor="holder")
    endings.apply([said], log=log, offset=1, now=NOON)
    return fresh(run)


def ended(run: Run, node: Node) -> Run:
    at_ns = int(NOON.timestamp() * 1e9)
    said = Ended(run.uid, run.token, at_ns, exit_code=0, signal=None)
    log, _ = NodeLog.objects.get_or_create(node=node, executor="holder")
    endings.apply([said], log=log, offset=2, now=NOON)
    return fresh(run)


# -- GPUs ------------------------------------------------------------------------------


def test_a_device_goes_from_one_run_to_the_next(make_agent: Any, node: Node) -> None:
    agent = make_agent(gpu=1)
    first, second = queued(agent), queued(agent)
    admitted(first)
    assert first.devices == ["GPU-1"]
    assert fresh(second).state == S.QUEUED
    assert "GPU" in second.reason
    ended(started(first, node), node)
    assert admitted(second).devices == ["GPU-1"]


def test_of_two_schedulers_with_one_device_the_later_admits_nobody(
    make_agent: Any, node: Node
) -> None:
    low = queued(make_agent("low", gpu=1))
    high = queued(make_agent("high", gpu=1, priority="high"), due_at=later(5))
    stale = agent_scheduler.make_plan(now=NOON, per_class=10)
    assert [d.run.id for d in stale if isinstance(d, Admit)] == [low.pk]
    tick(later(5))
    assert fresh(high).state == S.ADMITTED
    token = lease.acquire(HOLDER, ttl_s=60) or 0
    admissions = [d for d in stale if isinstance(d, Admit)]
    assert agent_scheduler.admit(admissions, token=token, now=later(5)) == 0
    assert fresh(low).state == S.QUEUED


def test_the_program_is_told_its_devices_and_docker_gets_real_ones_only(
    make_agent: Any, node: Node
) -> None:
    this_node.install([GPU, {**GPU, "id": "fake", "declared": True}])
    try:
        run = admitted(queued(make_agent(gpu=1)))
        told = environment_of(run)
        assert told["CUDA_VISIBLE_DEVICES"] == told["KOS_GPUS"] == "GPU-1"
        plain = environment_of(admitted(queued(make_agent("plain"))))
        assert plain["CUDA_VISIBLE_DEVICES"] == ""
        assert this_node.devices().passed_on(["GPU-1", "fake"]) == ("GPU-1",)
    finally:
        this_node.install([])
    other = environment_of(admitted(queued(make_agent("other"))))
    assert "CUDA_VISIBLE_DEVICES" not in other


# -- ports -----------------------------------------------------------------------------


def test_a_containers_port_is_its_own_inside_and_any_outside(
    make_agent: Any, node: Node
) -> None:
    agent = make_agent(exec_env="docker", ports={"http": 8080, "more": "auto"})
    run = admitted(queued(agent))
    assert run.ports == {"http": 31_000, "more": 31_001}
    (start,) = launch.begin([(run.pk, run.token)], node="n1", now=NOON)
    assert start.spec.container is not None
    assert start.spec.container.ports == {8080: 31_000, 31_001: 31_001}
    assert start.spec.env["KOS_PORT_HTTP"] == "8080"
    assert start.spec.env["KOS_PORT_MORE"] == "31001"
    assert "PORT" not in start.spec.env


def test_a_taken_port_sends_the_run_back_and_another_is_taken(
    make_agent: Any, node: Node
) -> None:
    first, *_, last = ten_free_ports()
    live_config.set_overrides(
        {"nodes.ports": f"{first}-{last}"}, actor="user:test", now=NOON
    )
    run = admitted(queued(make_agent(ports={"http": "auto"})))
    checks = node_checks.NodeChecks("n1")
    with socket.create_server(("127.0.0.1", first)):
        assert checks.still_fit([(run.pk, run.token)], now=NOON) == []
        assert (fresh(run).state, run.ports, run.node) == (S.QUEUED, None, None)
        assert run.reason == f"port {first} is taken by another program"
        assert admitted(run).ports == {"http": first + 1}
        batch = [(run.pk, run.token)]
        assert checks.still_fit(batch, now=NOON) == batch
    checks.look()
    assert Node.objects.get().checks == {}


def test_names_that_would_share_a_variable_are_refused(make_agent: Any) -> None:
    make_agent("a", ports={"b-c": "auto"})
    make_agent("a-b", ports={"c": "auto"})
    with pytest.raises(Invalid) as refused:
        make_agent("c", depends_on=["a", "a-b"])
    assert "KOS_PEER_A_B_C" in refused.value.fields["depends_on"][0]


def test_endpoints_of_an_agent_are_for_everybody_who_may_read(
    make_agent: Any, node: Node, viewer: Any, stranger: Any
) -> None:
    run = admitted(queued(make_agent(ports={"http": "auto"})))
    Node.objects.update(address="10.0.0.7")
    answer = viewer.get("/api/v1/agents/worker/endpoints/").json()
    starting = {
        "run": run.uid,
        "node": "n1",
        "name": "http",
        "host": "10.0.0.7",
        "port": 31_000,
        "ready": False,
    }
    assert answer == {"items": [starting]}
    started(run, node)
    (one,) = viewer.get("/api/v1/agents/worker/endpoints/").json()["items"]
    assert one == {**starting, "ready": True}
    assert stranger.get("/api/v1/agents/worker/endpoints/").status_code == 403
    assert viewer.get("/api/v1/agents/nobody/endpoints/").status_code == 404


def test_a_run_tells_what_it_was_given(
    make_agent: Any, node: Node, viewer: Any
) -> None:
    run = admitted(queued(make_agent(gpu=1, ports={"http": "auto"})))
    told = viewer.get(f"/api/v1/runs/{run.uid}/").json()
    assert (told["devices"], told["ports"]) == (["GPU-1"], {"http": 31_000})


# -- requirements ----------------------------------------------------------------------


def test_only_runs_that_require_something_have_a_class_of_their_own(
    make_agent: Any, node: Node, django_assert_num_queries: Any
) -> None:
    plain = queued(make_agent("plain"))
    assert "~" not in plain.queue_class
    needy = queued(make_agent("needy", requires=["avx512"]))
    assert "~" in needy.queue_class
    tick()
    assert fresh(plain).state == S.ADMITTED
    assert (fresh(needy).reason_code, needy.reason) == (
        "requires:1",
        "waits for a node with avx512",
    )
    assert why.why(needy, now=NOON)["code"] == "requires:1"
    assert "no known node has avx512" in " ".join(advice.warnings_of(needy.agent))
    Node.objects.update(labels={"avx512": True})
    assert "avx512" not in " ".join(advice.warnings_of(needy.agent))
    admitted(needy)


def test_a_tick_of_plain_runs_asks_nothing_more(
    make_agent: Any, node: Node, django_assert_num_queries: Any
) -> None:
    queued(make_agent("plain"))
    window_bars.kept()  # asked once a second, however many ticks
    with django_assert_num_queries(6):  # classes, heads, frozen, nodes, held, victims
        snapshot_reader.read_snapshot(
            now=NOON,
            slots=10,
            mode="priority",
            preemption=True,
            memory_fraction=1,
            per_class=10,
        )


def test_a_file_is_looked_for_by_the_node_and_once_more_before_the_start(
    make_agent: Any, node: Node, tmp_path: Path
) -> None:
    file = tmp_path / "data"
    run = queued(make_agent(requires=[{"file": str(file)}]))
    checks = node_checks.NodeChecks("n1")
    checks.look()
    tick()
    assert fresh(run).reason == f"waits for the file {file}"
    file.touch()
    checks.look()
    admitted(run)
    os.unlink(file)
    assert checks.still_fit([(run.pk, run.token)], now=NOON) == []
    assert fresh(run).state == S.QUEUED
    tick()
    assert fresh(run).reason == f"waits for the file {file}"


def test_one_waiting_class_does_not_look_like_another(
    make_agent: Any, node: Node
) -> None:
    stuck = queued(make_agent("stuck", requires=[{"file": "/no/such"}]))
    free = queued(make_agent("free", requires=[{"file": "/"}]))
    node_checks.NodeChecks("n1").look()
    tick()
    assert (fresh(stuck).state, fresh(free).state) == (S.QUEUED, S.ADMITTED)


def test_a_dependant_starts_when_its_agent_is_ready(
    make_agent: Any, node: Node
) -> None:
    server = make_agent("server", ports={"http": "auto"}, kind="persistent")
    dependant = queued(make_agent("client", depends_on=["server"]))
    tick()
    assert fresh(dependant).reason == "waits for agent server to be ready"
    up = admitted(queued(server))
    assert fresh(dependant).state == S.QUEUED
    started(up, node)
    told = environment_of(admitted(dependant))
    assert told["KOS_PEER_SERVER_HTTP"] == "127.0.0.1:31000"


def test_one_that_says_when_it_is_ready_is_waited_for(
    make_agent: Any, node: Node
) -> None:
    server = make_agent("server", kind="persistent")
    version = server.current
    version.spec = {**version.spec, "readiness": {"port": "http"}}
    version.save()
    run = started(admitted(queued(server)), node)
    dependant = queued(make_agent("client", requires=[{"agent": "server"}]))
    tick()
    assert fresh(dependant).state == S.QUEUED
    Run.objects.filter(pk=run.pk).update(ready_at=NOON)
    admitted(dependant)


def test_an_agent_that_ends_is_ready_once_it_succeeded(
    make_agent: Any, node: Node
) -> None:
    first = queued(make_agent("first"))
    second = queued(make_agent("second", depends_on=["first"]))
    tick()
    assert fresh(second).state == S.QUEUED
    ended(started(fresh(first), node), node)
    admitted(second)


def test_a_run_fails_when_it_has_waited_too_long(make_agent: Any, node: Node) -> None:
    requires = [{"file": "/no/such", "within": "10m"}, {"file": "/"}]
    run = queued(make_agent(requires=requires))
    node_checks.NodeChecks("n1").look()
    assert overdue.fail_overdue(now=later(599)) == 0
    assert fresh(run).state == S.QUEUED
    assert overdue.fail_overdue(now=later(600)) == 1
    assert (fresh(run).state, run.reason) == (
        S.FAILED,
        "waited 600 s for the file /no/such",
    )
    assert run.ended_at == later(600)


def test_what_is_there_is_never_overdue(make_agent: Any, node: Node) -> None:
    run = queued(make_agent(requires=[{"file": "/", "within": "1s"}], cpu=1000))
    node_checks.NodeChecks("n1").look()
    assert overdue.fail_overdue(now=later(60)) == 0
    assert fresh(run).state == S.QUEUED  # it waits for room, which has no limit


def test_circles_through_requires_are_refused(make_agent: Any) -> None:
    a = make_agent("a")
    make_agent("b", requires=[{"agent": "a"}])
    with pytest.raises(Invalid, match="circle: a → b → a"):
        agent_registry.change(
            a,
            {"depends_on": ["b"]},
            actor="user:test",
            now=NOON,
            may_unsandboxed=True,
        )
