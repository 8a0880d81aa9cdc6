"""One fleet over all four environments: started, seen, adopted and ended the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.executors.docker_bench import dockerd  # noqa: F401
from tests.executors.docker_daemon import IMAGE, Daemon
from tests.executors.systemd_host import SystemdHost, boot_or_skip
from tests.live.harness import Product, running_product
from tests.waiting import wait_for

CONFIG = "max_concurrent_agents: 40\npaths: {mount_roots: [/usr]}\n"
ENVIRONMENTS = ("subprocess", "sandbox", "docker", "systemd")
IN_DOCKER = {
    "image": IMAGE,
    "pull": "never",
    "mounts": [{"source": "/usr", "target": "/usr"}],
}
SAYS = 'echo "hello from $KOS_AGENT_ID"; echo trouble >&2; exit 3'
RESULT = """printf '{"answer": 42}' >"$KOS_RESULT" """


@pytest.fixture(scope="module")
def systemd_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdHost]:
    host = boot_or_skip(tmp_path_factory.mktemp("systemd") / "host")
    yield host
    host.end()


@pytest.fixture(scope="module")
def product(
    dockerd: Daemon,  # noqa: F811
    systemd_host: SystemdHost,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Product]:
    folder = tmp_path_factory.mktemp("kos")
    (folder / "config.yaml").write_text(CONFIG)
    env = {
        "KOS_CONFIG": str(folder / "config.yaml"),
        "DOCKER_HOST": dockerd.base_url,
        "KOS_SYSTEMD_BUS": systemd_host.bus,
    }
    with running_product(folder, env=env) as product:
        yield product


def in_each(product: Product, name: str, script: str, **more: Any) -> dict[str, str]:
    """An agent of the script in each environment: environment -> agent id."""
    made = {}
    for environment in ENVIRONMENTS:
        own = {"docker": IN_DOCKER} if environment == "docker" else {}
        agent_id = f"{name}-{environment}"
        argv = ("/bin/sh", "-c", script)
        product.register(agent_id, *argv, exec_env=environment, **own, **more)
        made[environment] = agent_id
    return made


def test_the_node_offers_what_works_here(product: Product) -> None:
    def offered() -> list[str]:
        (node,) = product.get("nodes/")["items"]
        return list(node["environments"])

    wait_for(lambda: offered() == sorted(ENVIRONMENTS), timeout_s=30)
    found = product.get("environments/")
    assert all(one["available"] for one in found), found


def test_an_engine_that_hangs_silences_nobody(
    product: Product,
    dockerd: Daemon,  # noqa: F811
) -> None:
    def heard() -> str:
        return str(product.get("nodes/")["items"][0]["heartbeat_at"])

    product.register("beside", "/bin/true")
    os.kill(dockerd.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            before = heard()
            wait_for(lambda before=before: heard() != before, timeout_s=20)
        (uid,) = product.spawn("beside")
        assert product.wait_for_end(uid)["state"] == "succeeded"
    finally:
        os.kill(dockerd.pid, signal.SIGCONT)
    wait_for(
        lambda: "docker" in product.get("nodes/")["items"][0]["environments"],
        timeout_s=60,
    )


def test_code_output_and_result_are_the_same_everywhere(product: Product) -> None:
    says = in_each(product, "says", SAYS)
    answers = in_each(product, "answers", RESULT)
    for environment in ENVIRONMENTS:
        (uid,) = product.spawn(says[environment])
        run = product.wait_for_end(uid)
        assert (run["state"], run["exit_code"]) == ("failed", 3), run
        assert product.output(uid) == f"hello from says-{environment}\n"
        assert product.output(uid, "err") == "trouble\n"
        (uid,) = product.spawn(answers[environment])
        run = product.wait_for_end(uid)
        assert (run["state"], run["exit_code"]) == ("succeeded", 0), run
        assert product.get(f"runs/{uid}/result/") == {"answer": 42}


def test_a_run_is_stopped_everywhere(product: Product) -> None:
    sleepers = in_each(product, "sleeps", "echo up; exec sleep 300", grace_period=2)
    runs = {env: product.spawn(agent)[0] for env, agent in sleepers.items()}
    for uid in runs.values():
        wait_for(lambda uid=uid: product.output(uid) == "up\n", timeout_s=60)
        product.post(f"runs/{uid}/stop/", status=200)
    ended = {env: product.wait_for_end(uid)["state"] for env, uid in runs.items()}
    assert ended == dict.fromkeys(ENVIRONMENTS, "cancelled")


def test_a_script_of_ones_own_runs_in_a_sandbox(
    product: Product, tmp_path: Path
) -> None:
    script = tmp_path / "mine"
    script.write_text('#!/bin/sh\necho "as $(id -u)"; ls "$(dirname "$0")"\n')
    script.chmod(0o755)
    (tmp_path / "secret").write_text("not for the sandbox")
    product.register("mine", str(script), exec_env="sandbox")
    (uid,) = product.spawn("mine")
    assert product.wait_for_end(uid)["state"] == "succeeded", product.output(uid, "err")
    assert product.output(uid) == "as 65534\nmine\n"


def test_hooks_run_where_their_program_runs(product: Product, tmp_path: Path) -> None:
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
    agents = in_each(product, "hooked", waits, hooks=hooks)
    for environment, agent in agents.items():
        (uid,) = product.spawn(agent)
        run = product.wait_for_end(uid, timeout_s=60)
        assert run["state"] == "succeeded", (environment, run["reason"])

        def outcomes(uid: str = uid) -> list[str]:
            return [step["outcome"] for step in product.run(uid)["phases"]]

        wait_for(lambda: outcomes() == ["done"] * 3, timeout_s=30)
        own = environment in ("sandbox", "docker")
        user, walls = ("65534", "walled") if own else ("0", "open")
        told = (product.var / "runs" / uid[:2] / uid / "work" / "told").read_text()
        wanted = [walls, user, user, walls, user, "succeeded"]
        assert told.split() == wanted, environment


def test_a_missing_program_is_named_everywhere(product: Product) -> None:
    for environment in ENVIRONMENTS:
        own = {"docker": IN_DOCKER} if environment == "docker" else {}
        agent_id = f"missing-{environment}"
        product.register(agent_id, "/no/such", exec_env=environment, **own)
        (uid,) = product.spawn(agent_id)
        run = product.wait_for_end(uid)
        assert run["state"] == "failed"
        assert "/no/such" in run["reason"], run["reason"]


def test_twenty_runs_outlive_the_node_and_those_that_end_meanwhile_are_true(
    product: Product, tmp_path: Path
) -> None:
    """`up` and node are killed; three runs end while nobody is there to see it."""
    slow = in_each(product, "slow", "echo up; sleep 20; echo done; exit 5")
    quick = in_each(product, "quick", "echo up; sleep 4; echo done; exit 6")
    del quick["subprocess"]
    slow_runs = [uid for agent in slow.values() for uid in product.spawn(agent, 4)]
    extra = product.spawn(slow["subprocess"], 1)
    quick_runs = [product.spawn(agent)[0] for agent in quick.values()]
    everyone = [*slow_runs, *extra, *quick_runs]
    assert len(everyone) == 20
    for uid in everyone:
        wait_for(lambda uid=uid: product.run(uid)["state"] == "running", timeout_s=60)
    process = product.process
    assert process is not None
    node, web = product.pid("node"), product.pid("web")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    os.kill(node, signal.SIGKILL)
    folders = [product.var / "runs" / uid[:2] / uid for uid in quick_runs]
    wait_for(lambda: all(said_done(folder) for folder in folders), timeout_s=30)
    product.start()
    wait_for(lambda: product.pid("web") != web, timeout_s=40)  # the old one is ended
    wait_for(product.is_serving, timeout_s=40)
    for uid in everyone:
        run = product.wait_for_end(uid, timeout_s=60)
        code = 6 if uid in quick_runs else 5
        assert (run["state"], run["exit_code"], run["attempt"]) == ("failed", code, 1)
        assert product.output(uid) == "up\ndone\n"


def said_done(folder: Path) -> bool:
    return "done" in (folder / "out").read_text()
