"""How tests wait: for a condition, with a deadline, never for a length of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    look: Callable[[], T], *, timeout_s: float = 10.0, every_s: float = 0.02
) -> T:
    """The first true value `look` gives. AssertionError when the time is over."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s} s for {look}; last: {found!r}")
        time.sleep(every_s)
    return found
