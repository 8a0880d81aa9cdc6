"""Runs find what they need around them: peers, ports, files, GPUs, results."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.free_ports import ten_free_ports
from tests.live.harness import API, PYTHON, Product, free_port, running_product
from tests.waiting import wait_for

SERVER = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from " + os.environ["KOS_AGENT_ID"].encode())
    def log_message(self, *said):
        pass
assert os.environ["PORT"] == os.environ["KOS_PORT_HTTP"]
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
CLIENT = """
import os, time, urllib.request
peer = os.environ["KOS_PEER_PAGE_SERVER_HTTP"]
for _ in range(100):
    try:
        print(urllib.request.urlopen(f"http://{peer}/", timeout=5).read().decode())
        break
    except OSError:
        time.sleep(0.05)
"""
SHOWS = 'echo "$CUDA_VISIBLE_DEVICES|$NVIDIA_VISIBLE_DEVICES|$KOS_GPUS"; sleep 60'
CONFIG = """
max_concurrent_agents: 40
nodes:
  labels: [fast-disk, zone=north]
  ports: {first}-{last}
  devices: [{{id: gpu0, memory: 24GB, model: A10}}, {{id: gpu1, share: 2}}]
"""


@pytest.fixture(scope="module")
def ports() -> range:
    return ten_free_ports()


@pytest.fixture(scope="module")
def product(
    ports: range, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("kos")
    (folder / "config.yaml").write_text(CONFIG.format(first=ports[0], last=ports[-1]))
    env = {"KOS_CONFIG": str(folder / "config.yaml")}
    with running_product(folder, env=env) as product:
        yield product


def state(product: Product, uid: str) -> str:
    return str(product.run(uid)["state"])


def started(product: Product, uid: str) -> str:
    wait_for(lambda: state(product, uid) == "running", timeout_s=20)
    return uid


def blocker(product: Product, uid: str) -> dict[str, Any]:
    """What the run says it waits for, once it says so."""

    def told() -> Any:
        why = product.get(f"runs/{uid}/why/")
        return why if why["code"].startswith(("req", "port")) else None

    return dict(wait_for(told, timeout_s=20))


def endpoints(product: Product, agent: str) -> list[dict[str, Any]]:
    return list(product.get(f"agents/{agent}/endpoints/")["items"])


def test_a_dependant_waits_for_its_peer_and_fetches_from_it(
    product: Product, ports: range
) -> None:
    auto = {"http": "auto"}
    product.register("page-server", PYTHON, "-c", SERVER, ports=auto)
    product.register("reader", PYTHON, "-c", CLIENT, depends_on=["page-server"])
    (reader,) = product.spawn("reader")
    told = blocker(product, reader)
    assert told["code"].startswith("requires")
    assert told["text"] == "waits for agent page-server to be ready"

    (server,) = product.spawn("page-server")
    assert product.wait_for_end(reader)["state"] == "succeeded"
    assert product.output(reader) == "hello from page-server\n"
    (one,) = endpoints(product, "page-server")
    assert one == {
        "run": server,
        "node": product.run(server)["node"],
        "name": "http",
        "host": "127.0.0.1",
        "port": one["port"],
        "ready": True,
    }
    assert one["port"] in ports
    said = httpx.get(f"http://127.0.0.1:{one['port']}/", timeout=5).text
    assert said == "hello from page-server"
    product.post(f"runs/{server}/stop/", status=200)
    product.wait_for_end(server)
    assert endpoints(product, "page-server") == []


def test_no_two_runs_get_one_port_and_the_eleventh_waits(
    product: Product, ports: range
) -> None:
    product.register("many", "/bin/sleep", "60", ports={"a": "auto"})
    runs = product.spawn("many", 11)

    def live() -> list[dict[str, Any]]:
        return endpoints(product, "many")

    wait_for(lambda: len(live()) == 10, timeout_s=30)
    assert sorted(one["port"] for one in live()) == [*ports]
    waiting = [uid for uid in runs if state(product, uid) == "queued"]
    assert len(waiting) == 1
    none = f"no port of {ports[0]}-{ports[-1]} is free"
    assert none in blocker(product, waiting[0])["text"]
    freed = next(uid for uid in runs if uid not in waiting)
    product.post(f"runs/{freed}/stop/", status=200)
    started(product, waiting[0])
    product.post("agents/many/stop/", {}, status=202)
    wait_for(lambda: live() == [], timeout_s=30)


def test_a_port_of_another_program_is_waited_for(product: Product) -> None:
    port = free_port()
    product.register("fixed", "/bin/sleep", "60", ports={"http": port})
    with socket.create_server(("127.0.0.1", port)):
        (uid,) = product.spawn("fixed")
        told = blocker(product, uid)
        assert told["code"] == "ports"
        assert f"port {port} on " in told["text"]
        assert "is taken by another program" in told["text"]
    started(product, uid)
    assert endpoints(product, "fixed")[0]["port"] == port
    product.post(f"runs/{uid}/stop/", status=200)


def test_a_run_waits_for_its_file_and_starts_when_it_is_there(
    product: Product, tmp_path: Path
) -> None:
    file = tmp_path / "in.csv"
    door = socket.create_server(("127.0.0.1", 0))
    answering = f"127.0.0.1:{door.getsockname()[1]}"
    requires = [
        "fast-disk",
        {"capability": "zone=north"},
        {"command": "sh"},
        {"port_free": free_port()},
        {"reachable": answering},
        {"file": str(file)},
    ]
    product.register("patient", "/bin/true", requires=requires)
    (uid,) = product.spawn("patient")
    wait_for(lambda: blocker(product, uid)["code"] == "requires:6", timeout_s=20)
    assert blocker(product, uid)["text"] == f"waits for the file {file}"
    file.touch()
    assert product.wait_for_end(uid)["state"] == "succeeded"
    door.close()


def test_a_run_fails_when_what_it_requires_does_not_come_in_time(
    product: Product,
) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    requires = [{"reachable": nowhere, "within": "2s"}]
    product.register("impatient", "/bin/true", requires=requires)
    begun = time.monotonic()
    (uid,) = product.spawn("impatient")
    ended = product.wait_for_end(uid)
    assert ended["state"] == "failed"
    assert ended["reason"] == f"waited 2 s for {nowhere} to answer"
    assert time.monotonic() - begun >= 2


def test_gpus_are_given_by_name_and_shared_only_where_declared(
    product: Product,
) -> None:
    product.register("learner", "/bin/sh", "-c", SHOWS, gpu=1)
    product.register("plain", "/bin/sh", "-c", SHOWS)
    runs = product.spawn("learner", 4)

    def running() -> list[str]:
        return [uid for uid in runs if state(product, uid) == "running"]

    wait_for(lambda: len(running()) == 3, timeout_s=20)

    def lines(uids: list[str]) -> list[str]:
        return sorted(product.output(uid).strip() for uid in uids)

    wait_for(lambda: all(lines(running())), timeout_s=10)
    assert lines(running()) == ["gpu0|gpu0|gpu0", *["gpu1|gpu1|gpu1"] * 2]
    (plain,) = product.spawn("plain")
    wait_for(lambda: product.output(plain) == "|void|\n", timeout_s=20)
    (node,) = product.get("nodes/")["items"]
    assert [d["id"] for d in node["devices"]] == ["gpu0", "gpu1"]
    assert node["gpus"] == 3
    for uid in (*runs, plain):
        product.post(f"runs/{uid}/stop/", status=200)


def test_a_result_comes_over_the_bus_to_who_waits_for_it(product: Product) -> None:
    script = """printf '{"answer": 42}' >"$KOS_RESULT" """
    product.register("thinker", "/bin/sh", "-c", script, capabilities=["thinking"])
    viewer = {"Authorization": f"Bearer {product.token('viewer')}"}
    url = f"{product.url}{API}bus/"
    with httpx.Client(headers=viewer, timeout=30) as client:
        empty = client.get(url, params={"capability": "thinking"}).json()
        assert empty == {"items": [], "next": "0-0"}
        (uid,) = product.spawn("thinker")
        asked = {"capability": "thinking", "after": empty["next"], "wait": 20}
        (item,) = client.get(url, params=asked).json()["items"]
        assert (item["run"], item["agent"], item["state"]) == (
            uid,
            "thinker",
            "succeeded",
        )
        assert item["result"] == {"answer": 42}
        (same,) = client.get(url, params={"agent": "thinker"}).json()["items"]
        assert same["run"] == uid
        begun = time.monotonic()
        more = {"agent": "thinker", "after": "newest", "wait": 1}
        assert client.get(url, params=more).json()["items"] == []
        assert time.monotonic() - begun >= 1
