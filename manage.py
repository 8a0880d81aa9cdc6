#!/usr/bin/env python
"""The project's one command. `up` runs without Django, so that a broken settings
file or database cannot keep it from saying what is wrong."""

from __future__ import annotations

import os
import sys


def main() -> None:
    if "VAR" in os.environ:  # as `make run VAR=…` calls it
        os.environ.setdefault("KOS_VAR", os.environ["VAR"])
    if sys.argv[1:2] == ["up"]:
        from kos_scheduler.up import main as up

        sys.exit(up(sys.argv[2:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kos_scheduler.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
