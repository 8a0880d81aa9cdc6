"""Containers are looked at where they serve: not at the node's own 127.0.0.1."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.executors.base import Container
from scheduling.probes import Look, NotWell, look
from scheduling.reached import Way
from tests.executors.docker_bench import DockerBench, docker_bench  # noqa: F401
from tests.executors.docker_daemon import BUSYBOX, Daemon
from tests.live.harness import Product, running_product
from tests.waiting import wait_for

ADDRESS = "10.77.0.1"  # of the node, beside its loopback
CLONE_NEWNET = 0x40000000
SERVES = "while [ ! -e go ]; do sleep 0.05; done; echo hi >index.html; exec httpd -f"
IMAGE = {"image": BUSYBOX, "pull": "never"}


@contextmanager
def network_of(engine: Daemon) -> Iterator[None]:
    """This thread, and what it starts, is where the engine publishes ports."""
    libc = ctypes.CDLL(None, use_errno=True)
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(engine.in_its_network[1].partition("=")[2], os.O_RDONLY)
    try:
        assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        assert libc.setns(own, CLONE_NEWNET) == 0
        os.close(own)
        os.close(there)


@pytest.fixture
def inside(dockerd: Daemon) -> Iterator[None]:
    with network_of(dockerd):
        yield


@pytest.fixture(scope="module")
def product(
    dockerd: Daemon, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    """One whose node publishes at an address that is not its loopback."""
    folder = tmp_path_factory.mktemp("kos")
    (folder / "config.yaml").write_text(f"nodes: {{address: {ADDRESS}}}\n")
    env = {
        "DOCKER_HOST": dockerd.base_url,
        "KOS_CONFIG": str(folder / "config.yaml"),
    }
    with network_of(dockerd):
        place = ["busybox", "ip", "addr", "add", f"{ADDRESS}/32", "dev", "lo"]
        subprocess.run(place, check=True)
        with running_product(folder, env=env) as product:
            wait_for(lambda: offers_docker(product), timeout_s=60)
            yield product


def offers_docker(product: Product) -> bool:
    (node,) = product.get("nodes/")["items"]
    return "docker" in node["environments"]


def register(product: Product, agent_id: str, **more: Any) -> None:
    argv = ("/bin/sh", "-c", f"{SERVES} -p 8080")
    more = {"exec_env": "docker", "docker": IMAGE, "ports": {"http": 8080}, **more}
    product.register(agent_id, *argv, **more)


def gate_of(product: Product, uid: str) -> Path:
    return product.var / "runs" / uid[:2] / uid / "work" / "go"


def is_running(product: Product, uid: str) -> bool:
    return bool(product.run(uid)["state"] == "running")


@pytest.mark.parametrize(
    ("name", "probe"),
    [("by-port", {"port": "http"}), ("by-url", {"http": "http://127.0.0.1:8080/"})],
)
def test_a_container_is_ready_once_it_serves_and_not_before(
    product: Product, name: str, probe: dict[str, Any]
) -> None:
    quick = {**probe, "every": "100ms"}
    register(product, name, readiness=quick, liveness={**quick, "failures": 2})
    (uid,) = product.spawn(name)
    wait_for(lambda: is_running(product, uid), timeout_s=60)
    assert product.run(uid)["ready_at"] is None
    gate_of(product, uid).touch()
    wait_for(lambda: product.run(uid)["ready_at"], timeout_s=60)
    product.post(f"runs/{uid}/stop/", status=200)
    assert product.wait_for_end(uid)["state"] == "cancelled"


def test_a_container_that_never_serves_is_not_ready_in_time(product: Product) -> None:
    register(product, "mute", readiness={"port": 8080, "within": "2s"})
    (uid,) = product.spawn("mute")
    run = product.wait_for_end(uid, timeout_s=60)
    assert run["state"] == "failed"
    assert run["reason"].startswith("not ready within 2 s: nothing listens on port 31")


def test_a_container_is_warmed_up_at_the_port_it_was_given(product: Product) -> None:
    warm = {"http": "http://127.0.0.1:8080/index.html", "every": 0.1}
    hooks = [{"when": "post-start", "warm_up": warm, "on_failure": "fail"}]
    register(product, "warmed", hooks=hooks)
    (uid,) = product.spawn("warmed")
    wait_for(lambda: is_running(product, uid), timeout_s=60)
    gate_of(product, uid).touch()

    def outcome() -> Any:
        (step,) = product.run(uid)["phases"]
        return step["outcome"]

    assert wait_for(outcome, timeout_s=30) == "done"
    product.post(f"runs/{uid}/stop/", status=200)
    product.wait_for_end(uid)


def test_the_engines_proxy_on_the_loopback_is_not_taken_for_the_container(
    docker_bench: DockerBench,  # noqa: F811
    inside: None,
) -> None:
    """It takes connections as soon as the container is there."""
    container = Container(BUSYBOX, pull="never", ports={8080: 18080})
    uid = docker_bench.start(
        *("sh", "-c", f"{SERVES} -p 8080"), container=container, mounts=()
    )
    docker_bench.started(uid)
    way = Way({"http": (8080, 8080)}, {"http": 18080}, "127.0.0.1")
    at = Look(uid=uid, by="port", target="http", timeout_s=2, way=way, env={})
    with pytest.raises(NotWell, match="nothing listens on port 18080"):
        asyncio.run(look(at))
    (docker_bench.folder / uid / "work" / "go").touch()

    def is_well() -> bool:
        try:
            asyncio.run(look(at))
        except NotWell:
            return False
        return True

    wait_for(is_well)
