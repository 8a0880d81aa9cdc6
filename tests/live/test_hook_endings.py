"""Hooks and their end: limits, stops, and everybody killed in the middle of them."""

from __future__ import annotations

import os
import signal
import tarfile
from pathlib import Path

import pytest

from tests.depot import Depot
from tests.live.harness import Product
from tests.live.hook_bench import (
    before,
    phases,
    preload,
    settled,
    sha,
    shell,
    work,
)
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def product(hooks_product: Product) -> Product:
    return hooks_product


def test_what_goes_on_beside_a_program_ends_with_it(product: Product) -> None:
    product.register("short", "/bin/true", hooks=[shell("post-start", "sleep 300")])
    (uid,) = product.spawn("short")
    (step,) = settled(product, uid)
    assert product.run(uid)["state"] == "succeeded"
    assert step["outcome"] == "stopped"
    wait_for(lambda: not processes(product, uid), timeout_s=20)


def processes(product: Product, uid: str) -> list[str]:
    """What runs of it, helpers and their daemons too."""
    found = []
    for pid in product.processes():
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if f"KOS_RUN_UID={uid}".encode() in environment:
            found.append(Path(f"/proc/{pid}/cmdline").read_text())
    return found


def test_a_time_limit_ends_a_step_with_all_it_started(product: Product) -> None:
    forks = "setsid sleep 300 & (setsid sleep 300 &) ; sleep 300"
    product.register("forks", "/bin/true", hooks=[shell("pre-start", forks, timeout=1)])
    (uid,) = product.spawn("forks")
    wait_for(lambda: len(processes(product, uid)) == 4, timeout_s=20)
    run = product.wait_for_end(uid)
    assert (run["state"], run["reason"]) == ("failed", "pre-start hook 1 took over 1 s")
    wait_for(lambda: not processes(product, uid), timeout_s=20)


def test_a_stop_ends_the_step_that_goes_on(product: Product, depot: Depot) -> None:
    depot.files["slow"] = b"x" * 1000
    product.register(
        "halted",
        "/bin/true",
        hooks=[preload(depot.url("slow"), sha256="1" * 64), before("/bin/true")],
    )
    depot.gate.clear()
    (uid,) = product.spawn("halted")
    wait_for(lambda: depot.asked["slow"], timeout_s=20)
    product.post(f"runs/{uid}/stop/", status=200)
    assert product.wait_for_end(uid)["state"] == "cancelled"
    depot.gate.set()
    outcomes = [p["outcome"] for p in settled(product, uid)]
    assert outcomes == ["stopped", "stopped"]


def test_a_fetch_that_stalls_keeps_to_its_time(product: Product, depot: Depot) -> None:
    depot.files["stalled"] = b"x" * 1000
    hook = {**preload(depot.url("stalled"), sha256="2" * 64), "timeout": 1}
    product.register("stalled", "/bin/true", hooks=[hook])
    depot.gate.clear()
    (uid,) = product.spawn("stalled")
    run = product.wait_for_end(uid, timeout_s=15)
    assert (run["state"], run["reason"]) == ("failed", "pre-start hook 1 took over 1 s")


def test_a_run_that_waits_for_its_turn_stops_at_once(product: Product) -> None:
    hooks = [shell("pre-start", "sleep 300", timeout=600)]
    product.register("many", "/bin/true", hooks=hooks)
    uids = product.spawn("many", 18)

    def begun() -> list[str]:
        found = [product.run(uid) for uid in uids]
        return [r["uid"] for r in found if r["phases"] and r["phases"][0]["started_at"]]

    wait_for(lambda: len(begun()) == 16, timeout_s=30, every_s=0.2)
    waiting = set(uids) - set(begun())
    for uid in [*waiting, *begun()]:
        product.post(f"runs/{uid}/stop/", status=200)
        ended = product.wait_for_end(uid, timeout_s=15)
        assert ended["state"] == "cancelled"
        assert [p["outcome"] for p in settled(product, uid)] == ["stopped"]


# -- the node is killed ---------------------------------------------------------------


def test_a_preload_goes_on_after_the_node_was_killed(
    product: Product, depot: Depot
) -> None:
    depot.files["half"] = b"x" * 100_000
    hook = preload(depot.url("half"), sha256=sha(depot.files["half"]))
    product.register("resumed", "/bin/cat", "model", hooks=[hook, before("/bin/true")])
    depot.gate.clear()
    (uid,) = product.spawn("resumed")
    wait_for(lambda: depot.asked["half"], timeout_s=20)
    assert product.run(uid)["phases"][0]["outcome"] == ""
    product.kill("node")
    depot.gate.set()
    assert product.wait_for_end(uid, timeout_s=60)["state"] == "succeeded"
    assert [p["outcome"] for p in settled(product, uid)] == ["done", "done"]
    out = product.var / "runs" / uid[:2] / uid / "out"
    assert out.read_text() == "x" * 100_000
    assert depot.asked["half"] == 2
    assert not list((product.var / "cache").rglob("*.part"))


def test_a_command_that_outlives_the_node_is_done_once_and_believed(
    product: Product,
) -> None:
    script = "echo began >>said; sleep 3; echo ended >>said"
    product.register("outlived", "/bin/true", hooks=[shell("pre-start", script)])
    (uid,) = product.spawn("outlived")
    wait_for((work(product, uid) / "said").exists, timeout_s=20)
    product.kill("node")
    assert product.wait_for_end(uid, timeout_s=60)["state"] == "succeeded"
    assert (work(product, uid) / "said").read_text() == "began\nended\n"
    assert phases(product, uid)[0][1] == "done"


def test_what_is_due_after_the_end_is_done_although_everybody_was_dead(
    product: Product,
) -> None:
    kept = product.var.parent / "kept"
    hooks = [
        shell("on-shutdown", 'echo "$KOS_RUN_STATE" >>told'),
        {"when": "on-shutdown", "archive": {"to": str(kept), "what": ["told"]}},
    ]
    script = "echo up; sleep 3; echo done; exit 6"
    product.register("orphan", "/bin/sh", "-c", script, hooks=hooks)
    (uid,) = product.spawn("orphan")
    wait_for(lambda: product.output(uid) == "up\n", timeout_s=20)
    process, node, web = product.process, product.pid("node"), product.pid("web")
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    os.kill(node, signal.SIGKILL)
    out = product.var / "runs" / uid[:2] / uid / "out"
    wait_for(lambda: "done" in out.read_text(), timeout_s=30)
    product.start()
    wait_for(lambda: product.pid("web") != web, timeout_s=40)
    wait_for(product.is_serving, timeout_s=40)
    run = product.wait_for_end(uid, timeout_s=60)
    assert (run["state"], run["exit_code"]) == ("failed", 6)
    assert [p["outcome"] for p in settled(product, uid)] == ["done", "done"]
    assert (work(product, uid) / "told").read_text() == "failed\n"
    with tarfile.open(kept / f"orphan-{uid}.tar.gz") as tar:
        assert tar.getnames() == ["work/told"]
