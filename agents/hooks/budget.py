"""What a step of a hook may take: its time, and its end when nobody wants it any more.

Steps work in threads, which cannot be ended from outside: they ask here, often.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def sized(count: int) -> str:
    """Bytes as people say them."""
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count} bytes"


class HookFailed(Exception):
    """A hook step ended badly; the text tells how."""


class HookStopped(Exception):
    """The step is not wanted any more."""


class Budget:
    """`check` is called between two bits of work of a moment each."""

    def __init__(
        self, limit_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.limit_s, self.clock = limit_s, clock
        self.until = clock() + limit_s
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    @property
    def left_s(self) -> float:
        return max(0.0, self.until - self.clock())

    def check(self) -> None:
        """Raises HookFailed when the time is over, HookStopped after `stop`."""
        if self._stopped.is_set():
            raise HookStopped
        if self.clock() > self.until:
            raise HookFailed(f"took over {self.limit_s:g} s")

    def pause(self, seconds: float) -> None:
        """Wait, but no longer than there is time. Raises as `check` does."""
        self._stopped.wait(min(seconds, self.left_s))
        self.check()
