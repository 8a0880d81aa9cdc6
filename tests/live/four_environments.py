"""A product whose node offers all four environments, and agents in each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.executors.docker_daemon import IMAGE, Daemon
from tests.executors.systemd_host import SystemdHost, boot_or_skip
from tests.live.harness import Product, running_product

CONFIG = "max_concurrent_agents: 40\npaths: {mount_roots: [/usr]}\n"
ENVIRONMENTS = ("subprocess", "sandbox", "docker", "systemd")
IN_DOCKER = {
    "image": IMAGE,
    "pull": "never",
    "mounts": [{"source": "/usr", "target": "/usr"}],
}


@pytest.fixture(scope="module")
def systemd_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdHost]:
    host = boot_or_skip(tmp_path_factory.mktemp("systemd") / "host")
    yield host
    host.end()


@pytest.fixture(scope="module")
def fleet(
    dockerd: Daemon,
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


def in_each(fleet: Product, name: str, script: str, **more: Any) -> dict[str, str]:
    """An agent of the script in each environment: environment -> agent id."""
    return _register(fleet, name, ("/bin/sh", "-c", script), more)


def in_each_python(
    fleet: Product, name: str, code: str, *args: str, **more: Any
) -> dict[str, str]:
    """The same, of Python without its site packages."""
    return _register(fleet, name, ("/usr/bin/python3", "-S", "-c", code, *args), more)


def _register(
    fleet: Product, name: str, argv: tuple[str, ...], more: dict[str, Any]
) -> dict[str, str]:
    made = {}
    for environment in ENVIRONMENTS:
        own = {"docker": IN_DOCKER} if environment == "docker" else {}
        agent_id = f"{name}-{environment}"
        fleet.register(agent_id, *argv, exec_env=environment, **own, **more)
        made[environment] = agent_id
    return made


def let_go(fleet: Product, uid: str, code: int) -> None:
    """Write the code it waits for at its gate, the file `go`, in one step."""
    work = fleet.var / "runs" / uid[:2] / uid / "work"
    (work / "going").write_text(str(code))
    (work / "going").rename(work / "go")
