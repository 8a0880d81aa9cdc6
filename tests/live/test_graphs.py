"""A graph of real programs: results passed on, a failure, kill -9, and the retry."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.live.harness import PYTHON, Product
from tests.waiting import wait_for

NOTES = """
import json, os, pathlib, sys, time
name, folder = os.environ["KOS_AGENT_ID"], pathlib.Path(sys.argv[1])
params = json.loads(os.environ["KOS_PARAMS"])
with open(folder / "notes", "a") as notes:
    notes.write(json.dumps([name, os.environ["KOS_ATTEMPT"], params]) + "\\n")
"""
COUNTS = (
    NOTES
    + """
deadline = time.monotonic() + 60
while not (folder / "go").exists() and time.monotonic() < deadline:
    time.sleep(0.05)
pathlib.Path(os.environ["KOS_RESULT"]).write_text('{"rows": {"count": 41}}')
"""
)
CHECKS = (
    NOTES
    + """
if not (folder / "mended").exists():
    sys.exit(7)
answer = {"score": params["rows"] + 1}
pathlib.Path(os.environ["KOS_RESULT"]).write_text(json.dumps(answer))
"""
)


def noted(folder: Path) -> list[list[Any]]:
    lines = (folder / "notes").read_text().splitlines()
    return [json.loads(line) for line in lines]


def define(product: Product, folder: Path) -> None:
    programs = {"count": COUNTS, "check": CHECKS, "report": NOTES, "alarm": NOTES}
    for name, text in programs.items():
        product.register(f"g-{name}", PYTHON, "-c", text, str(folder), timeout=90)
    nodes = [
        {"name": "count", "agent": "g-count"},
        {
            "name": "check",
            "agent": "g-check",
            "after": ["count"],
            "params": {"rows": {"from": "count", "path": "rows.count"}},
        },
        {
            "name": "report",
            "agent": "g-report",
            "after": ["check"],
            "params": {"score": {"from": "check", "path": "score"}},
        },
        {"name": "alarm", "agent": "g-alarm", "after": ["check"], "when": "finish"},
    ]
    product.post("graphs/", {"name": "nightly", "nodes": nodes})


def ended(product: Product, uid: str, state: str) -> Any:
    def look() -> Any:
        body = product.get(f"graph-runs/{uid}/")
        return body if body["state"] == state else None

    return wait_for(look, timeout_s=90, every_s=0.2)


def states(body: Any) -> dict[str, str]:
    return {node["name"]: node["state"] for node in body["nodes"]}


def test_a_graph_goes_on_past_kill_9_fails_and_is_retried_from_there(
    product: Product, tmp_path: Path
) -> None:
    define(product, tmp_path)
    asked = {"params": {"table": "users"}}
    uid = product.post("graphs/nightly/start/", asked, status=202)["uid"]
    wait_for((tmp_path / "notes").exists, timeout_s=60)
    product.kill("scheduler")
    (tmp_path / "go").touch()
    product.kill("node")
    body = ended(product, uid, "failed")
    assert body["reason"] == "check failed"
    assert states(body) == {
        "count": "succeeded",
        "check": "failed",
        "report": "skipped",
        "alarm": "succeeded",
    }
    assert [n["reason"] for n in body["nodes"]][1:3] == [
        "exit code 7",
        "check failed; it waits for success",
    ]
    (tmp_path / "mended").touch()
    product.post(f"graph-runs/{uid}/retry/", status=202)
    body = ended(product, uid, "succeeded")
    assert body["attempt"] == 2
    assert [step["node"] for step in body["critical_path"]][:2] == ["count", "check"]
    told = [(name, attempt) for name, attempt, _ in noted(tmp_path)]
    assert Counter(told) == {
        ("g-count", "1"): 1,
        ("g-check", "1"): 1,
        ("g-alarm", "1"): 1,
        ("g-check", "2"): 1,
        ("g-report", "1"): 1,
    }
    given = {name: params for name, _, params in noted(tmp_path)}
    assert given["g-check"] == {"table": "users", "rows": 41}
    assert given["g-report"] == {"table": "users", "score": 42}
    found = product.get(f"runs/?root={uid}")["items"]
    assert len(found) == 5


def test_a_group_bounds_what_runs_at_once_in_the_whole_product(
    product: Product, tmp_path: Path, witness: tuple[str, ...]
) -> None:
    """From what the programs themselves saw: starts and ends by their own clock."""
    file = tmp_path / "seen"
    argv = (*witness, str(file), "0.3", "0")
    product.register("g-few", *argv, concurrency={"key": "db", "limit": 2})
    for uid in product.spawn("g-few", 6):
        assert product.wait_for_end(uid, timeout_s=90)["state"] == "succeeded"
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    running, most = 0, 0
    for line in sorted(lines, key=lambda line: line["at"]):
        running += 1 if line["moment"] == "start" else -1
        most = max(most, running)
    assert len(lines) == 12
    assert most <= 2
