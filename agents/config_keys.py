"""The scheduler's configuration as one frozen value, and what each key may hold.

KEYS is the one table: each key as the file writes it, its place in SchedulerConfig,
how its value is read and written back, and what is allowed, in words. Units live in
the field names: the file says ``heartbeat_interval: 5``, the code reads
``heartbeat_interval_s``. Pure.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from agents.quantities import (
    QuantityError,
    format_memory,
    parse_duration,
    parse_memory,
    parse_percent,
    shown,
)

Mode = Literal["fifo", "lifo", "priority"]
MODES: tuple[str, ...] = get_args(Mode)
MODES_TO_COME = ("dependency",)


class ConfigError(ValueError):
    """A key of the configuration is unknown, or its value is not allowed.

    `fields` has a sentence for each key at fault, so that all are told at once.
    """

    def __init__(self, detail: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.fields = dict(fields or {})


@dataclass(frozen=True, slots=True)
class Nodes:
    name: str = ""  # "": the machine's host name
    down_after_s: float = 30.0
    admit_timeout_s: float = 10.0  # ADMITTED this long and no worker: back to queue


@dataclass(frozen=True, slots=True)
class Cascade:
    max_depth: int = 16
    max_runs_per_root: int = 1000


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


@dataclass(frozen=True, slots=True)
class Security:
    run_as_users: tuple[str, ...] = ()  # users `run_as` may name
    subprocess_needs_admin: bool = True
    spawns_per_minute: int = 6000  # requests of one caller that start agents


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
    logs: Logs = field(default_factory=Logs)
    loki: Loki = field(default_factory=Loki)
    paths: Paths = field(default_factory=Paths)
    security: Security = field(default_factory=Security)
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
    if name == "scheduler_mode" and value in MODES_TO_COME:
        raise ConfigError(f"{name}: {value} is not built yet; expected {key.allowed}")
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


def whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        if not least <= value <= most:
            raise ValueError
        return value

    return read


def seconds(least_s: float, most_s: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        if isinstance(value, str) and value[-1:].isdigit():
            raise TypeError  # "5": a number in quotes is a mistake
        return parse_duration(value, least_s=least_s, most_s=most_s)

    return read


def number(value: float) -> float | int:
    """5.0 is written 5."""
    return int(value) if float(value).is_integer() else value


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def mode(value: object) -> str:
    if not isinstance(value, str) or value not in MODES:
        raise ValueError
    return value


def percent(fraction: float) -> str:
    return f"{round(fraction * 100, 7):g}%"


def size(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        return whole(least, most)(parse_memory(value, least=least))

    return read


def word(value: object) -> str:
    """A host name, or "" for the machine's own."""
    if not isinstance(value, str) or len(value) > 64:
        raise ValueError
    if value and not value.replace("-", "").replace(".", "").isalnum():
        raise ValueError
    if not value.isascii():
        raise ValueError
    return value


def address(value: object) -> str:
    """Of an HTTP server, or ""; without a password, since everybody may read it."""
    if not isinstance(value, str) or (value and not ADDRESS.fullmatch(value)):
        raise ValueError
    return value


def texts(test: Callable[[str], bool]) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or len(value) > 100:
            raise TypeError
        if not all(isinstance(one, str) and test(one) for one in value):
            raise ValueError
        return tuple(value)

    return read


def is_root(path: str) -> bool:
    parts = path.split("/")
    return path.startswith("/") and ".." not in parts and path.isprintable()


def is_user(name: str) -> bool:
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    return plain.isalnum() and name.isascii() and not name.startswith("-")


ADDRESS = re.compile(r"https?://[A-Za-z0-9._\[\]:-]{1,200}(/[\w./-]{0,200})?", re.ASCII)
YES_NO = "true or false"
DAY_S = 86_400.0


def table(*keys: Key) -> dict[str, Key]:
    return {key.name: key for key in keys}


KEYS: Mapping[str, Key] = table(
    Key(
        "max_concurrent_agents",
        "max_concurrent_agents",
        "a whole number from 1 to 100000",
        whole(1, 100_000),
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
    Key(
        "nodes.name",
        "nodes.name",
        "a host name of at most 64 letters, digits, dots and dashes",
        word,
        restart=True,
    ),
    Key(
        "nodes.down_after",
        "nodes.down_after_s",
        "seconds from 2 to 3600",
        seconds(2, 3600),
        number,
    ),
    Key(
        "nodes.admit_timeout",
        "nodes.admit_timeout_s",
        "seconds from 1 to 3600",
        seconds(1, 3600),
        number,
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
    Key(
        "logs.compress_after",
        "logs.compress_after_s",
        "a duration from 60 seconds to 3650 days",
        seconds(60, 3650 * DAY_S),
        number,
    ),
    Key("loki.url", "loki.url", "an address such as http://127.0.0.1:3100", address),
    Key(
        "paths.entry_roots",
        "paths.entry_roots",
        "a list of absolute folders",
        texts(is_root),
        list,
    ),
    Key(
        "paths.mount_roots",
        "paths.mount_roots",
        "a list of absolute folders",
        texts(is_root),
        list,
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
)
SECTIONS = frozenset(name.partition(".")[0] for name in KEYS if "." in name)
