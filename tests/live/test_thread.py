"""The whole arrow: from a registered agent to a run with its output, on real parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.live.harness import Product
from tests.live.testimony import read_testimony
from tests.waiting import wait_for

SEED_SAMPLE = {
    "agent_id": "prompt_optimizer",
    "capabilities": ["optimize", "prompt", "score"],
    "exec_env": "docker",
    "entry_point": "/app/start.sh",
    "priority": "high",
    "cpu": 2,
    "gpu": 1,
    "memory": "4GB",
}


def iso(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def test_a_spawned_agent_runs_and_its_output_is_kept(product: Product) -> None:
    product.register("greeter", "/bin/sh", "-c", "echo hello; echo oops >&2")
    [uid] = product.spawn("greeter")
    run = product.wait_for_end(uid)
    assert (run["state"], run["exit_code"], run["signal"]) == ("succeeded", 0, None)
    assert product.output(uid) == "hello\n"
    assert product.output(uid, "err") == "oops\n"


@pytest.mark.parametrize(
    ("name", "script", "code", "signum"),
    [("exits", "exit 137", 137, None), ("killed", "kill -9 $$", None, 9)],
)
def test_an_exit_of_137_and_a_kill_are_told_apart(
    product: Product, name: str, script: str, code: int | None, signum: int | None
) -> None:
    product.register(name, "/bin/sh", "-c", script)
    run = product.wait_for_end(product.spawn(name)[0])
    assert (run["state"], run["exit_code"], run["signal"]) == ("failed", code, signum)


def test_a_one_off_schedule_fires_at_its_instant(
    product: Product, witness: tuple[str, ...], tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    product.register("once", *witness, str(seen), "0", "0")
    due_at = (datetime.now(UTC) + timedelta(seconds=3)).replace(microsecond=0)
    product.post("schedules/", {"agent": "once", "run_at": iso(due_at)})
    wait_for(lambda: read_testimony(seen).ends, timeout_s=15)
    [start] = read_testimony(seen).starts
    assert 0 <= start["at"] - due_at.timestamp() < 1
    assert product.wait_for_end(start["run"])["state"] == "succeeded"


def test_a_cron_schedule_of_every_second_is_never_early(
    product: Product, witness: tuple[str, ...], tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    product.register("ticking", *witness, str(seen), "0", "0")
    made = product.post(
        "schedules/", {"agent": "ticking", "cron": "* * * * * *", "timezone": "UTC"}
    )
    wait_for(lambda: len(read_testimony(seen).starts) >= 5, timeout_s=20)
    product.post(f"schedules/{made['id']}/pause/", {"note": "seen enough"}, status=200)
    assert min(read_testimony(seen).lateness_s()) >= 0
    assert read_testimony(seen).doubled() == []


def test_a_time_limit_ends_a_run_and_says_so(product: Product) -> None:
    product.register("endless", "/bin/sleep", "600", timeout="1s", grace_period="1s")
    run = product.wait_for_end(product.spawn("endless")[0])
    assert run["state"] == "timed_out"


def test_a_stopped_run_ends_as_cancelled(product: Product) -> None:
    product.register("stoppable", "/bin/sleep", "600")
    [uid] = product.spawn("stoppable")
    wait_for(lambda: product.run(uid)["state"] == "running")
    product.post(f"runs/{uid}/stop/", status=200)
    assert product.wait_for_end(uid)["state"] == "cancelled"


def test_the_seeds_sample_is_taken_and_waits_for_a_gpu(product: Product) -> None:
    product.post("agents/", SEED_SAMPLE)
    [uid] = product.spawn("prompt_optimizer")

    def waits_for_gpu() -> bool:
        return "GPU" in product.get(f"runs/{uid}/why/")["text"]

    wait_for(waits_for_gpu, timeout_s=15)
    assert product.run(uid)["state"] == "queued"


def test_a_hundred_runs_at_once_all_end_well(product: Product) -> None:
    product.register("crowd", "/bin/true")
    uids = product.spawn("crowd", 100)
    assert len(set(uids)) == 100
    states = {product.wait_for_end(uid, timeout_s=60)["state"] for uid in uids}
    assert states == {"succeeded"}
