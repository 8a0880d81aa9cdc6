"""Read scheduler_config.yaml into one frozen value (the keys: agents/config_keys.py).

A file with a fault is refused as a whole, naming the file, the line, the key and
what is allowed; every key at fault is told at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from agents.config_keys import (
    KEYS,
    MODES,
    SECTIONS,
    ConfigError,
    Mode,
    SchedulerConfig,
    unknown,
)
from kos_scheduler import strict_yaml
from kos_scheduler.strict_yaml import Node

__all__ = [
    "KEYS",
    "MODES",
    "ConfigError",
    "Mode",
    "SchedulerConfig",
    "load_config",
    "parse_config",
]


def load_config(path: Path) -> SchedulerConfig:
    """Read and check the file. Raises ConfigError naming the key at fault."""
    try:
        with path.open("rb") as file:
            raw = file.read(strict_yaml.MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    return parse_config(raw, str(path))


def parse_config(raw: bytes, source: str) -> SchedulerConfig:
    """Check the text of a whole file; `source` stands in front of each message."""
    try:
        document = strict_yaml.parse(raw)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}", error.fields) from None
    if not isinstance(document.value, dict):
        if document.value is not None:
            raise ConfigError(f"{source}: line 1: expected keys and values at the top")
        document = Node({}, 1)
    faults: dict[str, tuple[int, str]] = {}
    found = flat(document.value, faults)
    config = SchedulerConfig()
    for name, node in found.items():
        try:
            config = config.with_overrides({name: node.plain()})
        except ConfigError as error:
            faults[name] = (node.line, str(error))
    if faults:
        raise told(source, faults)
    return replace(config, given={name: node.plain() for name, node in found.items()})


def flat(
    top: Mapping[str, Node], faults: dict[str, tuple[int, str]]
) -> dict[str, Node]:
    """Keys with their sections in front: {"nodes.down_after": …}."""
    found: dict[str, Node] = {}
    for name, node in top.items():
        if name not in SECTIONS:
            if name not in KEYS or "." in name:
                faults[name] = (node.line, unknown(name))
            else:
                found[name] = node
        elif isinstance(node.value, dict):
            for inner, value in node.value.items():
                add(found, f"{name}.{inner}", value, faults)
        elif node.value is not None:
            faults[name] = (node.line, f"{name}: expected keys under it")
    return found


def add(
    found: dict[str, Node],
    name: str,
    node: Node,
    faults: dict[str, tuple[int, str]],
) -> None:
    if name in KEYS:
        found[name] = node
    else:
        faults[name] = (node.line, unknown(name))


def told(source: str, faults: Mapping[str, tuple[int, str]]) -> ConfigError:
    lines = [f"{source}: line {line}: {said}" for line, said in sorted(faults.values())]
    return ConfigError(
        "\n".join(lines), {key: said for key, (_, said) in faults.items()}
    )
