"""Configuration of where runs go: a node's taints and bandwidth, and how to choose.

Each row is a Key of config_keys.py. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agents.config_readers import texts
from agents.config_values import is_label
from agents.quantities import format_bandwidth, parse_bandwidth

STRATEGIES = ("spread", "pack")
BACKFILLS = ("easy", "off")
Row = tuple[str, str, str, Callable[[object], Any], Callable[[Any], object], bool]


def one_of(words: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            raise ValueError
        return value

    return read


def bandwidth(value: object) -> int | None:
    return None if value is None else parse_bandwidth(value)


def write_bandwidth(bps: int | None) -> str | None:
    return None if bps is None else format_bandwidth(bps)


ROWS: tuple[Row, ...] = (
    (
        "nodes.taints",
        "nodes.taints",
        'a list of words such as "gpu" or "dedicated=ml"',
        texts(is_label),
        list,
        True,
    ),
    (
        "nodes.bandwidth",
        "nodes.bandwidth_bps",
        'a bandwidth such as "1Gbit", or null',
        bandwidth,
        write_bandwidth,
        True,
    ),
    (
        "placement.strategy",
        "placement.strategy",
        f"one of {', '.join(STRATEGIES)}",
        one_of(STRATEGIES),
        str,
        False,
    ),
    (
        "placement.backfill",
        "placement.backfill",
        f"one of {', '.join(BACKFILLS)}",
        one_of(BACKFILLS),
        str,
        False,
    ),
)
