"""Make VAR ready to serve: tables, roles, the first admin, the demo."""

from __future__ import annotations

import os
import secrets
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import BaseCommand

from agents.models import Agent
from kos_scheduler.fleet_file import DEMO_FLEET
from kos_scheduler.roles import ROLES

ADMIN = "admin"
PASSWORD_BYTES = 12  # 96 bits of chance; short enough to type


class Command(BaseCommand):
    help = "Bring the database up to date and make the first admin. Safe to repeat."
    requires_system_checks: list[str] = []  # the tables they ask about come from here

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--demo",
            action="store_true",
            help="load the demo fleet if no agent is registered yet",
        )

    def handle(self, *, demo: bool, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=0)
        for role in ROLES:
            Group.objects.get_or_create(name=role)
        make_admin(settings.VAR / "admin-password")
        if demo and not Agent.objects.exists():
            call_command("apply", str(settings.BASE_DIR / DEMO_FLEET))


def make_admin(password_file: Path) -> None:
    """Afterwards `admin` exists. Its first password stands in the file; one that was
    changed later does not, and is left alone."""
    if User.objects.filter(username=ADMIN).exists():
        return
    if not password_file.exists():
        write_private(password_file, secrets.token_urlsafe(PASSWORD_BYTES))
    password = password_file.read_text().strip()
    User.objects.create_superuser(ADMIN, password=password)


def write_private(path: Path, text: str) -> None:
    """All of it or nothing, readable by our user alone."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    with os.fdopen(os.open(fresh, flags, 0o600), "w") as file:
        file.write(text + "\n")
    fresh.replace(path)
