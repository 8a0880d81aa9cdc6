"""Write a report on the machine and the orders from what the other agents have left."""

from __future__ import annotations

import gzip
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

import run_context


def samples(folder: Path, since: float) -> Iterator[dict[str, Any]]:
    """What the health monitor saw, the archived part too."""
    for file in sorted(folder.glob("health*.jsonl*")):
        opener = gzip.open if file.suffix == ".gz" else open
        with opener(file, "rt") as lines:
            for line in lines:
                seen = json.loads(line)
                if seen["at"] >= since:
                    yield seen


def machine(folder: Path, hours: float) -> list[str]:
    seen = list(samples(folder / "health", time.time() - hours * 3600))
    if len(seen) < 2:
        return ["No samples yet: the health monitor has only just begun."]
    rows = ["| | mean | 95 % below | most |", "|---|--:|--:|--:|"]
    for key in ("cpu", "memory", "load"):
        values = [float(one[key]) for one in seen]
        high = quantiles(values, n=20)[-1]
        rows.append(f"| {key} | {fmean(values):.2f} | {high:.2f} | {max(values):.2f} |")
    print(f"{len(seen)} samples of the machine", flush=True)
    return rows


def orders(file: Path) -> list[str]:
    if not file.exists():
        return ["No orders yet."]
    database = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20)
    found = database.execute(
        "SELECT product, count(*), sum(pieces), sum(pieces * cents) FROM orders"
        " GROUP BY product ORDER BY 4 DESC"
    ).fetchall()
    database.close()
    rows = ["| product | orders | pieces | turnover |", "|---|--:|--:|--:|"]
    for product, count, pieces, cents in found:
        rows.append(f"| {product} | {count} | {pieces} | {cents / 100:.2f} |")
        print(f"{product}: {count} orders", flush=True)
        run_context.pause(1.5)
    return rows


def main() -> None:
    folder = run_context.shared_folder()
    hours = float(run_context.params().get("hours", 24))
    title = f"# The last {hours:g} hours, {time.strftime('%Y-%m-%d %H:%M')}"
    report = [title, "", "## The machine", "", *machine(folder, hours)]
    run_context.pause(1)
    report += ["", "## The orders", "", *orders(folder / "orders.sqlite3"), ""]
    reports = folder / "reports"
    reports.mkdir(exist_ok=True)
    file = reports / f"report-{time.strftime('%Y%m%dT%H%M%S')}.md"
    run_context.save(file, "\n".join(report))
    run_context.result(file=str(file), lines=len(report), hours=hours)


main()
