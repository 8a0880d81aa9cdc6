"""A fleet as a YAML file: read with the place of each entry, variables filled in."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from agents.allowed import configured_rules
from agents.config_keys import ConfigError
from agents.errors import NotAllowedNow
from agents.models import Agent
from kos_scheduler import strict_yaml
from scheduling import fleet
from scheduling.fleet import By, Entry

VARIABLE = re.compile(r"\$\$|\$\{([^{}]*)\}")
MAX_BYTES = 4 * 2**20  # thousands of agents
MAX_MEMBERS = 200_000
DEMO_FLEET = Path("demo") / "fleet.yaml"


class Unreadable(ValueError):
    """The file is not a fleet; the sentence names file and line."""


def read(file: Path) -> dict[str, strict_yaml.Node]:
    """The top of the file. Raises Unreadable naming file and line."""
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        document = strict_yaml.parse(raw, max_bytes=MAX_BYTES, max_members=MAX_MEMBERS)
    except OSError as error:
        raise Unreadable(f"{file}: {error.strerror}") from None
    except ConfigError as error:
        raise Unreadable(f"{file}: {error}") from None
    if not isinstance(document.value, dict):
        raise Unreadable(f"{file}: expected the keys agents and schedules")
    for key in document.value:
        if key not in ("agents", "schedules"):
            said = f"{key[:80]}: expected only the keys agents and schedules"
            raise Unreadable(f"{file}: {said}")
    return document.value


def entries(
    document: Mapping[str, strict_yaml.Node], key: str, file: Path
) -> list[Entry]:
    """The entries of one list, each with where it stands, variables filled in."""
    listed = document.get(key)
    if listed is None or listed.value is None:
        return []
    if not isinstance(listed.value, list):
        raise Unreadable(f"{file}:{listed.line}: {key} must be a list")
    found = []
    for number, node in enumerate(listed.value, 1):
        where = f"{file}:{node.line}: {key}[{number}]"
        if not isinstance(node.value, dict):
            raise Unreadable(f"{where}: expected keys and values")
        try:
            raw = filled(node.plain(), variables(file))
        except KeyError as unknown:
            raise Unreadable(f"{where}: unknown variable {unknown}") from None
        name = raw.get("agent_id") or raw.get("agent")
        found.append(Entry(f"{where} ({name})" if name else where, raw))
    return found


def variables(file: Path) -> dict[str, str]:
    return {
        "FLEET_DIR": str(Path.cwd() if str(file) == "-" else file.resolve().parent),
        "PYTHON": sys.executable,
        "VAR": str(settings.VAR),
    }


def filled(value: Any, known: Mapping[str, str]) -> Any:
    """The value with ${NAME} replaced in every string. Raises KeyError."""
    if isinstance(value, str):
        return VARIABLE.sub(lambda m: known[m[1]] if m[1] is not None else "$", value)
    if isinstance(value, list):
        return [filled(one, known) for one in value]
    if isinstance(value, dict):
        return {key: filled(one, known) for key, one in value.items()}
    return value


def load_demo(*, actor: str, now: datetime) -> dict[str, int]:
    """Register and schedule the demo fleet; how many of each.

    Raises NotAllowedNow where agents are: it is for a first look.
    """
    if Agent.objects.filter(retired_at=None).exists():
        said = "the demo fleet goes into an empty registry; here are agents already"
        raise NotAllowedNow(said)
    file = settings.BASE_DIR / DEMO_FLEET
    by = By(actor, now, configured_rules(is_admin=True))
    document = read(file)
    agents = entries(document, "agents", file)
    timetable = entries(document, "schedules", file)
    made = fleet.plan(agents, timetable, by)
    if made.faults:
        raise NotAllowedNow(f"the demo fleet does not fit here: {made.faults[0]}")
    fleet.carry_out(made, by)
    return {"agents": len(agents), "schedules": len(timetable)}
