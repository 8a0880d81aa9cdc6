"""`manage.py audit verify`: is the journal what was sealed?"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from agents import sealing
from monitor import audit


class Command(BaseCommand):
    help = "Check the sealed journal. Exit status 1 when it was tampered with."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["verify"])

    def handle(self, *, action: str, **options: Any) -> None:
        report = audit.verify(sealing.sealing_key(), sealing.head_path())
        for finding in report.findings:
            self.stderr.write(f"{finding.fault} at {finding.seq}: {finding.text}")
        self.stdout.write(
            f"{report.events} events under {report.seals} seals, "
            f"{report.unsealed} not sealed yet: {'good' if report.ok else 'NOT GOOD'}"
        )
        if not report.ok:
            sys.exit(1)
