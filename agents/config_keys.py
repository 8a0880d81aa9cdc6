"""The scheduler's configuration as one frozen value, and what each key may hold.

KEYS is the one table: each key as the file writes it, its place in SchedulerConfig,
how its value is read and written back, and what is allowed, in words. Units live in
the field names: the file says ``heartbeat_interval: 5``, the code reads
``heartbeat_interval_s``. Pure.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from agents import (
    config_balance,
    config_events,
    config_limits,
    config_mqtt,
    config_nodes,
    config_place,
    config_placement,
)
from agents.config_balance import Power, Rebalance
from agents.config_queue import QUEUE_KEYS, Queue
from agents.config_readers import (
    boolean,
    durations,
    is_root,
    is_user,
    number,
    numbers,
    percent,
    seconds,
    size,
    texts,
    whole,
)
from agents.config_sections import (
    Archive,
    Artefacts,
    Bus,
    Cascade,
    Logs,
    Loki,
    Nodes,
    Output,
    Paths,
    Placement,
    Preload,
    Results,
    Security,
)
from agents.config_values import (
    is_host,
    web_address,
)
from agents.quantities import QuantityError, format_memory, parse_percent, shown

Mode = Literal["fifo", "lifo", "priority", "dependency"]
MODES: tuple[str, ...] = get_args(Mode)


class ConfigError(ValueError):
    """A key of the configuration is unknown, or its value is not allowed.

    `fields` has a sentence for each key at fault, so that all are told at once.
    """

    def __init__(self, detail: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.fields = dict(fields or {})


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
    bus: Bus = field(default_factory=Bus)
    output: Output = field(default_factory=Output)
    logs: Logs = field(default_factory=Logs)
    loki: Loki = field(default_factory=Loki)
    paths: Paths = field(default_factory=Paths)
    preload: Preload = field(default_factory=Preload)
    archive: Archive = field(default_factory=Archive)
    security: Security = field(default_factory=Security)
    results: Results = field(default_factory=Results)
    artefacts: Artefacts = field(default_factory=Artefacts)
    place: config_place.Place = field(default_factory=config_place.Place)
    mqtt: config_mqtt.Mqtt = field(default_factory=config_mqtt.Mqtt)
    sensors: config_mqtt.Sensors = field(default_factory=config_mqtt.Sensors)
    events: config_events.Events = field(default_factory=config_events.Events)
    limits: tuple[config_limits.Limit, ...] = ()
    queue: Queue = field(default_factory=Queue)
    placement: Placement = field(default_factory=Placement)
    power: Power = field(default_factory=Power)
    rebalance: Rebalance = field(default_factory=Rebalance)
    given: Mapping[str, object] = field(default_factory=dict, compare=False)

    def with_overrides(self, values: Mapping[str, object]) -> SchedulerConfig:
        """This configuration with other values for some keys, as a file writes them.

        Raises ConfigError naming every key at fault. `given` stays the file's own.
        """
        faults: dict[str, str] = {}
        config = self
        for name, value in values.items():
            try:
                config = with_one(config, name, value)
            except ConfigError as error:
                faults[name] = str(error)
        if faults:
            raise ConfigError("; ".join(faults.values()), faults)
        return config

    def value_of(self, name: str) -> object:
        """The value of a key as a file would write it."""
        key = KEYS[name]
        return key.write(getattr(self.section(key), key.attribute))

    def section(self, key: Key) -> Any:
        return getattr(self, key.section_name) if key.section_name else self


@dataclass(frozen=True, slots=True)
class Key:
    name: str  # "nodes.down_after"
    place: str  # "nodes.down_after_s"
    allowed: str
    read: Callable[[object], Any]
    write: Callable[[Any], object] = lambda value: value
    restart: bool = False  # read at start only

    @property
    def section_name(self) -> str:
        return self.place.rpartition(".")[0]

    @property
    def attribute(self) -> str:
        return self.place.rpartition(".")[2]


def with_one(config: SchedulerConfig, name: str, value: object) -> SchedulerConfig:
    """One key changed. Raises ConfigError with a sentence that starts with its name."""
    key = KEYS.get(name)
    if key is None:
        raise ConfigError(unknown(name))
    try:
        read = key.read(value)
    except (TypeError, ValueError) as error:
        because = f" ({error})" if isinstance(error, QuantityError) else ""
        raise ConfigError(
            f"{name}: expected {key.allowed}, got {shown(value)}{because}"
        ) from None
    if not key.section_name:
        return replace(config, **{key.attribute: read})
    section = replace(config.section(key), **{key.attribute: read})
    return replace(config, **{key.section_name: section})


def unknown(name: str) -> str:
    """ "unknown key 'x'; did you mean y?" """
    close = difflib.get_close_matches(name[:80], [*KEYS, *SECTIONS], n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"unknown key {shown(name)}{hint}"


def mode(value: object) -> str:
    if not isinstance(value, str) or value not in MODES:
        raise ValueError
    return value


YES_NO = "true or false"
DAY_S = 86_400.0


def bound(name: str, *, least: int = 4096) -> Key:
    """A key that bounds bytes."""
    said = f"an amount from {least} bytes to 1PB, such as 16GiB"
    return Key(name, name, said, size(least, 10**15), lambda n: n and format_memory(n))


def folders(name: str) -> Key:
    return Key(name, name, "a list of absolute folders", texts(is_root), list)


def table(*keys: Key) -> dict[str, Key]:
    return {key.name: key for key in keys}


KEYS: Mapping[str, Key] = table(
    *(Key(*row) for row in config_place.ROWS),
    *config_events.keys(Key),
    *(Key(*row) for row in config_balance.ROWS),
    Key(
        "max_concurrent_agents",
        "max_concurrent_agents",
        "a whole number from 1 to 100000",
        whole(1, 100_000),
    ),
    Key(
        "limits", "limits", config_limits.SAID, config_limits.read, config_limits.write
    ),
    Key("scheduler_mode", "scheduler_mode", f"one of {', '.join(MODES)}", mode),
    Key(
        "heartbeat_interval",
        "heartbeat_interval_s",
        "seconds from 0.5 to 300",
        seconds(0.5, 300),
        number,
    ),
    Key("allow_agent_preemption", "allow_agent_preemption", YES_NO, boolean),
    Key(
        "max_memory_usage",
        "max_memory_fraction",
        "a percentage above 0% and up to 100%, such as 85%",
        parse_percent,
        percent,
    ),
    Key(
        "log_retention_days",
        "log_retention_days",
        "a whole number of days from 1 to 3650",
        whole(1, 3650),
    ),
    Key(
        "agent_timeout_default",
        "agent_timeout_default_s",
        "seconds from 1 to 31536000",
        seconds(1, 365 * DAY_S),
        number,
    ),
    Key("reschedule_on_crash", "reschedule_on_crash", YES_NO, boolean),
    *config_nodes.keys(Key),
    Key(
        "bus.max_entries",
        "bus.max_entries",
        "a whole number from 1 to 100000",
        whole(1, 100_000),
    ),
    Key(
        "cascade.max_depth",
        "cascade.max_depth",
        "a whole number from 1 to 1000",
        whole(1, 1000),
    ),
    Key(
        "cascade.max_runs_per_root",
        "cascade.max_runs_per_root",
        "a whole number from 1 to 1000000",
        whole(1, 1_000_000),
    ),
    Key(
        "output.max_bytes",
        "output.max_bytes",
        "an amount from 4096 bytes to 1TiB, such as 64MiB",
        size(4096, 2**40),
        format_memory,
    ),
    folders("paths.entry_roots"),
    folders("paths.mount_roots"),
    folders("paths.preload_roots"),
    folders("paths.archive_roots"),
    bound("preload.max_bytes"),
    bound("preload.max_unpacked_bytes"),
    Key(
        "preload.max_entries",
        "preload.max_entries",
        "a whole number from 1 to 10000000",
        whole(1, 10_000_000),
    ),
    bound("preload.cache_bytes", least=0),
    Key(
        "preload.private_hosts",
        "preload.private_hosts",
        "a list of host names or addresses",
        texts(is_host),
        list,
    ),
    bound("archive.max_bytes"),
    Key(
        "logs.compress_after",
        "logs.compress_after_s",
        "a duration from 60 seconds to 3650 days",
        seconds(60, 3650 * DAY_S),
        number,
    ),
    Key(
        "loki.url", "loki.url", "an address such as http://127.0.0.1:3100", web_address
    ),
    Key(
        "security.run_as_users",
        "security.run_as_users",
        "a list of user names",
        texts(is_user),
        list,
    ),
    Key(
        "security.subprocess_needs_admin",
        "security.subprocess_needs_admin",
        YES_NO,
        boolean,
    ),
    Key(
        "security.spawns_per_minute",
        "security.spawns_per_minute",
        "a whole number from 1 to 1000000",
        whole(1, 1_000_000),
    ),
    Key(
        "results.allow_private_targets",
        "results.allow_private_targets",
        YES_NO,
        boolean,
    ),
    Key(
        "results.timeout",
        "results.timeout_s",
        "seconds from 0.5 to 60",
        seconds(0.5, 60),
        number,
    ),
    Key(
        "results.retries",
        "results.retries_s",
        "a list of at most 20 durations from 0.1 seconds to 7 days",
        durations(0.1, 7 * DAY_S, most=20),
        numbers,
    ),
    Key(
        "results.file_roots",
        "results.file_roots",
        "a list of absolute folders",
        texts(is_root),
        list,
    ),
    Key(
        "results.stream_max_length",
        "results.stream_max_length",
        "a whole number from 1 to 10000000",
        whole(1, 10_000_000),
    ),
    Key(
        "artefacts.max_bytes",
        "artefacts.max_bytes",
        "an amount from 4096 bytes to 1TiB, such as 1GiB",
        size(4096, 2**40),
        format_memory,
    ),
    Key(
        "artefacts.max_files",
        "artefacts.max_files",
        "a whole number from 1 to 100000",
        whole(1, 100_000),
    ),
    *(Key(*row) for row in config_mqtt.ROWS),
    *(Key(*row) for row in QUEUE_KEYS),
    *(Key(*row) for row in config_placement.ROWS),
)
SECTIONS = frozenset(name.partition(".")[0] for name in KEYS if "." in name)
