"""A run that makes room saves its work, in each environment, and goes on there."""

from __future__ import annotations

import pytest

from tests.live.four_environments import ENVIRONMENTS, in_each_python
from tests.live.harness import Product
from tests.waiting import wait_for

SAVES = {"when": "checkpoint", "signal": "SIGUSR1", "timeout": 20}
COUNTS = """
import os, signal, time
folder, asked, count = os.environ["KOS_CHECKPOINT"], [], 0
if os.environ.get("KOS_RESUME"):
    count = int(open(folder + "/count").read())
signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
print("from", count, flush=True)
while True:
    count += 1
    if asked:
        asked.clear()
        open(folder + "/count", "w").write(str(count))
        open(folder + "/done", "w").close()
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def savers(fleet: Product) -> dict[str, str]:
    node = fleet.get("nodes/")["items"][0]
    memory = str(int(node["memory_bytes"] * 0.5))
    need = {"cpu": 0.01, "memory": memory, "priority": "low", "hooks": [SAVES]}
    urgent = {"cpu": 0.01, "memory": memory, "priority": "critical"}
    fleet.register("urgent", "/bin/true", exec_env="subprocess", **urgent)
    return in_each_python(fleet, "saver", COUNTS, **need)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_next_attempt_goes_on_from_what_was_saved(
    fleet: Product, savers: dict[str, str], environment: str
) -> None:
    agent = savers[environment]
    (first,) = fleet.spawn(agent)
    wait_for(lambda: "from 0" in fleet.output(first), timeout_s=60, every_s=0.1)
    (urgent,) = fleet.spawn("urgent")
    assert fleet.wait_for_end(urgent, timeout_s=60)["state"] == "succeeded"
    ended = fleet.run(first)
    assert ended["state"] == "preempted"
    (saved,) = ended["phases"]
    assert (saved["name"], saved["outcome"]) == ("SIGUSR1", "done")

    def next_one() -> str:
        rows = fleet.get(f"runs/?agent={agent}")["items"]
        found: str = next((r["uid"] for r in rows if r["retry_of"] == first), "")
        return found

    again = wait_for(next_one, timeout_s=30, every_s=0.1)
    assert again
    wait_for(lambda: "from" in fleet.output(again), timeout_s=60, every_s=0.1)
    assert int(fleet.output(again).split()[1]) > 0
    fleet.post(f"runs/{again}/stop/", {"grace_s": 0}, status=200)
    fleet.wait_for_end(again)


def test_each_environment_freezes_a_run_and_lets_it_go_on(fleet: Product) -> None:
    made = in_each_python(fleet, "stands", "import time\nwhile True: time.sleep(0.01)")
    for environment in ENVIRONMENTS:
        (uid,) = fleet.spawn(made[environment])

        def is_(state: str, uid: str = uid) -> None:
            def has() -> bool:
                return bool(fleet.run(uid)["state"] == state)

            wait_for(has, timeout_s=60, every_s=0.1)

        is_("running")
        fleet.post(f"runs/{uid}/freeze/", {"reason": "noise"}, status=202)
        is_("suspended")
        fleet.post(f"runs/{uid}/thaw/", status=202)
        is_("running")
        assert fleet.run(uid)["frozen_s"] > 0
        fleet.post(f"runs/{uid}/stop/", {"grace_s": 0}, status=200)
        fleet.wait_for_end(uid)
