"""What preemption costs, on each rung of the ladder, with real programs.

The node is full with Low agents that count; a Critical one arrives. Measured are the
time from its request to its first instruction, what of the victims is in RAM before
and after, and whether their counters go on.

    python -m bench.preemption [--rounds 50] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.bench import quantiles
from tests.live.harness import Product, running_product
from tests.waiting import wait_for

COUNTER = Path(__file__).with_name("counter.py")
CONFIG = """
max_concurrent_agents: 8
heartbeat_interval: 1
rebalance:
  enabled: false  # a busy machine is not what is measured
"""
HELD_MB = 128
PAGE = os.sysconf("SC_PAGESIZE")
SAVES = {"when": "checkpoint", "signal": "SIGUSR1", "timeout": 10}
RUNGS = ("freeze", "reclaim", "checkpoint", "stop")


@dataclass(slots=True)
class Round:
    first_instruction_s: float
    resident_before: int
    resident_after: int
    count_before: int
    goes_on_from: int  # the count at which it went on


@dataclass(slots=True)
class Rung:
    name: str
    unavailable: str = ""
    rounds: list[Round] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        seen = quantiles([r.first_instruction_s * 1000 for r in self.rounds] or [0])
        last = self.rounds[-1] if self.rounds else Round(0, 0, 0, 0, 0)
        lost = max((r.count_before - r.goes_on_from for r in self.rounds), default=0)
        return {
            "rung": self.name,
            "unavailable": self.unavailable,
            "first_instruction_ms": seen,
            "resident_before": last.resident_before,
            "resident_after": last.resident_after,
            "most_counts_lost": max(lost, 0),
        }


class Ladder:
    """One victim at a time fills the node; each round an urgent run comes and goes."""

    def __init__(self, product: Product, folder: Path) -> None:
        self.product, self.folder = product, folder
        (node,) = product.get("nodes/")["items"]
        self.yields = node["yields"]["subprocess"]
        self.cores = node["cpu_millis"] / 1000
        self.bytes = int(node["memory_bytes"] * 0.85)

    def climb(self, name: str, rounds: int) -> Rung:
        rung = Rung(name)
        if name == "reclaim" and not self.yields["reclaim"]:
            rung.unavailable = self.yields["why"]["reclaim"]
        self.register(name)
        (victim,) = self.product.spawn(f"low-{name}")
        for _ in range(rounds):
            one, victim = self.round(name, victim)
            rung.rounds.append(one)
        self.product.post(f"runs/{victim}/stop/", {"grace_s": 0}, status=200)
        self.product.wait_for_end(victim)
        return rung

    def register(self, name: str) -> None:
        """CPU is short where freezing is enough, memory elsewhere."""
        counts = (sys.executable, "-S", str(COUNTER), str(self.file(name)))
        by_cpu = name == "freeze" or (name == "reclaim" and not self.yields["reclaim"])
        most = {"cpu": self.cores} if by_cpu else {"cpu": 0.1}
        memory = "256MB" if by_cpu else str(int(self.bytes * 0.6))
        hooks = {"hooks": [SAVES]} if name == "checkpoint" else {}
        self.product.register(
            f"low-{name}",
            *counts,
            str(HELD_MB),
            priority="low",
            grace_period=5,
            **{"memory": memory, **most, **hooks},
        )
        need = {**most, "memory": "64MB" if by_cpu else str(int(self.bytes * 0.6))}
        stamp = f"date +%s.%N > {self.folder}/stamp.$$ && mv {self.folder}/stamp.$$ "
        self.product.register(
            f"urgent-{name}",
            *("/bin/sh", "-c", f"{stamp} {self.folder}/$KOS_RUN_UID"),
            priority="critical",
            **need,
        )

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.count"

    def counted(self, name: str) -> tuple[int, int, int]:
        """(pid, the count it began with, the count now)."""
        try:
            pid, first, count = self.file(name).read_text().split()
        except (OSError, ValueError):
            return 0, 0, 0
        return int(pid), int(first), int(count)

    def round(self, name: str, victim: str) -> tuple[Round, str]:
        before = self.is_counting(name)
        resident = resident_bytes(before[0])
        asked_at = time.time()
        (urgent,) = self.product.spawn(f"urgent-{name}")
        stamp = self.folder / urgent
        wait_for(stamp.exists, timeout_s=60, every_s=0.002)
        after = resident_bytes(before[0])
        last = self.counted(name)[2]
        started_s = float(stamp.read_text()) - asked_at
        victim = self.goes_on(name, victim, before[0])
        first = self.counted(name)[1]
        goes_on_from = last if name in ("freeze", "reclaim") else first
        return Round(started_s, resident, after, last, goes_on_from), victim

    def is_counting(self, name: str) -> tuple[int, int, int]:
        """Wait until the victim counts."""
        seen = self.counted(name)

        def more() -> tuple[int, int, int] | None:
            now = self.counted(name)
            return now if now[0] and now[2] > seen[2] + 20 else None

        found = wait_for(more, timeout_s=60, every_s=0.01)
        assert found is not None
        return found

    def goes_on(self, name: str, victim: str, pid: int) -> str:
        """Wait until it, or its next attempt, counts; the run that does."""
        if name in ("checkpoint", "stop"):
            self.product.wait_for_end(victim)
            rows = self.product.get(f"runs/?agent=low-{name}")["items"]
            (victim,) = [row["uid"] for row in rows if row["retry_of"] == victim]
            wait_for(lambda: self.counted(name)[0] != pid, timeout_s=60, every_s=0.01)
        seen = self.counted(name)[2]
        wait_for(lambda: self.counted(name)[2] > seen, timeout_s=60, every_s=0.01)
        wait_for(lambda: self.runs_on(victim), timeout_s=60, every_s=0.05)
        return victim

    def runs_on(self, victim: str) -> bool:
        return bool(self.product.run(victim)["state"] == "running")


def resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
    except OSError:
        return 0  # it is over


def measure(folder: Path, rounds: int) -> list[Rung]:
    (folder / "config.yaml").write_text(CONFIG)
    env = {"KOS_CONFIG": str(folder / "config.yaml")}
    with running_product(folder, env=env) as product:

        def tells() -> bool:
            return bool(product.get("nodes/")["items"][0]["yields"])

        wait_for(tells, timeout_s=30, every_s=0.1)
        ladder = Ladder(product, folder)
        return [ladder.climb(name, rounds) for name in RUNGS]


def table(rungs: list[Rung]) -> str:
    head = f"{'rung':<11}{'n':>4}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}"
    lines = [f"{head}  {'resident before -> after':<26}counts lost at most"]
    for told in (rung.told() for rung in rungs):
        ms = told["first_instruction_ms"]
        was, now = told["resident_before"] / 2**20, told["resident_after"] / 2**20
        memory = f"{was:.0f} -> {now:.0f} MiB"
        lines.append(
            f"{told['rung']:<11}{ms['n']:>4}{ms['p50']:>9}{ms['p99']:>9}{ms['max']:>9}"
            f"  {memory:<26}{told['most_counts_lost']}"
        )
        if told["unavailable"]:
            lines.append(f"{'':<11}unavailable, frozen only: {told['unavailable']}")
    return "\n".join(lines)


def main() -> None:
    said = argparse.ArgumentParser(description=__doc__)
    said.add_argument("--rounds", type=int, default=50)
    said.add_argument("--json", type=Path)
    asked = said.parse_args()
    with tempfile.TemporaryDirectory(prefix="kos-bench-") as folder:
        rungs = measure(Path(folder), asked.rounds)
    print(table(rungs))
    if asked.json:
        asked.json.write_text(json.dumps([rung.told() for rung in rungs], indent=1))


if __name__ == "__main__":
    main()
