"""The sd_notify protocol as a program speaks it: one datagram, a few NAME=value lines.

What is understood: READY=1, STATUS=, STOPPING=1, WATCHDOG=1, WATCHDOG=trigger and
X_KOS_PROGRESS= (0 to 1, or "45%"). Everything else is passed over, MAINPID= and
EXTEND_TIMEOUT_USEC= too: which process is the main one and how long a start may take is
the definition's to say. BARRIER=1 needs nothing but that its descriptor is closed.
"""

from __future__ import annotations

import re

MOST_BYTES = 4096  # of one datagram; of a longer one the whole lines that fit count
MOST_STATUS = 300  # characters
PROGRESS = re.compile(r"([0-9]{1,3}(?:\.[0-9]{0,9})?)(%?)")


class Message:
    """What one datagram, or several in a row, said. None: nothing of that."""

    __slots__ = ("alive", "progress", "ready", "status", "stopping", "trigger")

    def __init__(self) -> None:
        self.ready = self.stopping = self.alive = self.trigger = False
        self.status: str | None = None
        self.progress: float | None = None

    def add(self, data: bytes, *, cut: bool = False) -> None:
        """Take in a datagram; what it says of status and progress is the newest."""
        lines = data[:MOST_BYTES].split(b"\n")
        if cut or len(data) > MOST_BYTES:
            lines.pop()
        said = [line.partition(b"=") for line in lines if b"=" in line]
        for name, _, value in said:
            self._take(name, value)
        names = [name for name, _, _ in said]
        if (b"STOPPING", b"=", b"1") in said and b"STATUS" not in names:
            self.status = "stopping"

    def _take(self, name: bytes, value: bytes) -> None:
        if name == b"READY":
            self.ready |= value == b"1"
        elif name == b"STOPPING":
            self.stopping |= value == b"1"
        elif name == b"WATCHDOG":
            self.alive |= value == b"1"
            self.trigger |= value == b"trigger"
        elif name == b"STATUS":
            self.status = shown(value)
        elif name == b"X_KOS_PROGRESS":
            done = progress(value)
            self.progress = self.progress if done is None else done


def shown(value: bytes) -> str:
    """A status as people may see it: one short line of valid text."""
    text = value.decode(errors="replace")
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())[:MOST_STATUS].rstrip()


def progress(value: bytes) -> float | None:
    """From 0 to 1; None for what is no such number."""
    match = PROGRESS.fullmatch(value.decode(errors="replace").strip())
    if match is None or not match[1].isascii():
        return None
    done = float(match[1]) / (100 if match[2] else 1)
    return done if done <= 1 else None
