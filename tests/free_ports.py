"""Ports of this machine that nobody has, for tests that need to name them."""

from __future__ import annotations

import random

from scheduling import node_checks


def ten_free_ports() -> range:
    """Below those the system gives to connections, so that nobody comes meanwhile."""
    for first in random.Random().sample(range(20_000, 30_000, 10), 100):
        if all(map(node_checks.is_free, range(first, first + 10))):
            return range(first, first + 10)
    raise AssertionError("the machine's ports are all taken")
