"""Make the agents and schedules of a fleet file exist, as they stand there."""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from agents.allowed import configured_rules
from agents.config_keys import ConfigError
from agents.errors import KosError
from kos_scheduler import strict_yaml
from scheduling import fleet
from scheduling.fleet import By, Entry, Plan

ACTOR = "command:apply"
VARIABLE = re.compile(r"\$\$|\$\{([^{}]*)\}")


class Command(BaseCommand):
    help = (
        "Register, change and schedule the agents of a YAML file: a list `agents`, "
        "each as POST /api/v1/agents/ takes it, and a list `schedules`, each as POST "
        "/api/v1/schedules/ takes it. Prints the plan; a second time there is nothing "
        'to do. run_at may be "in 20m". ${FLEET_DIR}, ${PYTHON} and ${VAR} stand for '
        "the file's folder, this Python and the state folder; $$ for a dollar sign."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the fleet, or - for stdin")
        parser.add_argument("--dry-run", action="store_true", help="only the plan")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="retire agents and end schedules that apply made and that are no "
            "longer in the file; what others made is left alone",
        )

    def handle(self, *, file: Path, dry_run: bool, prune: bool, **options: Any) -> None:
        made, by = self.planned(file, prune, now())
        for step in made.steps:
            self.stdout.write(str(step))
        if made.faults:
            raise CommandError("\n".join(made.faults))
        if not dry_run:
            try:
                fleet.carry_out(made, by)
            except KosError as refusal:
                raise CommandError(f"nothing was applied: {refusal}") from None
        self.stdout.write(summary(made, dry_run=dry_run))

    def planned(self, file: Path, prune: bool, at: datetime) -> tuple[Plan, By]:
        by = By(
            ACTOR,
            at,
            configured_rules(is_admin=True),
            prune_agents=prune,
            prune_schedules=prune,
        )
        document = read(file)
        agents = entries(document, "agents", file)
        timetable = entries(document, "schedules", file)
        return fleet.plan(agents, timetable, by), by


def read(file: Path) -> dict[str, strict_yaml.Node]:
    """The top of the file. Raises CommandError naming file and line."""
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        document = strict_yaml.parse(raw, max_bytes=MAX_BYTES, max_members=MAX_MEMBERS)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    except ConfigError as error:
        raise CommandError(f"{file}: {error}") from None
    if not isinstance(document.value, dict):
        raise CommandError(f"{file}: expected the keys agents and schedules")
    for key in document.value:
        if key not in ("agents", "schedules"):
            said = f"{key[:80]}: expected only the keys agents and schedules"
            raise CommandError(f"{file}: {said}")
    return document.value


MAX_BYTES = 4 * 2**20  # thousands of agents
MAX_MEMBERS = 200_000


def entries(
    document: Mapping[str, strict_yaml.Node], key: str, file: Path
) -> list[Entry]:
    """The entries of one list, each with where it stands, variables filled in."""
    listed = document.get(key)
    if listed is None or listed.value is None:
        return []
    if not isinstance(listed.value, list):
        raise CommandError(f"{file}:{listed.line}: {key} must be a list")
    found = []
    for number, node in enumerate(listed.value, 1):
        where = f"{file}:{node.line}: {key}[{number}]"
        if not isinstance(node.value, dict):
            raise CommandError(f"{where}: expected keys and values")
        try:
            raw = filled(node.plain(), variables(file))
        except KeyError as unknown:
            raise CommandError(f"{where}: unknown variable {unknown}") from None
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


def summary(made: Plan, *, dry_run: bool) -> str:
    counts = ", ".join(f"{made.count(verb)} {verb}" for verb in fleet.VERBS)
    return f"{'would be' if dry_run else 'done'}: {counts}"
