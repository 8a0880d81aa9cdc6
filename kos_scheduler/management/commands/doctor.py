"""`manage.py doctor`: what is wrong with this installation, and how to mend it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import checks
from django.core.management.base import BaseCommand
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.timezone import now

from agents.models import Node
from kos_scheduler.auth import role_of_user

OWN = "kos"  # the tag of our checks; Django's own are for `check`


@dataclass(frozen=True, slots=True)
class Finding:
    level: str  # "ok", "note", "warning", "fault"
    said: str
    cure: str = ""


class Command(BaseCommand):
    help = "Says what is wrong and how to mend it. Exit 1 when something must be."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        found = [*of_checks(), *of_database()]
        for finding in found:
            self.stdout.write(f"{finding.level:8}{finding.said}")
            if finding.cure:
                self.stdout.write(f"{'':8}-> {finding.cure}")
        if any(finding.level == "fault" for finding in found):
            sys.exit(1)


def of_checks() -> Iterator[Finding]:
    yield Finding(
        "ok", f"state in {settings.VAR}, configuration {settings.KOS_CONFIG_FILE}"
    )
    for message in checks.run_checks(tags=[OWN], include_deployment_checks=True):
        level = "fault" if message.is_serious() else "warning"
        if message.level < checks.WARNING:
            level = "note"
        yield Finding(level, f"{message.msg} ({message.id})", message.hint or "")


def of_database() -> Iterator[Finding]:
    try:
        executor = MigrationExecutor(connection)
        plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        cure = "Start PostgreSQL, or mend DATABASE_URL; without it SQLite is used."
        yield Finding("fault", f"the database does not answer: {error}", cure)
        return
    if plan:
        said = f"the database lacks {len(plan)} migrations"
        yield Finding("fault", said, "manage.py migrate")
        return
    yield Finding("ok", f"the database ({connection.vendor}) is up to date")
    yield of_people()
    yield from of_nodes()


def of_people() -> Finding:
    from django.contrib.auth.models import User

    active = User.objects.filter(is_active=True)
    if any(role_of_user(user) == "admin" for user in active[:1000]):
        return Finding("ok", "there is an administrator")
    return Finding("fault", "nobody is an administrator", "manage.py createsuperuser")


def of_nodes() -> Iterator[Finding]:
    silent_after = timedelta(seconds=settings.KOS.nodes.down_after_s)
    nodes = list(Node.objects.all())
    if not nodes:
        cure = (
            "`manage.py up` starts one on this machine; elsewhere: manage.py run_node."
        )
        yield Finding("warning", "no node has ever reported", cure)
    for node in nodes:
        seen = node.heartbeat_at
        if seen is None or now() - seen > silent_after:
            since = "ever" if seen is None else f"since {seen:%Y-%m-%d %H:%M:%S} UTC"
            cure = f"Start run_node on {node.name}; its log says why it ended."
            yield Finding("warning", f"node {node.name} has not reported {since}", cure)
        else:
            yield Finding("ok", f"node {node.name} reports")
