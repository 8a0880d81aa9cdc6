"""The ways to run an agent. KINDS is the only place that lists them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# by name, so that naming a kind does not load what it needs
KINDS = {
    "subprocess": "agents.executors.process:ProcessExecutor",
    "docker": "agents.executors.docker:DockerExecutor",
    "systemd": "agents.executors.systemd:SystemdExecutor",
    "fake": "agents.executors.fake:FakeExecutor",
}


def executor_class(kind: str) -> Any:
    """The class behind a kind. Raises KeyError for one that is not there."""
    module, _, name = KINDS[kind].partition(":")
    return getattr(import_module(module), name)
