"""Two schedulers at once; the leader sleeps past its lease and wakes up again."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tests.live.harness import PYTHON, ROOT, Product, running_product
from tests.live.testimony import read_testimony, seconds_between
from tests.waiting import wait_for

LEASE_WAIT_S = 60.0


@contextmanager
def second_scheduler(product: Product) -> Iterator[subprocess.Popen[bytes]]:
    env = {**product.environment(), "KOS_PROCESS": "scheduler"}
    process = subprocess.Popen(
        [PYTHON, "manage.py", "run_scheduler"],
        cwd=ROOT,
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def leader(product: Product) -> str | None:
    return product.get("overview/")["leader"]


def test_a_leader_that_slept_past_its_lease_starts_nothing_twice(
    tmp_path: Path, witness: tuple[str, ...]
) -> None:
    ticks = tmp_path / "ticks"
    with running_product(tmp_path) as product:
        product.register("each_second", *witness, str(ticks), "0", "0")
        product.post(
            "schedules/",
            {
                "agent": "each_second",
                "cron": "* * * * * *",
                "timezone": "UTC",
                "overlap": "allow_all",
                "missed": "all",
            },
        )
        wait_for(lambda: len(read_testimony(ticks).starts) >= 2, timeout_s=20)
        began_at = datetime.now(UTC)
        first, sleeper = leader(product), product.pid("scheduler")
        with second_scheduler(product):
            os.kill(sleeper, signal.SIGSTOP)
            wait_for(
                lambda: leader(product) not in {first, None}, timeout_s=LEASE_WAIT_S
            )
            see_more(ticks, 3)
            os.kill(sleeper, signal.SIGCONT)
            see_more(ticks, 5)
            due = seconds_between(began_at, datetime.now(UTC))
            wait_for(lambda: not read_testimony(ticks).lost(due), timeout_s=30)
        assert read_testimony(ticks).doubled() == []


def see_more(ticks: Path, count: int) -> None:
    seen = len(read_testimony(ticks).starts)
    wait_for(lambda: len(read_testimony(ticks).starts) >= seen + count, timeout_s=30)
