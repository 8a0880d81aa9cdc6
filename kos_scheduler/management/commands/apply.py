"""Make the agents and schedules of a fleet file exist, as they stand there."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from agents.allowed import configured_rules
from agents.errors import KosError
from kos_scheduler.fleet_file import Unreadable, entries, read
from scheduling import fleet
from scheduling.fleet import By, Plan

ACTOR = "command:apply"


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
        try:
            document = read(file)
            agents = entries(document, "agents", file)
            timetable = entries(document, "schedules", file)
        except Unreadable as fault:
            raise CommandError(str(fault)) from None
        return fleet.plan(agents, timetable, by), by


def summary(made: Plan, *, dry_run: bool) -> str:
    counts = ", ".join(f"{made.count(verb)} {verb}" for verb in fleet.VERBS)
    return f"{'would be' if dry_run else 'done'}: {counts}"
