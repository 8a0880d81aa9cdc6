from __future__ import annotations

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from agents.errors import KosError
from scheduling import live_runs, runs

LOOK_EVERY_S = 0.1
LONGEST_WAIT_S = 60.0


class Command(BaseCommand):
    help = "Stop every running agent with its grace and wait until they have ended."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--all", action="store_true", required=True)
        parser.add_argument("--wait", type=float, default=LONGEST_WAIT_S)

    def handle(self, *, wait: float, **options: Any) -> None:
        live = live_runs.began()
        asked = 0
        for run in live.select_related("version", "node", "agent"):
            try:
                runs.stop(
                    run, actor="system", now=now(), reason="the scheduler was stopped"
                )
                asked += 1
            except KosError:  # it ended by itself meanwhile
                continue
        deadline = time.monotonic() + wait
        programs = live_runs.programs()
        while (left := programs.count()) and time.monotonic() < deadline:
            time.sleep(LOOK_EVERY_S)
        if left:
            raise CommandError(f"{agents(left)} still ending after {wait:g} s")
        self.stdout.write(f"stopped {agents(asked)}")


def agents(count: int) -> str:
    return f"{count} agent" if count == 1 else f"{count} agents"
