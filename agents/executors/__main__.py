"""Starts a guard or a holder: `python -S -E -X utf8 agents/executors ROLE FOLDER FD`.

Run by path, so that it needs no site-packages, no Django and no PYTHONPATH: a holder
stays small, and an upgrade of anything else cannot break the restart of one.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.path.dirname(os.path.dirname(here))
    role, folder, lock_fd = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if role == "holder":
        from agents.executors import holder

        holder.run(folder, lock_fd)
    else:
        from agents.executors import guard

        (guard.start if role == "start" else guard.run)(folder, lock_fd)


if __name__ == "__main__":
    main()
