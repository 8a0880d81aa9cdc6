"""The keys of the config section `nodes`: what a machine is called, offers and how long
it may be silent. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents import gpus
from agents.config_readers import number, seconds, texts, word
from agents.config_values import address, is_label, port_range, write_range


def keys(key: Callable[..., Any]) -> tuple[Any, ...]:
    """The section's rows of KEYS, made with its `Key`."""
    return (
        key(
            "nodes.name",
            "nodes.name",
            "a host name of at most 64 letters, digits, dots and dashes",
            word,
            restart=True,
        ),
        key(
            "nodes.down_after",
            "nodes.down_after_s",
            "seconds from 2 to 3600",
            seconds(2, 3600),
            number,
        ),
        key(
            "nodes.admit_timeout",
            "nodes.admit_timeout_s",
            "seconds from 1 to 3600",
            seconds(1, 3600),
            number,
        ),
        key("nodes.address", "nodes.address", "an IP address", address, restart=True),
        key(
            "nodes.ports",
            "nodes.ports",
            "a range of ports from 1024 to 65535, such as 31000-31999",
            port_range,
            write_range,
        ),
        key(
            "nodes.labels",
            "nodes.labels",
            'a list of words such as "avx512" or "disk=ssd"',
            texts(is_label),
            list,
            restart=True,
        ),
        key(
            "nodes.devices",
            "nodes.devices",
            'a list of GPUs such as {"id": "gpu0", "memory": "24GB", "share": 1}',
            gpus.read,
            gpus.write,
            restart=True,
        ),
    )
