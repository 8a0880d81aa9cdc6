"""The named sections of the configuration, with what holds where the file is silent.

Units stand in the names. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents import gpus


@dataclass(frozen=True, slots=True)
class Nodes:
    name: str = ""  # "": the machine's host name
    down_after_s: float = 30.0
    admit_timeout_s: float = 10.0  # ADMITTED this long and no worker: back to queue
    address: str = "127.0.0.1"  # where the ports of its runs are reached
    ports: tuple[int, int] = (31_000, 31_999)  # given to runs that ask for any
    labels: tuple[str, ...] = ()  # capabilities that `requires` may name
    devices: tuple[gpus.Device, ...] = ()  # GPUs that are declared
    taints: tuple[str, ...] = ()  # only runs that tolerate them may come
    bandwidth_bps: int | None = None  # None: the speed of its network card


@dataclass(frozen=True, slots=True)
class Placement:
    strategy: str = "spread"  # over nodes, or "pack"
    backfill: str = "easy"  # or "off": the first that fits


@dataclass(frozen=True, slots=True)
class Cascade:
    max_depth: int = 16
    max_runs_per_root: int = 1000


@dataclass(frozen=True, slots=True)
class Bus:
    max_entries: int = 1000  # kept for each agent and each capability


@dataclass(frozen=True, slots=True)
class Output:
    max_bytes: int = 64 * 2**20  # per stream and run


@dataclass(frozen=True, slots=True)
class Logs:
    compress_after_s: float = 86_400.0  # after a run's end


@dataclass(frozen=True, slots=True)
class Loki:
    url: str = ""  # of its server, "": output is not shipped


@dataclass(frozen=True, slots=True)
class Paths:
    entry_roots: tuple[str, ...] = ()  # (): any absolute path or program name
    mount_roots: tuple[str, ...] = ()  # what containers may mount; (): nothing
    preload_roots: tuple[str, ...] = ()  # what hooks may copy from; (): nothing
    archive_roots: tuple[str, ...] = ()  # where hooks may keep archives; (): nowhere


@dataclass(frozen=True, slots=True)
class Preload:
    max_bytes: int = 16 * 2**30  # of one file
    max_unpacked_bytes: int = 32 * 2**30
    max_entries: int = 100_000  # of one archive
    cache_bytes: int = 16 * 2**30  # 0: no cache
    private_hosts: tuple[str, ...] = ()  # may be fetched from though not public


@dataclass(frozen=True, slots=True)
class Archive:
    max_bytes: int = 16 * 2**30  # of what goes into one


@dataclass(frozen=True, slots=True)
class Security:
    run_as_users: tuple[str, ...] = ()  # users `run_as` may name
    subprocess_needs_admin: bool = True
    spawns_per_minute: int = 6000  # requests of one caller that start agents


@dataclass(frozen=True, slots=True)
class Results:
    allow_private_targets: bool = False  # webhooks to this machine and its networks
    timeout_s: float = 10.0  # of one attempt, all of it
    retries_s: tuple[float, ...] = (5, 30, 120, 600, 3600, 21_600)
    file_roots: tuple[str, ...] = ()  # where results may be written; (): nowhere
    stream_max_length: int = 10_000  # entries of one stream


@dataclass(frozen=True, slots=True)
class Artefacts:
    max_bytes: int = 2**30  # of one run, all its files together
    max_files: int = 1000
