"""What this machine is, as far as it never changes while it runs."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any


def node_name() -> str:
    """The host's name, as short as people say it."""
    return socket.gethostname().partition(".")[0] or "node"


def facts() -> dict[str, Any]:
    """Static capacity for the Node row. Sampled use is the monitor's business."""
    return {
        "cpu_millis": 1000 * len(os.sched_getaffinity(0)),
        "memory_bytes": memory_bytes(),
        "boot_id": boot_id(),
        "bandwidth_bps": bandwidth_bps(),
    }


def memory_bytes() -> int:
    """Physical memory, or what our own cgroup allows if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for bound in (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ):
        try:
            total = min(total, int(Path(bound).read_text()))
        except (OSError, ValueError):  # no such file, or the word "max"
            continue
    return total


def bandwidth_bps(root: Path = Path("/sys/class/net")) -> int | None:
    """The speed of its fastest network card that is up; None where none says it."""
    speeds = []
    for card in root.glob("*"):
        try:
            if (card / "device").exists():  # a bridge or a tunnel has none
                speeds.append(int((card / "speed").read_text()))
        except (OSError, ValueError):  # it is down
            continue
    fastest = max(speeds, default=0)
    return fastest * 10**6 if fastest > 0 else None


def boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
