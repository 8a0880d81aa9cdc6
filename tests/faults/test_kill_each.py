"""kill -9 of every process of ours, one at a time, while agents run and a schedule
fires each second. Judged by what the agents themselves wrote."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.live.conftest import WITNESS
from tests.live.harness import PYTHON, Product, running_product
from tests.live.testimony import Testimony, read_testimony, seconds_between
from tests.waiting import wait_for

VICTIMS = ("web", "scheduler", "node", "worker", "rqscheduler", "valkey", "up")
LONG_S = float(os.environ.get("KOS_FAULT_SECONDS", "30"))
LONG_COUNT = 10
LONG_EXIT = 7
SETTLE_S = 45.0  # restart of everything, and the backlog of a downtime
SCHEDULE = {
    "agent": "each_second",
    "cron": "* * * * * *",
    "timezone": "UTC",
    "overlap": "allow_all",
    "missed": "all",
    "catchup_window": "10m",
}


@dataclass(frozen=True, slots=True)
class Aftermath:
    killed_at: dict[str, float]  # by name; wall clock
    due: list[str]  # keys of every second the schedule was on
    each_second: Testimony
    long: Testimony
    long_runs: list[Any]
    outputs: dict[str, str]  # run uid -> standard output as kept
    errors: dict[str, str]
    left: dict[int, str]  # processes of agents after all has ended


@pytest.fixture(scope="module")
def aftermath(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aftermath]:
    folder = tmp_path_factory.mktemp("kill")
    with running_product(folder) as product:
        yield attack(product, folder / "each_second", folder / "long")


def attack(product: Product, ticks: Path, long: Path) -> Aftermath:
    """The whole story; every wait is for something seen."""
    product.register("each_second", PYTHON, str(WITNESS), str(ticks), "0", "0")
    product.register("long", PYTHON, str(WITNESS), str(long), str(LONG_S), "7")
    schedule = product.post("schedules/", SCHEDULE)
    wait_for(lambda: read_testimony(ticks).starts, timeout_s=20)
    began_at = datetime.now(UTC)
    uids = product.spawn("long", LONG_COUNT)
    wait_for(lambda: len(read_testimony(long).starts) == LONG_COUNT, timeout_s=20)
    killed_at = {name: kill_and_see_a_firing(product, name, ticks) for name in VICTIMS}
    runs = [product.wait_for_end(uid, timeout_s=LONG_S + SETTLE_S) for uid in uids]
    ended_at = datetime.now(UTC)
    due = seconds_between(began_at, ended_at)
    wait_for(lambda: not read_testimony(ticks).lost(due), timeout_s=SETTLE_S)
    product.post(f"schedules/{schedule['id']}/pause/", {"note": "over"}, status=200)
    wait_for(lambda: not read_testimony(ticks).unfinished(), timeout_s=SETTLE_S)
    wait_for(lambda: not live_runs(product), timeout_s=SETTLE_S)
    return Aftermath(
        killed_at,
        due,
        read_testimony(ticks),
        read_testimony(long),
        runs,
        {uid: product.output(uid) for uid in uids},
        {uid: product.output(uid, "err") for uid in uids},
        {pid: c for pid, c in product.processes().items() if WITNESS.name in c},
    )


def kill_and_see_a_firing(product: Product, name: str, ticks: Path) -> float:
    """When it was killed. Afterwards another process stands in its place and the
    schedule fires again."""
    killed_at = time.time()
    product.kill(name)
    seen = len(read_testimony(ticks).starts)
    wait_for(lambda: len(read_testimony(ticks).starts) > seen, timeout_s=SETTLE_S)
    return killed_at


def live_runs(product: Product) -> list[Any]:
    return [
        run
        for state in ("queued", "admitted", "starting", "running", "stopping")
        for run in product.get(f"runs/?state={state}")["items"]
    ]


def test_every_process_was_killed_while_the_agents_ran(aftermath: Aftermath) -> None:
    first_end = min(end["at"] for end in aftermath.long.ends)
    assert [name for name, at in aftermath.killed_at.items() if at < first_end] == [
        *VICTIMS
    ]


def test_no_due_instant_was_lost(aftermath: Aftermath) -> None:
    assert len(aftermath.due) >= LONG_S
    assert aftermath.each_second.lost(aftermath.due) == []


def test_nothing_started_twice(aftermath: Aftermath) -> None:
    assert aftermath.each_second.doubled() == []
    assert aftermath.long.doubled() == []
    assert len(aftermath.long.starts) == LONG_COUNT


def test_nothing_started_early(aftermath: Aftermath) -> None:
    assert min(aftermath.each_second.lateness_s()) >= 0


def test_no_agent_was_disturbed(aftermath: Aftermath) -> None:
    assert aftermath.long.unfinished() == []
    assert {start["attempt"] for start in aftermath.long.starts} == {"1"}


def test_the_exit_codes_are_true(aftermath: Aftermath) -> None:
    told = {(r["state"], r["exit_code"], r["signal"]) for r in aftermath.long_runs}
    assert told == {("failed", LONG_EXIT, None)}


def test_all_output_was_kept(aftermath: Aftermath) -> None:
    for end in aftermath.long.ends:
        printed = "".join(f"line {n}\n" for n in range(end["lines"]))
        assert aftermath.outputs[end["run"]] == printed
        assert aftermath.errors[end["run"]] == f"{end['lines']} lines\n"


def test_no_orphan_remained(aftermath: Aftermath) -> None:
    assert aftermath.left == {}
