"""Turn a crontab into agents and schedules, and account for each of its lines."""

from __future__ import annotations

import os
import pwd
import re
import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace as with_
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from agents.allowed import Rules, configured_rules
from scheduling import crontab, crontab_import
from scheduling.crontab import Line
from scheduling.crontab_import import Place
from scheduling.fleet import By
from scheduling.schedule_input import zones

MAX_BYTES = 4 * 2**20
SYSTEM_FILES = re.compile(r"(.*/)?(crontab|cron\.d/[^/]+)")


class Command(BaseCommand):
    help = (
        "Import a crontab: its commands become subprocess agents, their times "
        "schedules, and every line is told as taken, setting, ignored or refused. "
        "Import the file again after a change: what is the same stays untouched."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the crontab, or - for stdin")
        parser.add_argument("--dry-run", action="store_true", help="only tell")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="retire what an earlier import of this label made and is gone now",
        )
        form = parser.add_mutually_exclusive_group()
        form.add_argument(
            "--system",
            action="store_true",
            default=None,
            help="entries have a user column (default: found out)",
        )
        form.add_argument(
            "--user", dest="system", action="store_false", help="entries have none"
        )
        parser.add_argument(
            "--label", help="part of the agents' ids (default: file name)"
        )
        parser.add_argument(
            "--timezone", help="of the times (default: this machine's, else UTC)"
        )

    def handle(
        self,
        *,
        file: Path,
        dry_run: bool,
        prune: bool,
        system: bool | None,
        label: str | None,
        timezone: str | None,
        **options: Any,
    ) -> None:
        if system is None and SYSTEM_FILES.fullmatch(str(file)):
            system = True
        place = self.place(label or file.name, timezone)
        users = [entry.pw_name for entry in pwd.getpwall()]
        lines = crontab.parse(read(file), system=system, users=users)
        rules = rules_for(place)
        by = By(f"command:import_crontab:{place.label}", now(), rules)
        by = with_(by, prune_agents=prune, prune_schedules=True)
        told = crontab_import.import_lines(lines, place, by, dry_run=dry_run)
        self.report(told, dry_run)
        for agent_id in crontab_import.left_over(told, by):
            left = "is no longer in this crontab; --prune retires it"
            self.stdout.write(self.style.WARNING(f"agent {agent_id} {left}"))

    def place(self, label: str, timezone: str | None) -> Place:
        if timezone is not None and timezone not in zones():
            raise CommandError(f"--timezone: {timezone!r} is not a time zone")
        return Place(
            label=crontab_import.slug(label, 40) or "stdin",
            timezone=timezone or machine_zone(),
            own_user=pwd.getpwuid(os.geteuid()).pw_name,
            is_root=os.geteuid() == 0,
            home_of=home_of,
        )

    def report(self, told: Iterable[Line], dry_run: bool) -> None:
        count: Counter[str] = Counter()
        for line in told:
            count[line.outcome] += 1
            text = f"{line.number:4} {line.outcome:8} {line.said}"
            style = self.style.WARNING if line.outcome == "refused" else str
            self.stdout.write(style(text))
            if line.outcome == "refused":
                self.stdout.write(f"              {ascii(line.text)[1:-1]}")
        words = ("taken", "setting", "ignored", "refused")
        kinds = ", ".join(f"{count[word]} {word}" for word in words)
        tense = "would be" if dry_run else "done"
        self.stdout.write(f"{tense}: {count.total()} lines: {kinds}")


def read(file: Path) -> str:
    """The text; what is not UTF-8 becomes halves of surrogates, refused by line."""
    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None
    if len(raw) > MAX_BYTES:
        raise CommandError(f"{file}: larger than {MAX_BYTES} bytes")
    return raw.decode("utf-8", "surrogateescape")


def rules_for(place: Place) -> Rules:
    """The configured users, and oneself: naming the node's own user changes nothing."""
    rules = configured_rules(is_admin=True)
    return with_(rules, run_as_users=(*rules.run_as_users, place.own_user))


def home_of(user: str) -> str | None:
    try:
        return pwd.getpwnam(user).pw_dir
    except KeyError:
        return None


def machine_zone() -> str:
    """The zone cron itself would use: TZ, /etc/timezone, or that of /etc/localtime."""
    candidates = [os.environ.get("TZ", "").removeprefix(":")]
    with suppress(OSError):
        candidates.append(Path("/etc/timezone").read_text().strip())
    candidates.append(os.path.realpath("/etc/localtime").partition("/zoneinfo/")[2])
    return next((zone for zone in candidates if zone in zones()), "UTC")
