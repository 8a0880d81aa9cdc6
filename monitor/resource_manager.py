"""The seed's resource manager: what this machine has and how it is used right now.

It samples CPU, memory, pressure, network, disk, battery and GPUs and writes them to
the node's row, where the planner, the pages and the metrics read them. The only
importer of psutil. A part the machine does not have is left out, never an error.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pynvml
from django.conf import settings

from agents import live_config
from agents.models import Node
from scheduling.planner import pressure

PRESSURE = Path("/proc/pressure")  # how long work stalled for want of each resource
CGROUP = Path("/sys/fs/cgroup")
NO_LIMIT = 2**60  # cgroup v1 writes a huge number for "max"
Usage = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen, and the counters the next sample takes its rates from."""

    usage: Usage
    taken_s: float = 0.0  # monotonic
    counters: Mapping[str, float] = field(default_factory=dict)


def gpus() -> list[Usage]:
    """Each GPU the driver names: its id, number, name and memory; [] without one."""
    return _gpus()


def detect_capacity() -> tuple[int, int, int]:
    """(CPU in thousandths of a core, bytes of memory, GPUs) agents may ever use.

    A container's own limits count where they are lower than the machine.
    """
    cores = len(os.sched_getaffinity(0))
    cpu_millis = min(cores * 1000, _cgroup_cpu_millis() or NO_LIMIT)
    memory = min(psutil.virtual_memory().total, _cgroup_memory_bytes() or NO_LIMIT)
    return cpu_millis, memory, len(_gpus())


def sample(previous: Sample | None) -> Sample:
    """Look at the machine. Rates are over the time since `previous`, else left out."""
    taken_s = time.monotonic()
    counters = _counters()
    usage: Usage = {
        "cpu_fraction": round(psutil.cpu_percent() / 100, 4),
        "load": [round(x, 2) for x in psutil.getloadavg()],
        **_memory(),
        **_pressure(),
        **_disk(),
        **_battery(),
        "gpus": _gpus(),
    }
    if previous is not None and taken_s > previous.taken_s:
        usage |= _rates(counters, previous.counters, taken_s - previous.taken_s)
    return Sample(usage, taken_s, counters)


def write_sample(node_name: str, now: datetime, usage: Usage) -> bool:
    """Put what was seen on the node's row. False when there is no such node."""
    seen = {**usage, "sampled_at": now.isoformat().replace("+00:00", "Z")}
    return bool(Node.objects.filter(name=node_name).update(usage=seen))


def sampler_step(node_name: str, previous: Sample | None, *, now: datetime) -> Sample:
    """One heartbeat's sample: look, write, and hand back what the next one needs."""
    taken = sample(previous)
    before = previous is not None and bool(previous.usage.get("memory_over"))
    limit = live_config.current().max_memory_fraction
    taken.usage["memory_over"] = pressure.is_over(
        taken.usage["memory_fraction"], limit, before=before
    )
    write_sample(node_name, now, taken.usage)
    return taken


# --- parts of the machine ----------------------------------------------------


def _counters() -> dict[str, float]:
    """Counters that only grow; a rate is their difference over time."""
    counters: dict[str, float] = {}
    with suppress(OSError, RuntimeError):
        net = psutil.net_io_counters()
        if net is not None:
            counters |= {
                "net_sent_bytes": net.bytes_sent,
                "net_received_bytes": net.bytes_recv,
            }
    with suppress(OSError, RuntimeError):
        disk = psutil.disk_io_counters()
        if disk is not None:
            counters |= {
                "disk_read_bytes": disk.read_bytes,
                "disk_written_bytes": disk.write_bytes,
            }
    return counters


def _rates(
    after: Mapping[str, float], before: Mapping[str, float], elapsed_s: float
) -> Usage:
    return {
        f"{name}_per_s": round(max(value - before[name], 0) / elapsed_s)
        for name, value in after.items()
        if name in before
    }


def _memory() -> Usage:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {
        "memory_used_bytes": memory.total - memory.available,
        "memory_total_bytes": memory.total,
        "memory_fraction": round(1 - memory.available / memory.total, 4),
        "swap_used_bytes": swap.used,
    }


def _pressure() -> Usage:
    """Share of the last 10 s in which something waited for the resource."""
    found: Usage = {}
    for name in ("cpu", "memory", "io"):
        with suppress(OSError, ValueError, IndexError):
            first = (PRESSURE / name).read_text().split("\n", 1)[0]
            percent = first.split("avg10=")[1].split(" ")[0]
            found[f"{name}_pressure_fraction"] = round(float(percent) / 100, 4)
    return found


def _disk() -> Usage:
    with suppress(OSError):
        disk = psutil.disk_usage(str(settings.VAR))
        return {"disk_free_bytes": disk.free, "disk_total_bytes": disk.total}
    return {}


def _battery() -> Usage:
    with suppress(OSError, AttributeError):
        battery = psutil.sensors_battery()
        if battery is not None:
            return {
                "battery_fraction": round(battery.percent / 100, 4),
                "on_mains": bool(battery.power_plugged),
            }
    return {}


def _gpus() -> list[Usage]:
    """Each GPU the driver names; none when there is no driver."""
    if not _has_gpu_driver():
        return []
    try:
        pynvml.nvmlInit()
        return [_gpu(index) for index in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


@cache
def _has_gpu_driver() -> bool:
    """Asked once: a driver does not appear while we run."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return False
    return True


def _gpu(index: int) -> Usage:
    device = pynvml.nvmlDeviceGetHandleByIndex(index)
    seen: Usage = {
        "id": str(pynvml.nvmlDeviceGetUUID(device)),
        "index": index,
        "name": str(pynvml.nvmlDeviceGetName(device)),
    }
    with suppress(pynvml.NVMLError):
        memory = pynvml.nvmlDeviceGetMemoryInfo(device)
        seen |= {
            "memory_used_bytes": int(memory.used),
            "memory_total_bytes": int(memory.total),
        }
    with suppress(pynvml.NVMLError):
        busy = pynvml.nvmlDeviceGetUtilizationRates(device).gpu
        seen["busy_fraction"] = round(busy / 100, 4)
    return seen


def _cgroup_cpu_millis() -> int | None:
    """The quota of a container around us; cgroup v2 and v1."""
    with suppress(OSError, ValueError):
        quota, period = (CGROUP / "cpu.max").read_text().split()
        return int(quota) * 1000 // int(period)
    with suppress(OSError, ValueError):
        quota = (CGROUP / "cpu/cpu.cfs_quota_us").read_text()
        period = (CGROUP / "cpu/cpu.cfs_period_us").read_text()
        return int(quota) * 1000 // int(period) if int(quota) > 0 else None
    return None


def _cgroup_memory_bytes() -> int | None:
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            return int((CGROUP / name).read_text())
    return None
