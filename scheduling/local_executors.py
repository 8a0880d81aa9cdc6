"""Which executors a node begins with: what this machine has the parts for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from agents.executors import executor_class
from agents.executors.base import Executor
from agents.executors.guests import Guests

DOCKER_SOCKET = "/var/run/docker.sock"
SYSTEMD = "/run/systemd/system"  # is there where systemd is process 1
USER_BUS = "bus"  # below XDG_RUNTIME_DIR


def executors_for(
    folder: Path, *, mount_roots: Sequence[str], publish_on: str
) -> list[Executor]:
    """The executors of the node whose files lie in `folder`. An engine's library is
    loaded only where there is an engine.

    `publish_on`: the address at which ports of containers are reached.
    DOCKER_HOST and KOS_SYSTEMD_BUS name engines in other places.
    """
    holder = executor_class("subprocess")(folder)
    found: list[Executor] = [holder]
    if os.path.exists(DOCKER_SOCKET) or "DOCKER_HOST" in os.environ:
        made = executor_class("docker")(
            folder / "docker",
            base_url=os.environ.get("DOCKER_HOST"),
            allowed_roots=mount_roots,
            publish_on=publish_on,
            guests=Guests(holder, "docker"),
        )
        found.append(made)
    if (bus := systemd_bus()) is not None:
        guests = Guests(holder, "systemd")
        made = executor_class("systemd")(folder / "systemd", bus=bus, guests=guests)
        found.append(made)
    return found


def systemd_bus() -> str | None:
    """How to reach a systemd that runs units for us: an address, "system", "user"."""
    if stated := os.environ.get("KOS_SYSTEMD_BUS"):
        return stated
    if not os.path.exists(SYSTEMD):
        return None
    if os.geteuid() == 0:
        return "system"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    return "user" if runtime and os.path.exists(f"{runtime}/{USER_BUS}") else None
