"""One fleet over all four environments: started, seen, adopted and ended the same."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from tests.executors.docker_daemon import Daemon
from tests.live.four_environments import (
    ENVIRONMENTS,
    IN_DOCKER,
    in_each,
    let_go,
)
from tests.live.harness import Product
from tests.waiting import wait_for

SAYS = 'echo "hello from $KOS_AGENT_ID"; echo trouble >&2; exit 3'
WAITS = "echo up; while [ ! -e go ]; do sleep 0.1; done"
RESULT = """printf '{"answer": 42}' >"$KOS_RESULT" """


def test_the_node_offers_what_works_here(fleet: Product) -> None:
    def offered() -> list[str]:
        (node,) = fleet.get("nodes/")["items"]
        return list(node["environments"])

    wait_for(lambda: offered() == sorted(ENVIRONMENTS), timeout_s=30)
    found = fleet.get("environments/")
    assert all(one["available"] for one in found), found


def test_an_engine_that_hangs_silences_nobody(
    fleet: Product,
    dockerd: Daemon,
) -> None:
    def heard() -> str:
        return str(fleet.get("nodes/")["items"][0]["heartbeat_at"])

    fleet.register("beside", "/bin/true")
    os.kill(dockerd.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            before = heard()
            wait_for(lambda before=before: heard() != before, timeout_s=20)
        (uid,) = fleet.spawn("beside")
        assert fleet.wait_for_end(uid)["state"] == "succeeded"
    finally:
        os.kill(dockerd.pid, signal.SIGCONT)
    wait_for(
        lambda: "docker" in fleet.get("nodes/")["items"][0]["environments"],
        timeout_s=60,
    )


def test_code_output_and_result_are_the_same_everywhere(fleet: Product) -> None:
    says = in_each(fleet, "says", SAYS)
    answers = in_each(fleet, "answers", RESULT)
    for environment in ENVIRONMENTS:
        (uid,) = fleet.spawn(says[environment])
        run = fleet.wait_for_end(uid)
        assert (run["state"], run["exit_code"]) == ("failed", 3), run
        assert fleet.output(uid) == f"hello from says-{environment}\n"
        assert fleet.output(uid, "err") == "trouble\n"
        (uid,) = fleet.spawn(answers[environment])
        run = fleet.wait_for_end(uid)
        assert (run["state"], run["exit_code"]) == ("succeeded", 0), run
        assert fleet.get(f"runs/{uid}/result/") == {"answer": 42}


def test_a_run_is_stopped_everywhere(fleet: Product) -> None:
    sleepers = in_each(fleet, "sleeps", "echo up; exec sleep 300", grace_period=2)
    runs = {env: fleet.spawn(agent)[0] for env, agent in sleepers.items()}
    for uid in runs.values():
        wait_for(lambda uid=uid: fleet.output(uid) == "up\n", timeout_s=60)
        fleet.post(f"runs/{uid}/stop/", status=200)
    ended = {env: fleet.wait_for_end(uid)["state"] for env, uid in runs.items()}
    assert ended == dict.fromkeys(ENVIRONMENTS, "cancelled")


def test_a_script_of_ones_own_runs_in_a_sandbox(fleet: Product, tmp_path: Path) -> None:
    script = tmp_path / "mine"
    script.write_text('#!/bin/sh\necho "as $(id -u)"; ls "$(dirname "$0")"\n')
    script.chmod(0o755)
    (tmp_path / "secret").write_text("not for the sandbox")
    fleet.register("mine", str(script), exec_env="sandbox")
    (uid,) = fleet.spawn("mine")
    assert fleet.wait_for_end(uid)["state"] == "succeeded", fleet.output(uid, "err")
    assert fleet.output(uid) == "as 65534\nmine\n"


def test_a_sandbox_is_shown_folders_and_the_network_when_it_asks(
    fleet: Product,
) -> None:
    fleet.register(
        "shown",
        *(
            "/bin/sh",
            "-c",
            "test -e /data/GPL-3 && echo there; touch /data/mine || echo kept",
        ),
        exec_env="sandbox",
        sandbox={
            "mounts": [{"source": "/usr/share/common-licenses", "target": "/data"}]
        },
    )
    (uid,) = fleet.spawn("shown")
    fleet.wait_for_end(uid)
    assert fleet.output(uid) == "there\nkept\n"
    interfaces = "import socket; print(*(name for _, name in socket.if_nameindex()))"
    seen = {}
    for network in ("none", "host"):
        box = {"exec_env": "sandbox", "sandbox": {"network": network}}
        fleet.register(f"net-{network}", "/usr/bin/python3", "-c", interfaces, **box)
        (uid,) = fleet.spawn(f"net-{network}")
        fleet.wait_for_end(uid)
        seen[network] = fleet.output(uid).split()
    assert seen["none"] == ["lo"]
    assert seen["host"] == [name for _, name in socket.if_nameindex()]


def test_hooks_run_where_their_program_runs(fleet: Product, tmp_path: Path) -> None:
    """They share its work folder, its user and its walls."""
    outside = tmp_path / "outside"
    outside.touch()
    seen = f"test -e {outside} && echo open || echo walled"
    hooks = [
        {"when": when, "run": ["/bin/sh", "-c", script]}
        for when, script in (
            ("pre-start", f"({seen}; id -u) >>told; test -z ${{KOS_HOOK#pre-start/1}}"),
            ("post-start", "touch go"),
            ("on-shutdown", f"({seen}; id -u; echo $KOS_RUN_STATE) >>told"),
        )
    ]
    waits = "id -u >>told; while [ ! -e go ]; do sleep 0.1; done; cat told"
    agents = in_each(fleet, "hooked", waits, hooks=hooks)
    for environment, agent in agents.items():
        (uid,) = fleet.spawn(agent)
        run = fleet.wait_for_end(uid, timeout_s=60)
        assert run["state"] == "succeeded", (environment, run["reason"])

        def outcomes(uid: str = uid) -> list[str]:
            return [step["outcome"] for step in fleet.run(uid)["phases"]]

        wait_for(lambda: outcomes() == ["done"] * 3, timeout_s=30)
        own = environment in ("sandbox", "docker")
        user, walls = ("65534", "walled") if own else ("0", "open")
        told = (fleet.var / "runs" / uid[:2] / uid / "work" / "told").read_text()
        wanted = [walls, user, user, walls, user, "succeeded"]
        assert told.split() == wanted, environment


def test_a_missing_program_is_named_everywhere(fleet: Product) -> None:
    for environment in ENVIRONMENTS:
        own = {"docker": IN_DOCKER} if environment == "docker" else {}
        agent_id = f"missing-{environment}"
        fleet.register(agent_id, "/no/such", exec_env=environment, **own)
        (uid,) = fleet.spawn(agent_id)
        run = fleet.wait_for_end(uid)
        assert run["state"] == "failed"
        assert "/no/such" in run["reason"], run["reason"]


def test_twenty_runs_outlive_the_node_and_those_that_end_meanwhile_are_true(
    fleet: Product,
) -> None:
    """`up` and node are killed; three runs end while nobody is there to see it."""
    agents = in_each(fleet, "outlives", f"{WAITS}; echo done; exit $(cat go)")
    runs = {env: fleet.spawn(agent, 5) for env, agent in agents.items()}
    everyone = [uid for uids in runs.values() for uid in uids]
    quick = [runs[env][0] for env in ("sandbox", "docker", "systemd")]
    assert (len(everyone), len(quick)) == (20, 3)
    for uid in everyone:
        wait_for(lambda uid=uid: fleet.output(uid) == "up\n", timeout_s=90)
    process = fleet.process
    assert process is not None
    node, web = fleet.pid("node"), fleet.pid("web")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    os.kill(node, signal.SIGKILL)
    for uid in quick:
        let_go(fleet, uid, 6)
    wait_for(lambda: all(said_done(fleet, uid) for uid in quick), timeout_s=30)
    fleet.start()
    wait_for(lambda: fleet.pid("web") != web, timeout_s=60)  # the old one is ended
    wait_for(fleet.is_serving, timeout_s=60)
    for uid in set(everyone) - set(quick):
        let_go(fleet, uid, 5)
    for uid in everyone:
        run = fleet.wait_for_end(uid, timeout_s=90)
        code = 6 if uid in quick else 5
        assert (run["state"], run["exit_code"], run["attempt"]) == ("failed", code, 1)
        assert fleet.output(uid) == "up\ndone\n"


def said_done(fleet: Product, uid: str) -> bool:
    return "done" in (fleet.var / "runs" / uid[:2] / uid / "out").read_text()
