"""Docker beneath the whole product: the seed's sample for real, and an engine that is
restarted under its containers."""

from __future__ import annotations

import json
import signal
import tempfile
from pathlib import Path
from typing import Any

from tests.executors.docker_daemon import Daemon
from tests.live.four_environments import IN_DOCKER, let_go
from tests.live.harness import Product
from tests.waiting import wait_for

SAMPLE = {
    "agent_id": "prompt_optimizer",
    "capabilities": ["optimize", "prompt", "score"],
    "exec_env": "docker",
    "entry_point": "/app/start.sh",
    "priority": "high",
    "cpu": 2,
    "memory": "4GB",
}
START = """#!/bin/sh
echo "optimizing as $(id -u)"
while [ ! -e go ]; do sleep 0.1; done
printf '{"score": 0.93}' >"$KOS_RESULT"
"""


def offline_image(dockerd: Daemon, folder: Path) -> None:
    """kos/prompt_optimizer: busybox and the sample's own program."""
    root = folder / "image"
    for name in ("app", "bin", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "tmp").chmod(0o1777)
    busybox = Path("/bin/busybox").read_bytes()
    for applet in ("busybox", "sh", "id", "sleep", "printf", "echo", "["):
        (root / "bin" / applet).write_bytes(busybox)
        (root / "bin" / applet).chmod(0o755)
    (root / "app/start.sh").write_text(START)
    (root / "app/start.sh").chmod(0o755)
    dockerd.add_image("kos/prompt_optimizer", root)


def test_the_seeds_sample_runs_in_the_image_of_its_name(
    fleet: Product, dockerd: Daemon, tmp_path: Path
) -> None:
    offline_image(dockerd, tmp_path)
    fleet.post("agents/", SAMPLE)
    [uid] = fleet.spawn("prompt_optimizer")
    wait_for(lambda: "optimizing" in fleet.output(uid), timeout_s=60)
    [container] = [name for name in dockerd.containers() if uid in name]
    limits = dockerd.inspect(container)["HostConfig"]
    assert (limits["Memory"], cores(limits)) == (4 * 10**9, 2)
    assert limits["CapDrop"] == ["ALL"]
    assert limits["ReadonlyRootfs"]
    (fleet.var / "runs" / uid[:2] / uid / "work" / "go").touch()
    run = fleet.wait_for_end(uid)
    assert (run["state"], run["priority"], run["exit_code"]) == ("succeeded", "high", 0)
    assert fleet.get(f"runs/{uid}/result/") == {"score": 0.93}
    assert fleet.output(uid) == "optimizing as 65534\n"
    assert not [name for name in dockerd.containers() if uid in name]


def cores(limits: dict[str, Any]) -> float:
    if limits["NanoCpus"]:
        return float(limits["NanoCpus"] / 10**9)
    return float(limits["CpuQuota"] / limits["CpuPeriod"])


def test_containers_outlive_a_restart_of_the_engine_and_end_with_their_true_codes(
    fleet: Product, dockerd: Daemon
) -> None:
    """Half of them end while nobody is there to see it."""
    gate = "while [ ! -e go ]; do sleep 0.1; done"
    script = f'echo up; {gate}; echo done; exit "$(cat go)"'
    fleet.register(
        "outlives", "/bin/sh", "-c", script, exec_env="docker", docker=IN_DOCKER
    )
    uids = fleet.spawn("outlives", 6)
    for uid in uids:
        wait_for(lambda uid=uid: fleet.output(uid) == "up\n", timeout_s=60)
    dockerd.end(signal.SIGKILL)
    for uid in uids[:3]:
        let_go(fleet, uid, 7)
    for uid in uids[:3]:
        out = fleet.var / "runs" / uid[:2] / uid / "out"
        wait_for(lambda out=out: "done" in out.read_text(), timeout_s=30)
    dockerd.start()
    for uid in uids[3:]:
        let_go(fleet, uid, 8)
    ended = {uid: fleet.wait_for_end(uid, timeout_s=90) for uid in uids}
    codes = [ended[uid]["exit_code"] for uid in uids]
    assert codes == [7, 7, 7, 8, 8, 8], json.dumps(ended, indent=1)
    assert {run["attempt"] for run in ended.values()} == {1}
    assert {fleet.output(uid) for uid in uids} == {"up\ndone\n"}


def said_by_doctor(fleet: Product, engine: Daemon) -> str:
    fleet.env["DOCKER_HOST"], before = engine.base_url, fleet.env["DOCKER_HOST"]
    done = fleet.manage("check", "--deploy")
    fleet.env["DOCKER_HOST"] = before
    return done.stdout + done.stderr


def test_an_engine_that_would_end_its_containers_is_told_by_the_check(
    fleet: Product, dockerd: Daemon
) -> None:
    with tempfile.TemporaryDirectory(prefix="kos-") as folder:  # a short path
        options = ("--live-restore=false", "--bridge=none")
        careless = Daemon(Path(folder) / "d", *options)
        try:
            careless.start()
            assert "kos.W003" in said_by_doctor(fleet, careless)
        finally:
            careless.clean_up()
    assert "kos.W004" in said_by_doctor(fleet, careless)
    assert "kos.W00" not in said_by_doctor(fleet, dockerd).replace("kos.W002", "")
