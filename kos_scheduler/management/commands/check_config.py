"""`manage.py check_config FILE`: is this configuration sound? Exit 2 when it is not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from kos_scheduler.config import KEYS, ConfigError, load_config


class Command(BaseCommand):
    help = "Checks a configuration file: every fault with its line, key and cure."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path)

    def handle(self, *args: Any, **options: Any) -> None:
        path = options["file"] or settings.KOS_CONFIG_FILE
        try:
            config = load_config(path)
        except ConfigError as error:
            self.stderr.write(str(error))
            sys.exit(2)
        for name in KEYS:
            source = "file" if name in config.given else "default"
            self.stdout.write(f"{name}: {config.value_of(name)}  ({source})")
        self.stdout.write(f"{path} is sound.")
