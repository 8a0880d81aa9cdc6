"""What each environment of the holder can do on this machine, and why not the rest.

As plain values, by the fields of base.Capabilities: the holder stays small.
"""

from __future__ import annotations

import os
from typing import Any

NO_GROUPS = "no control group of the machine that we may use does this"
PLAIN: dict[str, str] = {
    "disk": "a plain program writes to the machine's own disk",
    "usage_network": "a plain program shares the machine's network",
    "rate_network": "a plain program shares the machine's network",
    "private_network": "a plain program shares the machine's network",
    "private_files": "a plain program sees the machine's files, as its user may",
    "gpus": "a plain program may open every device that its user may",
}


def of_environments(groups: dict[str, bool]) -> dict[str, dict[str, Any]]:
    """`groups`: what control groups do here, by field."""
    return {"subprocess": _plain(groups)}


def _plain(groups: dict[str, bool]) -> dict[str, Any]:
    as_others = os.geteuid() == 0
    missing = {name: NO_GROUPS for name, held in groups.items() if not held}
    if not as_others:
        missing["run_as"] = "only a node of root may start programs as other users"
    return {
        **groups,
        "open_files": True,
        "output": True,
        "offline_limit": True,
        "run_as": as_others,
        "missing": {**missing, **PLAIN},
    }
