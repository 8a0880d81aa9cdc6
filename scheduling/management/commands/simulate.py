from __future__ import annotations

import sys
from argparse import ArgumentParser
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError
from django.utils.timezone import now

from agents.quantities import QuantityError, parse_duration
from scheduling.simulation import child, history, report, swf
from scheduling.simulation.policies import POLICIES
from scheduling.simulation.trace import Trace


class Command(BaseCommand):
    help = (
        "Replay a trace, or what ran here, through the real scheduler on a simulated "
        "clock, under one policy or several. Touches nothing of this installation."
    )
    requires_system_checks: list[str] = []  # the child's tables are not there yet

    def add_arguments(self, parser: ArgumentParser) -> None:
        known = ", ".join(POLICIES)
        parser.add_argument(
            "trace", nargs="?", help="a file of the Standard Workload Format (SWF)"
        )
        parser.add_argument("--history", help='what ran here lately, such as "7d"')
        parser.add_argument("--policy", default="all", help=f"all, or some of {known}")
        parser.add_argument("--jobs", type=int, help="only the first so many")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--json", action="store_true", help="for programs")
        parser.add_argument("--inside", help="for the simulated process itself")

    def handle(self, *, inside: str | None, **options: Any) -> None:
        if inside:
            answer = child.inside(orjson.loads(sys.stdin.buffer.read()))
            self.stdout.write(orjson.dumps(answer).decode())
            return
        trace = read(options).first(options["jobs"])
        try:
            found = [
                child.replay(trace, policy, seed=options["seed"])
                for policy in policies_in(options["policy"])
            ]
        except child.SimulationFailed as failed:
            raise CommandError(f"the simulation failed: {failed}") from None
        if options["json"]:
            told = [one.as_dict() for one in found]
            self.stdout.write(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
            return
        for note in trace.notes:
            self.stdout.write(note)
        self.stdout.write(report.table(found))


def read(options: dict[str, Any]) -> Trace:
    """Raises CommandError saying what to give."""
    if (options["trace"] is None) == (options["history"] is None):
        raise CommandError("give a trace, or --history with a length such as 7d")
    try:
        if options["history"] is not None:
            length_s = parse_duration(options["history"])
            until = now()
            return history.of_runs(
                since=until - timedelta(seconds=length_s), until=until
            )
        with Path(options["trace"]).open(errors="replace") as lines:
            return swf.parse(lines)
    except QuantityError as error:
        raise CommandError(f"--history: {error}") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"{options['trace'] or 'history'}: {error}") from None


def policies_in(text: str) -> list[str]:
    """Raises CommandError naming one that is not known."""
    wanted = list(POLICIES) if text == "all" else text.split(",")
    for name in wanted:
        if name not in POLICIES:
            raise CommandError(
                f"--policy: {name!r} is not one of {', '.join(POLICIES)}"
            )
    return wanted
