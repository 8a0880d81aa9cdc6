"""A service of a compose file as a registration: what fits is taken, the rest told.

Nothing is stored: the answer is what a person would have written by hand, to look at,
to test and to save.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agents.errors import Invalid
from agents.http import wrong
from agents.registration import parse_agent
from kos_scheduler.config import ConfigError
from kos_scheduler.strict_yaml import parse

FIELD = "compose"
MOST_SERVICES = 100
SERVICE_KEYS = {"image", "command", "entrypoint", "build"}  # tell a service by itself
RESTARTS = {"always": "always", "unless-stopped": "always", "on-failure": "on-failure"}
IGNORED = {"container_name", "labels", "version", "hostname", "tty", "stdin_open"}
UNITS = {"b": "B", "k": "KiB", "kb": "KiB", "m": "MiB", "mb": "MiB", "g": "GiB"}
UNITS |= {"gb": "GiB", "": "B"}
SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s*([a-zA-Z]{0,2})", re.ASCII)


@dataclass(slots=True)
class Read:
    """One service: what becomes of it, and what a person has to know."""

    name: str
    body: Mapping[str, Any]
    registration: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take(self, key: str) -> Any:
        return self.body.get(key)


def services_of(text: object) -> list[dict[str, Any]]:
    """Each service with its registration, notes and faults. Raises Invalid."""
    if not isinstance(text, str) or not text.strip():
        raise wrong(FIELD, "expected a compose file or one of its services, as YAML")
    try:
        document = parse(text.encode()).plain()
    except ConfigError as error:
        raise wrong(FIELD, str(error)) from None
    found = _services(document)
    if len(found) > MOST_SERVICES:
        raise wrong(FIELD, f"more than {MOST_SERVICES} services")
    return [_told(Read(name, body)) for name, body in found.items()]


def _services(document: object) -> dict[str, Mapping[str, Any]]:
    """A whole file, some services by name, or one service without its name."""
    if not isinstance(document, dict):
        raise wrong(FIELD, "expected keys such as `services` or `image`")
    found = document.get("services", document)
    if isinstance(found, dict) and SERVICE_KEYS & set(found):
        found = {"agent": found}
    if not isinstance(found, dict) or not found:
        raise wrong(FIELD, "names no service")
    for name, body in found.items():
        if not isinstance(body, dict):
            raise wrong(FIELD, f"{name[:40]}: expected the keys of a service")
    return found


def _told(read: Read) -> dict[str, Any]:
    try:
        _translate(read)
        faults = _faults(read.registration)
    except ValueError as error:
        faults = {FIELD: [f"{read.name[:40]}: {error}"]}
    return {
        "service": read.name,
        "registration": read.registration,
        "notes": read.notes,
        "faults": faults,
    }


def _faults(registration: Mapping[str, Any]) -> dict[str, list[str]]:
    try:
        parse_agent(registration)
    except Invalid as invalid:
        return dict(invalid.fields)
    return {}


def _translate(read: Read) -> None:
    made = read.registration
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", read.name).strip("_-") or "agent"
    made |= {"agent_id": name[:64], "exec_env": "docker"}
    made |= _program(read)
    docker = _docker(read)
    if docker:
        made["docker"] = docker
    if variables := _variables(read):
        made["env"] = variables
    _amounts(read)
    _life(read)
    known = {*TAKEN, *IGNORED}
    left = [key for key in read.body if key not in known]
    if left:
        read.notes.append(f"Not taken over: {', '.join(sorted(left)[:20])}.")


def _words(value: Any, key: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [str(word) for word in value]
    if not isinstance(value, str):
        raise ValueError(f"{key}: expected text or a list")
    try:
        return shlex.split(value)
    except ValueError as error:
        raise ValueError(f"{key}: {str(error).lower()}") from None


def _program(read: Read) -> dict[str, Any]:
    entry = _words(read.take("entrypoint"), "entrypoint")
    argv = [*entry, *_words(read.take("command"), "command")]
    if not argv:
        read.notes.append(
            "It names no command, and what its image would start is not known here: "
            "write the program as entry_point."
        )
        return {}
    if not entry:
        read.notes.append(
            "The command is started as it stands; an entrypoint of the image is not."
        )
    return {"entry_point": argv[0], **({"args": argv[1:]} if argv[1:] else {})}


def _docker(read: Read) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if read.take("image") is not None:
        made["image"] = str(read.take("image"))
    elif read.take("build") is not None:
        read.notes.append("Build its image yourself and name it as docker.image.")
    mode = read.take("network_mode")
    if mode in ("none", "bridge"):
        made["network"] = mode
    elif mode is not None or read.take("networks") or read.take("ports"):
        made["network"] = "bridge"
        read.notes.append("It gets the network `bridge`; name another if it needs one.")
    if (user := read.take("user")) is not None:
        made["user"] = str(user)
    if (folder := read.take("working_dir")) is not None:
        made["workdir"] = str(folder)
    if mounts := _mounts(read):
        made["mounts"] = mounts
    if read.take("ports"):
        read.notes.append("Ports are given by the node: name them under `ports`.")
    return made


def _mounts(read: Read) -> list[dict[str, Any]]:
    made = []
    for volume in _list(read.take("volumes")):
        source, target, mode = "", "", ""
        if isinstance(volume, str):
            source, _, rest = volume.partition(":")
            target, _, mode = rest.partition(":")
        elif isinstance(volume, dict) and volume.get("type") == "bind":
            source, target = str(volume.get("source")), str(volume.get("target"))
            mode = "ro" if volume.get("read_only") else "rw"
        if source.startswith("/") and target:
            made.append({"source": source, "target": target, "read_only": mode == "ro"})
        else:
            read.notes.append(f"Not taken over: the volume {str(volume)[:60]}.")
    return made


def _variables(read: Read) -> dict[str, str]:
    stated = read.take("environment")
    if isinstance(stated, list):
        pairs = [str(word).partition("=") for word in stated]
        unset = [name for name, equals, _ in pairs if not equals]
        found = {name: value for name, equals, value in pairs if equals}
    elif isinstance(stated, dict):
        unset = [name for name, value in stated.items() if value is None]
        found = {k: _text(v) for k, v in stated.items() if v is not None}
    else:
        return {}
    if unset:
        read.notes.append(f"Without a value, so left out: {', '.join(unset[:20])}.")
    return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _amounts(read: Read) -> None:
    limits = _at(read.body, "deploy", "resources", "limits")
    kept = _at(read.body, "deploy", "resources", "reservations")
    memory = read.take("mem_limit") or limits.get("memory") or kept.get("memory")
    if memory is not None:
        read.registration["memory"] = _size(memory)
    cpus = read.take("cpus") or limits.get("cpus") or kept.get("cpus")
    if cpus is not None:
        read.registration["cpu"] = float(cpus)
    for device in _list(kept.get("devices")):
        if isinstance(device, dict) and "gpu" in _list(device.get("capabilities")):
            count = device.get("count", 1)
            read.registration["gpu"] = count if isinstance(count, int) else 1


def _at(body: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    for key in path:
        found = body.get(key)
        body = found if isinstance(found, dict) else {}
    return body


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _size(value: Any) -> str:
    match = SIZE.fullmatch(str(value).strip())
    unit = UNITS.get(match[2].lower()) if match else None
    if match is None or unit is None:
        raise ValueError(f"{str(value)[:40]} is no amount of memory such as 512m")
    return f"{match[1]}{unit}"


def _life(read: Read) -> None:
    stated = read.take("restart")
    policy = RESTARTS.get(str(stated).partition(":")[0]) if stated else None
    if policy == "always":
        read.registration["kind"] = "persistent"
    if policy:
        read.registration["restart"] = policy
    if (grace := read.take("stop_grace_period")) is not None:
        read.registration["grace_period"] = str(grace)
    if read.take("depends_on"):
        read.notes.append(
            "Its depends_on is not taken over: here an agent waits for runs of others "
            "to have ended, not to be up; see `requires`."
        )


TAKEN = {
    *("image", "command", "entrypoint", "environment", "network_mode", "networks"),
    *("user", "working_dir", "volumes", "ports", "mem_limit", "cpus", "deploy"),
    *("restart", "stop_grace_period", "depends_on", "build"),
}
