"""Two nodes; one never comes back, says an operator; and then it does."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.executors.harness import processes_of
from tests.live.harness import PYTHON, ROOT, Product, running_product
from tests.waiting import wait_for

CONFIG = "heartbeat_interval: 1\nnodes: {down_after: 4}\n"


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("kos")
    (folder / "config.yaml").write_text(CONFIG)
    env = {"KOS_CONFIG": str(folder / "config.yaml")}
    with running_product(folder, env=env) as product:
        yield product


def second_node(product: Product) -> subprocess.Popen[bytes]:
    with (product.var.parent / "second.out").open("ab") as said:
        return subprocess.Popen(
            [PYTHON, "manage.py", "run_node", "--name", "second"],
            cwd=ROOT,
            env=product.environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )


def node(product: Product, name: str) -> Any:
    nodes = product.get("nodes/")["items"]
    return next((one for one in nodes if one["name"] == name), None)


def is_(product: Product, name: str, state: str) -> bool:
    found = node(product, name)
    offers = found is not None and (state != "up" or found["environments"])
    return bool(offers) and found["state"] == state


def running(product: Product, agent: str) -> Any:
    """The agent's newest run, once that runs."""

    def look() -> Any:
        found = product.get(f"runs/?agent={agent}")["items"][:1]
        return found[0] if found and found[0]["state"] == "running" else None

    return wait_for(look, timeout_s=60, every_s=0.1)


def test_work_of_a_lost_node_runs_elsewhere_and_once(
    product: Product, tmp_path: Path
) -> None:
    (first,) = [one["name"] for one in product.get("nodes/")["items"]]
    second = second_node(product)
    try:
        wait_for(lambda: is_(product, "second", "up"), timeout_s=60)
        product.post(f"nodes/{first}/cordon/", status=200)
        product.register("works", "/bin/sleep", "300", kind="persistent")
        old = running(product, "works")
        assert old["node"] == "second"
        product.post(f"nodes/{first}/uncordon/", status=200)
        refused = product.api("POST", "nodes/second/lost/")
        assert (refused.status, refused.body["code"]) == (409, "not_allowed_now")
        os.kill(second.pid, signal.SIGKILL)  # its program runs on under its holder
        second.wait()
        wait_for(lambda: is_(product, "second", "down"), timeout_s=60)
        assert product.run(old["uid"])["state"] == "running"  # a silent node keeps it
        product.post("nodes/second/lost/", status=200)
        assert product.run(old["uid"])["state"] == "lost"
        fresh = running(product, "works")
        assert (fresh["node"], fresh["retry_of"]) == (first, old["uid"])
        assert processes_of({old["uid"]})
        second = second_node(
            product
        )  # it was only asleep: what is no run any more ends
        wait_for(lambda: not processes_of({old["uid"]}), timeout_s=60)
        assert product.run(fresh["uid"])["state"] == "running"
        assert product.run(old["uid"])["state"] == "lost"
    finally:
        second.kill()
        second.wait()
