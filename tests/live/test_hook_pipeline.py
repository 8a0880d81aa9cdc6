"""Hooks of a running product: data comes, the agent warms up, runs, and is archived."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.db.receiver import Receiver, receiving
from tests.depot import Depot, open_depot
from tests.live.harness import PYTHON, Product, free_port, running_product
from tests.waiting import wait_for

CONFIG = """
max_concurrent_agents: 40
paths: {{preload_roots: [{0}/data], archive_roots: [{0}/kept]}}
preload: {{private_hosts: [127.0.0.1]}}
results: {{allow_private_targets: true, timeout: 2, retries: [0.5s, 1s, 1s]}}
"""
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SERVES = """
import http.server, os, pathlib, sys, time
weights = pathlib.Path("model/weights.txt").read_text()
print("loaded", weights, flush=True)
time.sleep(1)
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"warm")
        pathlib.Path("asked").touch()
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answers)
server.timeout = 30
server.handle_request()
pathlib.Path("report.csv").write_text("a,b\\n")
pathlib.Path("leak").symlink_to("/etc/passwd")
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("kos")
    for name in ("data", "kept"):
        (folder / name).mkdir()
    (folder / "config.yaml").write_text(CONFIG.format(folder))
    env = {"KOS_CONFIG": str(folder / "config.yaml")}
    with running_product(folder, env=env) as product:
        yield product


@pytest.fixture
def depot() -> Iterator[Depot]:
    with open_depot() as depot:
        yield depot


def packed(**files: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
    return file.getvalue()


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def preload(source: str, to: str = "model", **more: Any) -> dict[str, Any]:
    return {"when": "pre-start", "preload": {"from": source, "to": to, **more}}


def before(*command: str, **more: Any) -> dict[str, Any]:
    return {"when": "pre-start", "run": list(command), **more}


def shell(when: str, script: str, **more: Any) -> dict[str, Any]:
    return {"when": when, "run": ["/bin/sh", "-c", script], **more}


def phases(product: Product, uid: str) -> list[tuple[str, str]]:
    return [(p["name"], p["outcome"]) for p in product.run(uid)["phases"]]


def settled(product: Product, uid: str) -> list[dict[str, Any]]:
    """The steps of a run that is over, once they are over too."""
    product.wait_for_end(uid)

    def over() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = product.run(uid)["phases"]
        return found if found and all(p["outcome"] for p in found) else []

    return wait_for(over, timeout_s=30, every_s=0.1)


def work(product: Product, uid: str) -> Path:
    return product.var / "runs" / uid[:2] / uid / "work"


def test_preload_warm_up_run_and_archive_with_their_times(
    product: Product, depot: Depot
) -> None:
    model = packed(**{"weights.txt": "42"})
    depot.files["small.tar.gz"] = model
    port, kept = free_port(), product.var.parent / "kept"
    product.register(
        "server",
        *(PYTHON, "-c", SERVES, str(port)),
        hooks=[
            preload(depot.url("small.tar.gz"), sha256=sha(model), unpack=True),
            before("/bin/test", "-s", "model/weights.txt"),
            {
                "when": "post-start",
                "warm_up": {"http": f"http://127.0.0.1:{port}/", "every": 0.2},
                "on_failure": "fail",
            },
            {
                "when": "on-shutdown",
                "archive": {
                    "what": ["output", "report.csv", "leak"],
                    "to": f"{kept}/server",
                },
            },
        ],
    )
    (uid,) = product.spawn("server")
    run = product.wait_for_end(uid)
    assert run["state"] == "succeeded", (run["reason"], product.output(uid, "err"))
    steps = settled(product, uid)
    assert [(p["when"], p["name"], p["outcome"]) for p in steps] == [
        ("pre-start", "preload", "done"),
        ("pre-start", "/bin/test -s model/weights.txt", "done"),
        ("post-start", "warm-up", "done"),
        ("on-shutdown", "archive", "done"),
    ]
    told = [p[name] for p in steps[:2] for name in ("started_at", "ended_at")]
    times = [run["queued_at"], run["admitted_at"], run["starting_at"], *told]
    assert [*times, run["started_at"]] == sorted([*times, run["started_at"]])
    assert run["started_at"] <= steps[2]["started_at"] < steps[2]["ended_at"]
    assert run["ended_at"] <= steps[3]["started_at"]
    with tarfile.open(kept / "server" / f"server-{uid}.tar.gz") as tar:
        members = {m.name: tar.extractfile(m) for m in tar}
    assert set(members) == {"out", "err", "work/report.csv"}  # and no link
    with tarfile.open(kept / "server" / f"server-{uid}.tar.gz") as tar:
        out = tar.extractfile("out")
        assert out is not None
        assert out.read() == b"loaded 42\n"


def test_a_pipeline_ends_with_its_result_told_to_a_receiver_that_failed_twice(
    product: Product, depot: Depot
) -> None:
    """Preload with checksum, warm-up, run, archive, and a webhook; on one time line."""
    model = packed(**{"weights.txt": "42"})
    depot.files["model.tar.gz"] = model
    port, kept = free_port(), product.var.parent / "kept"
    product.api("PUT", "secrets/hook/", {"value": WHSEC}).expect(201)
    leaves = "pathlib.Path(os.environ['KOS_RESULT']).write_text('{\"score\": 1}')"
    warm_up = {"http": f"http://127.0.0.1:{port}/", "every": 0.2}
    archive = {"what": ["output"], "to": f"{kept}/pipeline"}
    with receiving(Receiver(answers=[500, 503])) as receiver:
        product.register(
            "pipeline",
            *(PYTHON, "-c", SERVES + leaves, str(port)),
            hooks=[
                preload(depot.url("model.tar.gz"), sha256=sha(model), unpack=True),
                {"when": "post-start", "warm_up": warm_up, "on_failure": "fail"},
                {"when": "on-shutdown", "archive": archive},
            ],
            results=[{"webhook": receiver.url, "secret": "hook"}],
        )
        (uid,) = product.spawn("pipeline")
        steps = settled(product, uid)
        row = wait_for(lambda: delivered(product, uid), timeout_s=30, every_s=0.1)
    assert [(p["name"], p["outcome"]) for p in steps] == [
        ("preload", "done"),
        ("warm-up", "done"),
        ("archive", "done"),
    ]
    assert (row["attempts"], row["detail"]) == (3, "answered 204")
    assert len({post.headers["webhook-id"] for post in receiver.got}) == 1
    assert all(post.is_signed_with(WHSEC) for post in receiver.got)
    told = json.loads(receiver.got[-1].body)["data"]
    assert (told["uid"], told["result"]) == (uid, {"score": 1})
    assert (kept / "pipeline" / f"pipeline-{uid}.tar.gz").exists()
    run = product.run(uid)
    assert run["started_at"] <= steps[1]["ended_at"] <= run["ended_at"]
    assert run["ended_at"] <= row["created_at"]


def delivered(product: Product, uid: str) -> Any:
    (row,) = product.run(uid)["deliveries"] or [None]
    return row if row and row["state"] == "delivered" else None


def test_the_second_run_takes_the_file_from_the_cache(
    product: Product, depot: Depot
) -> None:
    depot.files["big"] = b"x" * 3_000_000
    hook = preload(depot.url("big"), sha256=sha(depot.files["big"]))
    product.register("cached", "/bin/true", hooks=[hook])
    depot.gate.clear()
    together = product.spawn("cached", 5)
    wait_for(lambda: depot.asked["big"], timeout_s=20)
    depot.gate.set()
    for uid in [*together, *product.spawn("cached")]:
        assert product.wait_for_end(uid)["state"] == "succeeded"
        assert (work(product, uid) / "model").stat().st_size == 3_000_000
    assert depot.asked["big"] == 1
    (step,) = product.run(uid)["phases"]
    assert step["detail"] == "3.0 MB from the cache"


def test_a_wrong_checksum_fails_the_run_before_anything_is_used(
    product: Product, depot: Depot
) -> None:
    depot.files["m"] = b"not what you think"
    hooks = [preload(depot.url("m"), sha256="0" * 64), before("/bin/true")]
    product.register("deceived", "/bin/true", hooks=hooks)
    (uid,) = product.spawn("deceived")
    run = product.wait_for_end(uid)
    assert run["state"] == "failed"
    said = f"its sha256 is {sha(depot.files['m'])}, not {'0' * 64}"
    assert run["reason"] == f"pre-start hook 1 {said}"
    assert phases(product, uid) == [("preload", "failed"), ("/bin/true", "stopped")]
    assert not (work(product, uid) / "model").exists()


def test_a_hostile_archive_fails_the_run_and_is_named(
    product: Product, depot: Depot
) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("../../../evil"))
    depot.files["slip.tar"] = file.getvalue()
    hook = preload(depot.url("slip.tar"), unpack=True, sha256=sha(file.getvalue()))
    product.register("slipped", "/bin/true", hooks=[hook])
    (uid,) = product.spawn("slipped")
    run = product.wait_for_end(uid)
    assert run["state"] == "failed"
    assert "'../../../evil' goes up" in run["reason"]
    assert not list(product.var.rglob("evil"))


def test_a_file_of_the_node_comes_only_from_an_allowed_folder(
    product: Product,
) -> None:
    data = product.var.parent / "data"
    (data / "table").write_text("mine\n")
    (data / "link").symlink_to("/etc/passwd")
    asked = {"agent_id": "reader", "exec_env": "sandbox", "entry_point": "/bin/true"}
    refused = product.api(
        "POST", "agents/", {**asked, "hooks": [preload("/etc/passwd")]}
    )
    assert refused.status == 403
    assert "preload_roots" in refused.body["fields"]["hooks"][0]
    product.register("linked", "/bin/true", hooks=[preload(f"{data}/link")])
    (uid,) = product.spawn("linked")
    assert "links are not followed" in product.wait_for_end(uid)["reason"]
    product.register("copied", "/bin/cat", "model", hooks=[preload(f"{data}/table")])
    (uid,) = product.spawn("copied")
    assert product.wait_for_end(uid)["state"] == "succeeded"
    assert product.output(uid) == "mine\n"


def test_a_rule_says_what_a_failure_does(product: Product) -> None:
    product.register(
        "careless",
        "/bin/sleep",
        "1",
        hooks=[
            before("/bin/false", on_failure="ignore"),
            before("/no/such/program", on_failure="warn"),
            shell("post-start", "exit 4"),
            shell("on-shutdown", "exit 5"),
            shell("on-shutdown", 'echo "$KOS_RUN_STATE $KOS_EXIT_CODE" >told'),
        ],
    )
    (uid,) = product.spawn("careless")
    steps = settled(product, uid)
    assert product.run(uid)["state"] == "succeeded"
    outcomes = [p["outcome"] for p in steps]
    assert outcomes == ["ignored", "warned", "warned", "warned", "done"]
    assert steps[1]["detail"] == "cannot start: no such program: /no/such/program"
    assert steps[2]["detail"] == "ended with 4"
    assert (work(product, uid) / "told").read_text() == "succeeded 0\n"


def test_a_post_start_hook_that_must_not_fail_ends_the_run_as_failed(
    product: Product,
) -> None:
    hooks = [
        shell("post-start", "echo cold >&2; exit 4", on_failure="fail"),
        shell("post-start", "true"),
        shell("on-shutdown", 'echo "$KOS_RUN_STATE" >told'),
    ]
    product.register("cold", "/bin/sleep", "300", hooks=hooks)
    (uid,) = product.spawn("cold")
    steps = settled(product, uid)
    run = product.run(uid)
    assert run["state"] == "failed"
    assert run["reason"] == "post-start hook 1 ended with 4: cold"
    assert [p["outcome"] for p in steps] == ["failed", "stopped", "done"]
    assert (work(product, uid) / "told").read_text() == "failed\n"


def test_a_warm_up_by_command_is_tried_until_it_answers(product: Product) -> None:
    warm = {"when": "post-start", "warm_up": {"command": ["/bin/test", "-e", "up"]}}
    warm["warm_up"]["every"] = 0.1  # type: ignore[index]
    script = "sleep 1; touch up; sleep 2"
    product.register("slowly", "/bin/sh", "-c", script, hooks=[warm])
    (uid,) = product.spawn("slowly")
    (step,) = settled(product, uid)
    assert step["outcome"] == "done"
    assert step["detail"].startswith("answered at the ")


def test_a_warm_up_that_never_comes_says_what_it_saw_last(product: Product) -> None:
    warm = {
        "when": "post-start",
        "warm_up": {"http": f"http://127.0.0.1:{free_port()}/", "every": 0.2},
        "timeout": 1,
        "on_failure": "fail",
    }
    product.register("never", "/bin/sleep", "300", hooks=[warm])
    (uid,) = product.spawn("never")
    run = product.wait_for_end(uid)
    assert run["state"] == "failed"
    assert "took over 1 s; the last answer was" in run["reason"]
    assert "refused" in run["reason"]


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
