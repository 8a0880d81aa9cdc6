"""Sample this machine every few seconds into a JSON-lines file, until stopped."""

from __future__ import annotations

import json
import time
from collections import deque
from pathlib import Path

import run_context

ROTATE_BYTES = 64_000  # about half an hour; the archiver takes what is rotated
TELL_EVERY = 6  # samples between two lines of output


def cpu_times() -> tuple[int, int]:
    """Ticks this machine was busy, and all ticks, since it started."""
    fields = [int(n) for n in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    idle = fields[3] + fields[4]
    return sum(fields[:8]) - idle, sum(fields[:8])


def memory_kib() -> dict[str, int]:
    rows = Path("/proc/meminfo").read_text().splitlines()
    return {row.split(":")[0]: int(row.split()[1]) for row in rows}


def pressure() -> dict[str, float]:
    """The share of the last ten seconds in which somebody waited, where known."""
    found = {}
    for what in ("cpu", "memory", "io"):
        try:
            first = Path(f"/proc/pressure/{what}").read_text().splitlines()[0]
        except OSError:
            continue
        found[what] = float(first.split("avg10=")[1].split()[0])
    return found


def sample(before: tuple[int, int]) -> tuple[dict[str, object], tuple[int, int]]:
    busy, total = cpu_times()
    memory = memory_kib()
    share = (busy - before[0]) / max(1, total - before[1])
    load = Path("/proc/loadavg").read_text().split()
    return {
        "at": round(time.time(), 1),
        "cpu": round(share, 3),
        "load": float(load[0]),
        "processes": int(load[3].split("/")[1]),
        "memory": round(1 - memory["MemAvailable"] / memory["MemTotal"], 3),
        "pressure": pressure(),
    }, (busy, total)


def rotate(file: Path) -> None:
    if file.exists() and file.stat().st_size > ROTATE_BYTES:
        aside = file.with_name(f"health-{time.strftime('%Y%m%dT%H%M%S')}.jsonl")
        file.rename(aside)
        print(f"rotated into {aside.name}", flush=True)


def main() -> None:
    every_s = float(run_context.params().get("every_s", 5))
    at_most = int(run_context.params().get("samples", 0))
    folder = run_context.shared_folder() / "health"
    folder.mkdir(exist_ok=True)
    file, before, count = folder / "health.jsonl", cpu_times(), 0
    recent: deque[float] = deque(maxlen=TELL_EVERY)
    print(f"watching every {every_s:g} s into {file}", flush=True)
    while not run_context.stopping.wait(every_s) and (not at_most or count < at_most):
        seen, before = sample(before)
        rotate(file)
        with file.open("a") as out:
            out.write(json.dumps(seen) + "\n")
        count += 1
        recent.append(float(str(seen["cpu"])))
        if count % TELL_EVERY == 0:
            mean = sum(recent) / len(recent)
            print(
                f"cpu {mean:5.1%}  memory {seen['memory']:.1%}  load {seen['load']}",
                flush=True,
            )
    run_context.result(samples=count, file=str(file))


main()
