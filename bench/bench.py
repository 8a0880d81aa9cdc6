"""`make bench`: what the product does on this machine, beside what the machine can do.

Everything is real: the product as `manage.py up` starts it, programs as the operating
system runs them. A stamp file outside the product is the judge; each figure that
depends on the machine stands beside a raw reference taken in the same run.

    python -m bench.bench [--burst 500] [--dispatch 80] [--due 20] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx

from tests.live.harness import Product, running_product
from tests.waiting import wait_for

HERE = Path(__file__).resolve().parent
CONFIG = "max_concurrent_agents: 500\n"
SMALL = {"cpu": 0.001, "memory": "16MB"}
DISPATCH_GAP_S = 0.25
LINE_BYTES = 33  # of the stamp file


def compile_c(name: str, folder: Path) -> Path:
    program = folder / name
    subprocess.run(["cc", "-O2", "-o", program, HERE / f"{name}.c"], check=True)
    return program


def stamps(file: Path) -> dict[str, int]:
    """id -> when the program's first instruction ran, ns since the epoch."""
    lines = file.read_text().split("\n") if file.exists() else []
    pairs = [line.split() for line in lines if line.strip()]
    return {pair[0]: int(pair[1]) for pair in pairs}


def count_stamps(file: Path) -> int:
    return file.stat().st_size // LINE_BYTES if file.exists() else 0


def quantiles(values_ms: list[float]) -> dict[str, float]:
    ordered = sorted(values_ms)

    def at(share: float) -> float:
        return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 2)

    return {
        "n": len(ordered),
        "min": round(ordered[0], 2),
        "p50": round(statistics.median(ordered), 2),
        "p95": at(0.95),
        "p99": at(0.99),
        "max": round(ordered[-1], 2),
    }


class Bench:
    def __init__(self, product: Product, folder: Path) -> None:
        self.product, self.folder = product, folder
        self.stamp = compile_c("stamp", folder)
        self.raw_spawn = compile_c("raw_spawn", folder)
        headers = {"Authorization": f"Bearer {product.token()}"}
        self.headers = {**headers, "Content-Type": "application/json"}
        self.http = httpx.Client(
            base_url=f"{product.url}/api/v1/", headers=headers, timeout=60
        )
        self.line = HTTPConnection(product.url.removeprefix("http://"), timeout=60)

    def agent(self, name: str, file: Path, **more: Any) -> None:
        """An agent that stamps its own KOS_RUN_UID or occurrence into `file`."""
        self.product.register(name, str(self.stamp), str(file), **{**SMALL, **more})

    def spawn(self, name: str, count: int = 1) -> list[str]:
        """By the standard library's client: a richer one costs a millisecond itself."""
        body = json.dumps({"agent": name, "count": count})
        self.line.request("POST", "/api/v1/spawn/", body, self.headers)
        answer = self.line.getresponse()
        said = json.load(answer)
        assert answer.status == 202, said
        return list(said["runs"])

    def finished(self, name: str) -> int:
        """Runs of the agent that ended, counted in the database itself."""
        import sqlite3

        with sqlite3.connect(self.product.var / "kos.sqlite3", timeout=20) as db:
            row = db.execute(
                "SELECT count(*) FROM scheduling_run r JOIN agents_agent a "
                "ON a.id = r.agent_id WHERE a.agent_id = ? AND r.state = 'succeeded' "
                "AND r.exit_code = 0",
                [name],
            ).fetchone()
        return int(row[0])

    def raw(self, count: int) -> dict[str, Any]:
        """The machine alone: `posix_spawn` from C, two at once."""
        file = self.folder / "raw"
        said = subprocess.run(
            [self.raw_spawn, str(count), "2", self.stamp, file],
            check=True,
            capture_output=True,
            text=True,
        )
        return dict(json.loads(said.stdout))

    def burst(self, count: int, name: str = "burst") -> dict[str, Any]:
        """`count` processes submitted at once, until every exit is committed."""
        file = self.folder / name
        self.agent(name, file)
        began = time.perf_counter()
        left = count
        while left:
            batch = min(left, 1000)
            self.spawn(name, batch)
            left -= batch
        submitted_s = time.perf_counter() - began
        wait_for(lambda: count_stamps(file) >= count, timeout_s=120, every_s=0.01)
        wait_for(lambda: self.finished(name) >= count, timeout_s=60, every_s=0.01)
        took_s = time.perf_counter() - began
        return {
            "runs": count,
            "seconds": round(took_s, 3),
            "submit_seconds": round(submitted_s, 3),
            "rate": round(count / took_s, 1),
            "stamped": len(stamps(file)),
        }

    def dispatch(self, count: int, name: str = "dispatch") -> dict[str, Any]:
        """HTTP spawn -> the program's first instruction, four times a second."""
        file = self.folder / name
        self.agent(name, file)
        for _ in range(5):
            self.spawn(name)
            time.sleep(DISPATCH_GAP_S)
        asked = {}
        for _ in range(count):
            at = time.time_ns()
            asked[self.spawn(name)[0]] = at
            time.sleep(DISPATCH_GAP_S)
        wait_for(lambda: count_stamps(file) >= count + 5, timeout_s=30, every_s=0.05)
        seen = stamps(file)
        return quantiles([(seen[key(uid)] - at) / 1e6 for uid, at in asked.items()])

    def due(self, count: int) -> dict[str, Any]:
        """A schedule's instant -> the program's first instruction."""
        file = self.folder / "due"
        self.agent("due", file)
        schedule = {"agent": "due", "cron": "* * * * * *", "timezone": "UTC"}
        answer = self.http.post("schedules/", json={**schedule, "overlap": "allow_all"})
        answer.raise_for_status()
        wait_for(lambda: count_stamps(file) >= count, timeout_s=count + 30, every_s=0.2)
        uid = answer.json()["id"]
        self.http.delete(f"schedules/{uid}/").raise_for_status()
        late = []
        for run in self.http.get("runs/?agent=due&limit=500").json()["items"]:
            at = stamps(file).get(key(run["uid"]))
            if at is not None and run["occurrence"]:
                late.append((at - instant_ns(run["due_at"])) / 1e6)
        return {**quantiles(late), "early": sum(ms < 0 for ms in late)}


def key(uid: str) -> str:
    """How a run's uid stands in the stamp file: its first eleven characters."""
    return uid[:11]


def instant_ns(text: str) -> int:
    at = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)
    return int(at.timestamp() * 1e6) * 1000


def measure(args: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="kos-bench-") as name:
        folder = Path(name)
        config = folder / "config.yaml"
        config.write_text(CONFIG)
        env = {"KOS_CONFIG": str(config)}
        with running_product(folder, env=env) as product:
            bench = Bench(product, folder)
            steps: dict[str, Callable[[], Any]] = {
                "raw": lambda: bench.raw(args.burst),
                "dispatch_ms": lambda: bench.dispatch(args.dispatch),
                "due_ms": lambda: bench.due(args.due),
                "burst": lambda: bench.burst(args.burst),
            }
            found = {}
            for step, work in steps.items():
                print(f"measuring {step} …", file=sys.stderr, flush=True)
                found[step] = work()
    found["burst"]["of_raw"] = round(found["burst"]["rate"] / found["raw"]["rate"], 3)
    return found


def table(found: dict[str, Any]) -> str:
    burst, raw = found["burst"], found["raw"]
    rows = [
        ("raw posix_spawn", f"{raw['rate']:.0f} programs/s"),
        (
            f"burst of {burst['runs']}",
            f"{burst['rate']:.0f} runs/s, {burst['of_raw']:.1%} of raw, "
            f"{burst['stamped']} stamped",
        ),
    ]
    for name, label in (("dispatch_ms", "HTTP spawn → exec"), ("due_ms", "due → exec")):
        q = found[name]
        early = f", early {q['early']}" if "early" in q else ""
        text = f"p50 {q['p50']} · p95 {q['p95']} · p99 {q['p99']} · max {q['max']} ms"
        rows.append((label, f"{text} (n {q['n']}{early})"))
    return "\n".join(f"{name:<20} {value}" for name, value in rows)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--burst", type=int, default=500)
    parser.add_argument("--dispatch", type=int, default=80)
    parser.add_argument("--due", type=int, default=20)
    parser.add_argument("--json", type=Path, default=HERE / "results" / "latest.json")
    args = parser.parse_args()
    found = measure(args)
    args.json.parent.mkdir(exist_ok=True)
    args.json.write_text(json.dumps(found, indent=2) + "\n")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
