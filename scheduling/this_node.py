"""What the process of a node knows of its own machine without asking anybody.

Set once, when the node joins. Processes that start no programs leave it as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Devices:
    """The GPUs here: whether there are any, and which of them a driver knows."""

    any: bool = False
    real: frozenset[str] = frozenset()

    def passed_on(self, ids: Collection[str]) -> tuple[str, ...]:
        """Those an engine must open for the run; declared ones are only told of."""
        return tuple(name for name in ids if name in self.real)


_devices = Devices()
_address = "127.0.0.1"


def install(
    devices: Sequence[Mapping[str, Any]], *, address: str = "127.0.0.1"
) -> None:
    """Make these the GPUs of this machine (see agents.gpus), and this the address at
    which the ports of its containers are published."""
    global _devices, _address
    real = frozenset(d["id"] for d in devices if not d.get("declared"))
    _devices = Devices(bool(devices), real)
    _address = address


def devices() -> Devices:
    return _devices


def address() -> str:
    return _address
