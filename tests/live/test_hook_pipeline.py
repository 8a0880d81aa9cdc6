"""Hooks of a running product: data comes, the agent warms up, runs, and is archived."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import pytest

from tests.db.receiver import Receiver, receiving
from tests.depot import Depot
from tests.live.harness import PYTHON, Product, free_port
from tests.live.hook_bench import (
    before,
    packed,
    phases,
    preload,
    settled,
    sha,
    shell,
    work,
)
from tests.waiting import wait_for

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
def product(hooks_product: Product) -> Product:
    return hooks_product


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
