"""`manage.py token --name NAME`: an API token for scripts, alone on the last line."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils.timezone import now

from agents.errors import Invalid
from kos_scheduler import tokens
from kos_scheduler.roles import ROLES


class Command(BaseCommand):
    help = "Makes an API token and prints it once: Authorization: Bearer TOKEN."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--name", required=True, help="what it is for; in the audit"
        )
        parser.add_argument("--role", default="admin", choices=ROLES)

    def handle(self, *args: Any, **options: Any) -> None:
        name, role = options["name"], options["role"]
        try:
            _, text = tokens.issue(name, role, actor="user:console", now=now())
        except Invalid as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(
                f"The database is not ready ({error}). Start the scheduler first, or "
                "run manage.py migrate; KOS_VAR must name the same folder."
            ) from None
        self.stderr.write(f"Token {name}, role {role}. It is not shown again.")
        self.stdout.write(text)
