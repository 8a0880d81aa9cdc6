"""The GPUs of a node as data: what its driver names, and what is declared. Pure.

A device is {"id", "model", "memory_bytes", "share", "declared"}: `share` is how many
runs may have it at once, `declared` that no driver here knows it, so that a run is
told of it and nothing else is done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from agents.quantities import format_memory, parse_memory
from agents.text import unreadable

Device = dict[str, Any]
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
MOST = 64  # of one node
MOST_SHARE = 64
KEYS = ("id", "memory", "model", "share")


def read(value: object) -> tuple[Device, ...]:
    """Devices as the configuration declares them. Raises TypeError or ValueError."""
    if not isinstance(value, list | tuple):
        raise TypeError
    devices = tuple(_device(one) for one in value)
    ids = [device["id"] for device in devices]
    if len(devices) > MOST or len(set(ids)) != len(ids):
        raise ValueError
    return devices


def _device(one: object) -> Device:
    if not isinstance(one, dict) or not set(one) <= set(KEYS):
        raise TypeError
    name, model, share = one.get("id"), one.get("model", ""), one.get("share", 1)
    if not isinstance(name, str) or not ID.fullmatch(name):
        raise ValueError
    if not isinstance(model, str) or len(model) > 64 or unreadable(model):
        raise ValueError
    if type(share) is not int or not 1 <= share <= MOST_SHARE:
        raise ValueError
    memory = parse_memory(one["memory"]) if "memory" in one else None
    return {"id": name, "model": model, "memory_bytes": memory, "share": share}


def write(devices: Sequence[Device]) -> list[dict[str, Any]]:
    """As a file declares them."""
    return [
        {
            "id": device["id"],
            **({"model": device["model"]} if device["model"] else {}),
            **(
                {"memory": format_memory(device["memory_bytes"])}
                if device["memory_bytes"]
                else {}
            ),
            **({"share": device["share"]} if device["share"] > 1 else {}),
        }
        for device in devices
    ]


def from_words(text: str) -> tuple[Device, ...]:
    """Of "gpu0:24GB:2,gpu1": id, and if stated memory and share, for each.

    Raises TypeError or ValueError.
    """
    found: list[dict[str, Any]] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        name, *more = word.split(":")
        if len(more) > 2:
            raise ValueError
        device: dict[str, Any] = {"id": name}
        if more and more[0]:
            device["memory"] = more[0]
        if len(more) == 2:
            device["share"] = int(more[1])
        found.append(device)
    return read(found)


def inventory(
    seen: Sequence[Mapping[str, Any]], declared: Sequence[Device]
) -> list[Device]:
    """The devices of a node: those its driver names, and those only declared.

    A declaration that has the id or the number of a device the driver names speaks of
    that one, and may say its share.
    """
    said = {device["id"]: device for device in declared}
    devices = []
    for one in seen:
        names = (str(one["id"]), str(one["index"]))
        own = next((said.pop(name) for name in names if name in said), None)
        devices.append(
            {
                "id": names[0],
                "model": str(one.get("name", "")),
                "memory_bytes": one.get("memory_total_bytes"),
                "share": own["share"] if own else 1,
                "declared": False,
            }
        )
    return devices + [{**device, "declared": True} for device in said.values()]


def places(devices: Sequence[Mapping[str, Any]]) -> int:
    """How many runs with one GPU each fit on them."""
    return sum(int(device["share"]) for device in devices)
