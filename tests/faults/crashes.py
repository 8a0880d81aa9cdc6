"""Schedules that fire each second while processes die where they are told to.

Each firing of each schedule appends one line at its start and one at its end to a
file outside of the product. That file, and nothing of ours, says what ran.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.live.harness import Product, running_product
from tests.live.testimony import read_lines, seconds_between
from tests.waiting import wait_for

EXIT_CODE = 7
DEATH_S = 60.0  # until a process reaches its point
STEADY_S = 60.0  # until agents start again after a death
SETTLE_S = 180.0
SCRIPT = 'say() {{ echo "$1 $KOS_OCCURRENCE_ID $KOS_RUN_UID" >> {file}; }}; '
RULE = {
    "cron": "* * * * * *",
    "timezone": "UTC",
    "overlap": "allow_all",
    "missed": "all",
    "catchup_window": "1h",
}
PAGE = 200


@dataclass
class Story:
    file: Path
    due: list[str] = field(default_factory=list)  # ids of occurrences
    died_at: list[str] = field(default_factory=list)  # points, in order
    steady_after_s: list[float] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)  # as the API tells them
    left: dict[int, str] = field(default_factory=dict)
    audit: str = ""

    def said(self, moment: str) -> Counter[str]:
        """How often each occurrence said so."""
        lines = (line.split() for line in read_lines(self.file))
        return Counter(line[1] for line in lines if line[0] == moment)

    def lost(self) -> list[str]:
        began = self.said("start")
        return [one for one in self.due if not began[one]]

    def doubled(self) -> list[str]:
        return sorted(one for one, times in self.said("start").items() if times > 1)

    def untrue(self) -> list[Any]:
        """Runs of which the product tells something else than what the agents saw."""
        ended = self.said("end")
        return [
            run
            for run in self.runs
            if run["exit_code"] != EXIT_CODE or not ended[run["occurrence"]]
        ]


@contextmanager
def crashing_product(folder: Path) -> Iterator[Product]:
    wishes = {
        "KOS_CRASH_AT": str(folder / "die"),
        "KOS_LONGEST_RESTART_DELAY": "1",
    }
    with running_product(folder, env=wishes) as product:
        yield product


def attack(
    product: Product, folder: Path, *, points: Sequence[str], schedules: int
) -> Story:
    """The whole story; every wait is for something seen."""
    story = Story(folder / "said")
    script = SCRIPT.format(file=story.file) + f"say start; say end; exit {EXIT_CODE}"
    ids = []
    for number in range(schedules):
        product.register(f"second-{number}", "/bin/sh", "-c", script)
        rule = {**RULE, "agent": f"second-{number}"}
        ids.append(product.post("schedules/", rule)["id"])
    wait_for(lambda: story.said("start"), timeout_s=20)
    began_at = datetime.now(UTC)
    for point in points:
        die(story, folder / "die", point)
    ended_at = datetime.now(UTC)
    seconds = seconds_between(began_at, ended_at)
    story.due = [f"{uid}@{key}" for uid in ids for key in seconds]
    wait_for(lambda: not story.lost(), timeout_s=SETTLE_S, every_s=0.5)
    for uid in ids:
        product.post(f"schedules/{uid}/pause/", {"note": "over"}, status=200)
    wait_for(lambda: not waiting(product), timeout_s=SETTLE_S, every_s=0.5)
    story.runs = list(every_run(product))
    story.left = {p: c for p, c in product.processes().items() if "say start" in c}
    story.audit = product.manage("audit", "verify").stdout
    return story


def die(story: Story, order: Path, point: str) -> None:
    """One process dies there, and agents start again afterwards."""
    fresh = order.with_suffix(".new")
    fresh.write_text(point)
    fresh.rename(order)
    wait_for(lambda: not order.exists(), timeout_s=DEATH_S)
    died_s, seen = time.monotonic(), story.said("start").total()
    story.died_at.append(point)
    wait_for(lambda: story.said("start").total() > seen + 8, timeout_s=STEADY_S)
    story.steady_after_s.append(time.monotonic() - died_s)


def waiting(product: Product) -> list[Any]:
    states = ("queued", "admitted", "starting", "running", "stopping")
    return [
        run for s in states for run in product.get(f"runs/?state={s}&limit=5")["items"]
    ]


def every_run(product: Product) -> Iterator[Any]:
    """All runs, page by page."""
    path = f"runs/?limit={PAGE}"
    while path:
        page = product.get(path)
        yield from page["items"]
        cursor = page.get("next")
        path = f"runs/?limit={PAGE}&cursor={quote(cursor)}" if cursor else ""


def random_points(points: Sequence[str], count: int, seed: int) -> list[str]:
    """`count` points in an order that `seed` decides."""
    return random.Random(seed).choices(list(points), k=count)
