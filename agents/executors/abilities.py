"""What each environment of the holder can do on this machine, and why not the rest.

As plain values, by the fields of base.Capabilities: the holder stays small.
"""

from __future__ import annotations

import os
from typing import Any

from agents.executors import reclaim
from agents.executors.sandbox import Tool

NO_GROUPS = "no control group of the machine that we may use does this"
PLAIN: dict[str, str] = {
    "disk": "a plain program writes to the machine's own disk",
    "usage_network": "a plain program shares the machine's network",
    "rate_network": "a plain program shares the machine's network",
    "private_network": "a plain program shares the machine's network",
    "private_files": "a plain program sees the machine's files, as its user may",
    "gpus": "a plain program may open every device that its user may",
}
JAILED: dict[str, str] = {
    "usage_network": "a sandbox has no network, or the machine's",
    "rate_network": "a sandbox has no network, or the machine's",
    "run_as": "a sandbox has its own user, which is never root",
    "gpus": "a sandbox has no devices",
}


def of_environments(
    groups: dict[str, bool], jails: Tool | None
) -> dict[str, dict[str, Any]]:
    """`groups`: what control groups do here, by field. `jails`: None, if none work."""
    found = {"subprocess": _plain(groups)}
    if jails is not None:
        found["sandbox"] = _jailed(groups)
    return found


def _common(groups: dict[str, bool], missing: dict[str, str]) -> dict[str, Any]:
    lacks = {name: NO_GROUPS for name, held in groups.items() if not held}
    if "reclaim" in lacks:
        lacks["reclaim"] = reclaim.why_not(has_group=groups["memory"]) or NO_GROUPS
    return {
        **groups,
        "open_files": True,
        "output": True,
        "offline_limit": True,
        "missing": {**missing, **lacks},
    }


def _plain(groups: dict[str, bool]) -> dict[str, Any]:
    as_others = os.geteuid() == 0
    missing = dict(PLAIN)
    if not as_others:
        missing["run_as"] = "only a node of root may start programs as other users"
    return {**_common(groups, missing), "run_as": as_others}


def _jailed(groups: dict[str, bool]) -> dict[str, Any]:
    """Without control groups too everything ends: with its process 1."""
    known = {name: held for name, held in groups.items() if name != "kill_all"}
    always = ("kill_all", "disk", "private_network", "private_files")
    return {**_common(known, JAILED), **dict.fromkeys(always, True)}
