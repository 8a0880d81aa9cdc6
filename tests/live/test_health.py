"""Readiness, liveness, watchdogs and what programs say, in the whole product."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.live.harness import PYTHON, ROOT, Product, free_port
from tests.waiting import wait_for

SAY = """
import os, socket, time
def say(*lines):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto("\\n".join(lines).encode(), os.environ["NOTIFY_SOCKET"])
def await_file(name):
    while not os.path.exists(name): time.sleep(0.02)
"""
SERVE = """
import http.server, sys, threading
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(500 if os.path.exists("sick") else 200); self.end_headers()
    def log_message(self, *a): pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page)
server.serve_forever()
"""


def examples(language: str) -> list[str]:
    page = (ROOT / "docs" / "agents.md").read_text()
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def spawned(product: Product, agent_id: str, code: str, *args: str, **more: Any) -> str:
    product.register(agent_id, PYTHON, "-c", SAY + code, *args, **more)
    return product.spawn(agent_id)[0]


def becomes(product: Product, uid: str, **wanted: Any) -> Any:
    def seen() -> Any:
        run = product.run(uid)
        return run if all(run[k] == v for k, v in wanted.items()) else None

    return wait_for(seen, timeout_s=40, every_s=0.1)


def ready(product: Product, uid: str) -> Any:
    return wait_for(lambda: product.run(uid)["ready_at"], timeout_s=40, every_s=0.1)


def work_of(product: Product, uid: str) -> Path:
    (found,) = product.var.glob(f"**/{uid}/work")
    return found


@pytest.mark.parametrize("language", ["sh", "python"])
def test_the_examples_of_the_docs_work(product: Product, language: str) -> None:
    (script,) = examples(language)
    program = "/bin/sh" if language == "sh" else PYTHON
    product.register(f"example-{language}", program, "-c", script)
    (uid,) = product.spawn(f"example-{language}")
    run = product.wait_for_end(uid)
    assert (run["state"], run["progress"]) == ("succeeded", 1.0), run
    assert run["ready_at"] is not None
    wanted = {"sh": {"files": 100}, "python": {"steps": 4, "params": {}}}
    assert product.get(f"runs/{uid}/result/") == wanted[language]
    status = {"sh": "100 of 100 files", "python": "stopping"}
    becomes(product, uid, status_text=status[language])

    def sealed() -> list[str]:
        return [e["kind"] for e in product.get(f"audit/?subject=run:{uid}")["items"]]

    wait_for(lambda: "run.succeeded" in sealed())
    assert sealed().count("run.ready") == 1


def test_ready_said_while_the_node_is_down_is_known_afterwards(
    product: Product,
) -> None:
    uid = spawned(
        product,
        "says-ready",
        "await_file('go'); say('READY=1', 'STATUS=up'); time.sleep(300)",
        readiness={"notify": True, "within": "60s"},
    )
    becomes(product, uid, state="running", ready_at=None)
    gate = work_of(product, uid) / "go"
    os.kill(product.pid("node"), signal.SIGKILL)  # another takes a second to come …
    gate.touch()  # … and it looks every 20 ms
    assert ready(product, uid)
    assert product.run(uid)["status_text"] == "up"
    product.post(f"runs/{uid}/stop/", status=200)


def test_who_is_not_ready_in_time_fails_with_that_reason(product: Product) -> None:
    uid = spawned(
        product,
        "never-ready",
        "time.sleep(300)",
        readiness={"notify": True, "within": "1s"},
    )
    run = product.wait_for_end(uid)
    assert run["state"] == "failed"
    assert run["reason"] == "not ready within 1 s: it never said so"


def test_a_port_that_opens_late_makes_it_ready(product: Product) -> None:
    port = free_port()
    code = (
        f"await_file('go'); s = socket.create_server(('127.0.0.1', {port})); "
        "time.sleep(300)"
    )
    uid = spawned(product, "late", code, readiness={"port": port, "every": "100ms"})
    becomes(product, uid, state="running", ready_at=None)
    (work_of(product, uid) / "go").touch()
    assert ready(product, uid)
    product.post(f"runs/{uid}/stop/", status=200)


def test_a_named_port_that_never_opens_fails_it(product: Product) -> None:
    uid = spawned(
        product,
        "shut",
        "time.sleep(300)",
        ports={"api": free_port()},
        readiness={"port": "api", "every": "100ms", "within": "1s"},
    )
    reason = product.wait_for_end(uid)["reason"]
    assert re.fullmatch(r"not ready within 1 s: nothing listens on port \d+", reason)


def test_an_http_server_that_falls_sick_is_ended_and_says_why(
    product: Product,
) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/health"
    uid = spawned(
        product,
        "web",
        SERVE,
        str(port),
        readiness={"http": url, "every": "100ms"},
        liveness={"http": url, "every": "100ms", "failures": 2},
    )
    assert ready(product, uid)
    (work_of(product, uid) / "sick").touch()
    run = product.wait_for_end(uid)
    assert run["state"] == "failed"
    assert run["reason"] == f"not alive: 2 probes in a row failed: {url} answers 500"


def test_a_command_looks_in_the_runs_own_folder(product: Product) -> None:
    uid = spawned(
        product,
        "file",
        "await_file('go'); open('ready', 'w'); time.sleep(300)",
        readiness={"command": ["test", "-e", "ready"], "every": "100ms"},
        liveness={"command": ["test", "!", "-e", "dead"], "every": "100ms"},
    )
    becomes(product, uid, state="running", ready_at=None)
    (work_of(product, uid) / "go").touch()
    assert ready(product, uid)
    (work_of(product, uid) / "dead").touch()
    run = product.wait_for_end(uid)
    assert run["reason"] == "not alive: 3 probes in a row failed: test ended with 1"


def test_a_missed_watchdog_is_a_crash_that_is_retried(product: Product) -> None:
    uid = spawned(
        product,
        "silent",
        "assert os.environ['WATCHDOG_USEC'] == '1000000'\n"
        "for _ in range(6): say('WATCHDOG=1'); time.sleep(0.3)\n"
        "time.sleep(300)",
        watchdog="1s",
        retries={"limit": 1, "delay": "100ms"},
    )
    run = product.wait_for_end(uid)
    assert run["state"] == "failed"
    assert run["reason"] == "missed its watchdog: silent for 1 s"

    def again() -> Any:
        runs = product.get("runs/?agent=silent")["items"]
        return next((r for r in runs if r["retry_of"] == uid), None)

    assert wait_for(again, timeout_s=20)


def test_a_crash_loop_stands_until_it_is_reset(product: Product) -> None:
    product.register(
        "loops",
        "/bin/false",
        kind="persistent",
        restart_backoff={"delay": "100ms", "max_delay": "100ms", "crash_loop": 3},
    )

    def shown() -> Any:
        return product.get("agents/loops/")

    agent = wait_for(lambda: shown()["crash_loop"] and shown(), timeout_s=60)
    assert agent["status"] == "crashed"
    assert agent["crash_loop"]["crashes"] == 3
    assert len(product.get("runs/?agent=loops")["items"]) == 3
    reset = product.post("agents/loops/reset/", status=202)
    assert reset["attempt"] == 1
    wait_for(lambda: shown()["crash_loop"], timeout_s=60)
    assert len(product.get("runs/?agent=loops")["items"]) == 6
