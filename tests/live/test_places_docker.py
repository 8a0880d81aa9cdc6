"""A container serves on its own port, which the machine has under another number."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.executors.docker_bench import dockerd  # noqa: F401
from tests.executors.docker_daemon import BUSYBOX, Daemon
from tests.live.harness import Product, running_product
from tests.waiting import wait_for

SERVES = 'echo "$KOS_RUN_UID" >index.html; exec httpd -f -p "$PORT"'
DEVICES = "nodes: {devices: [{id: gpu0}, {id: gpu1}]}\n"


@pytest.fixture(scope="module")
def product(
    dockerd: Daemon,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("kos")
    (folder / "config.yaml").write_text(DEVICES)
    env = {
        "DOCKER_HOST": dockerd.base_url,
        "KOS_CONFIG": str(folder / "config.yaml"),
    }
    with running_product(folder, env=env) as product:

        def offers_docker() -> bool:
            (node,) = product.get("nodes/")["items"]
            return "docker" in node["environments"]

        wait_for(offers_docker, timeout_s=60)
        yield product


def register(product: Product, agent_id: str, script: str, **more: Any) -> None:
    image = {"image": BUSYBOX, "pull": "never"}
    argv = ("/bin/sh", "-c", script)
    product.register(agent_id, *argv, exec_env="docker", docker=image, **more)


def test_two_containers_serve_on_one_port_inside_and_two_outside(
    product: Product,
    dockerd: Daemon,  # noqa: F811
) -> None:
    register(product, "web", SERVES, ports={"http": 8080})
    runs = product.spawn("web", 2)

    def serving() -> list[dict[str, Any]]:
        items = product.get("agents/web/endpoints/")["items"]
        return [item for item in items if item["ready"]]

    wait_for(lambda: len(serving()) == 2, timeout_s=60)

    def fetched(host: str, port: int) -> str:
        curl = ["curl", "-s", "--max-time", "3", f"http://{host}:{port}/"]
        asked = [*dockerd.in_its_network, *curl]  # where the engine's ports are
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    found = serving()
    assert {one["run"] for one in found} == set(runs)
    assert len({one["port"] for one in found}) == 2
    for one in found:
        answer = wait_for(lambda one=one: fetched(one["host"], one["port"]))
        assert answer == one["run"]
    for uid in runs:
        product.post(f"runs/{uid}/stop/", status=200)
        assert product.wait_for_end(uid)["state"] == "cancelled"


def test_a_declared_gpu_is_told_to_a_container_and_needs_no_driver(
    product: Product,
) -> None:
    register(product, "learner", 'echo "$CUDA_VISIBLE_DEVICES"', gpu=2)
    (uid,) = product.spawn("learner")
    assert product.wait_for_end(uid)["state"] == "succeeded", product.run(uid)
    assert product.output(uid) == "gpu0,gpu1\n"
