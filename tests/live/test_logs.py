"""Logs of real runs over the real server: the same in each environment, bounded on the
disk and in memory."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.db.test_loki import Receiver, listening
from tests.executors.docker_bench import dockerd  # noqa: F401
from tests.executors.docker_daemon import IMAGE, Daemon
from tests.live.harness import API, Product, running_product
from tests.waiting import wait_for

CAP = 128 * 2**10
CONFIG = (
    "max_concurrent_agents: 40\npaths: {mount_roots: [/usr]}\noutput: {max_bytes: %s}"
)
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "subprocess": {},
    "docker": {
        "docker": {
            "image": IMAGE,
            "pull": "never",
            "mounts": [{"source": "/usr", "target": "/usr"}],
        }
    },
}
SLOW = """
for n in 1 2 3; do
    echo "{\\"level\\": \\"error\\", \\"msg\\": \\"part $n\\"}"; sleep 1.5
done
printf '\\033[31mred\\033[0m without an end' >&2
"""
FLOOD = "i=0; while [ $i -lt 60000 ]; do echo line $i; i=$((i+1)); done; exec sleep 300"
LONG = "yes %s | head -n 150000" % ("x" * 100)


@pytest.fixture(scope="module")
def product(
    dockerd: Daemon,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("kos")
    (folder / "config.yaml").write_text(CONFIG % CAP)
    env = {
        "KOS_CONFIG": str(folder / "config.yaml"),
        "DOCKER_HOST": dockerd.base_url,
    }
    with running_product(folder, env=env) as product:
        yield product


def started(product: Product, environment: str, name: str, script: str) -> str:
    agent_id = f"{name}-{environment}"
    more = {"exec_env": environment, **ENVIRONMENTS[environment]}
    product.register(agent_id, "/bin/sh", "-c", script, **more)
    (uid,) = product.spawn(agent_id)
    return uid


def lines(product: Product, uid: str, query: str = "") -> Any:
    return product.get(f"runs/{uid}/log-lines/?{query}")


def download(product: Product, path: str, **headers: str) -> httpx.Response:
    headers = {
        "Authorization": f"Bearer {product.token()}",
        **headers,
    }
    return httpx.get(f"{product.url}{API}{path}", headers=headers, timeout=120)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_lines_are_structured_and_timed_as_they_were_printed(
    product: Product, environment: str
) -> None:
    began = time.time()
    uid = started(product, environment, "slow", SLOW)
    product.wait_for_end(uid, timeout_s=60)
    items = lines(product, uid)["items"]
    said = [(i["stream"], i["level"], i.get("message")) for i in items[:3]]
    assert said == [("out", "error", f"part {n}") for n in (1, 2, 3)]
    assert items[3]["text"] == "\x1b[31mred\x1b[0m without an end"
    at = [datetime.fromisoformat(item["at"]).timestamp() for item in items]
    assert began < at[0]
    gaps = [later - earlier for earlier, later in itertools.pairwise(at)]
    assert all(1.2 < gap < 4 for gap in gaps), gaps  # not all at the end
    found = lines(product, uid, "q=RED%20without")["items"]
    assert [item["stream"] for item in found] == ["err"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_of_one_that_goes_on_printing_the_newest_is_kept_and_the_disk_is_bounded(
    product: Product, environment: str
) -> None:
    uid = started(product, environment, "flood", FLOOD)
    wait_for(
        lambda: (
            [i["text"] for i in lines(product, uid, "limit=1")["items"]]
            == ["line 59999"]
        ),
        timeout_s=90,
        every_s=0.5,
    )
    wait_for(lambda: is_cut_to_size(lines(product, uid)), timeout_s=30)
    told = [
        json.loads(x) for x in download(product, f"runs/{uid}/log.jsonl").iter_lines()
    ]
    size = lines(product, uid)["size"]["out"]
    assert size == sum(len(f"line {n}\n") for n in range(60_000))
    assert told[0]["seq"] == 0
    assert sum(item["bytes"] for item in told) == size
    assert sum("cut" in item for item in told) == 1
    assert told[-1]["text"] == "line 59999"
    out = product.var / "runs" / uid[:2] / uid / "out"
    wait_for(lambda: out.stat().st_blocks * 512 <= 2 * CAP, timeout_s=30)
    kept = download(product, f"runs/{uid}/output/out/", Range="bytes=-11")
    assert (kept.status_code, kept.text) == (206, "line 59999\n")
    product.post(f"runs/{uid}/stop/", status=200)
    product.wait_for_end(uid)


def is_cut_to_size(body: Any) -> bool:
    """Whether the cap was kept since the last line came."""
    cut = body["cut"]["out"]
    return bool(cut) and body["size"]["out"] - cut["to"] < CAP / 2 + 4096


def test_a_download_does_not_make_the_server_grow(product: Product) -> None:
    product.api("PATCH", "config/", {"output.max_bytes": "64MiB"}).expect(200)
    started(product, "subprocess", "long", LONG)

    def kept_whole() -> str | None:  # the node follows within a heartbeat
        (uid,) = product.spawn("long-subprocess")
        product.wait_for_end(uid, timeout_s=90)
        return uid if lines(product, uid)["cut"]["out"] is None else None

    uid = wait_for(kept_whole, timeout_s=60, every_s=1) or ""
    web = product.pid("web")
    lines(product, uid)
    before, count = resident_mb(web), 0
    headers = {"Authorization": f"Bearer {product.token()}"}
    url = f"{product.url}{API}runs/{uid}/log.jsonl"
    with httpx.stream("GET", url, headers=headers, timeout=120) as answer:
        pieces = answer.iter_raw()
        first = next(pieces)
        count += first.count(b"\n")
        stalled = resident_mb(web)  # the server must not run ahead of its client
        count += sum(piece.count(b"\n") for piece in pieces)
    assert count == 150_000
    assert stalled - before < 20
    assert resident_mb(web) - before < 20


def test_the_node_ships_to_loki_once_it_is_told_where(product: Product) -> None:
    with listening() as receiver:
        product.api("PATCH", "config/", {"loki.url": receiver.url}).expect(200)
        uid = started(product, "subprocess", "shipped", "echo one; echo two >&2")
        product.wait_for_end(uid)
        wait_for(lambda: len(shipped(receiver, uid)) == 2, timeout_s=30)
        product.api("PATCH", "config/", {"loki.url": ""}).expect(200)
    assert shipped(receiver, uid) == ["one", "two"]


def shipped(receiver: Receiver, uid: str) -> list[str]:
    return [
        text
        for push in receiver.pushes
        for stream in push["streams"]
        for _, text, about in stream["values"]
        if about == {"run": uid}
    ]


def resident_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024
