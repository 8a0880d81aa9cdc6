"""Blotting secrets out of bytes that come in pieces. Pure.

A byte is covered when it is part of an occurrence of any secret; each stretch of
covered bytes is shown as one mark, in the piece in which it begins. Whether a byte is
covered depends only on the bytes within `reach` of it, so a piece from anywhere in a
file can be shown with a little of what surrounds it, whole files and single pieces
agree, and the memory needed is a piece and twice the reach.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MARK = "••••".encode()
BLANK = b"*"
LEAST_LINE = 8  # characters: of a secret of several lines each such line is one too


class Redactor:
    """`reach` is how many bytes before and after a piece decide what is shown of it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self.needles = sorted(set(_needles(secrets)), key=len, reverse=True)
        self.reach = max(map(len, self.needles), default=0)

    def __bool__(self) -> bool:
        return bool(self.needles)

    def shown(self, window: bytes, start: int, end: int) -> bytes:
        """What is shown of window[start:end]. The window should reach `reach` bytes
        further on both sides, where there are any."""
        shown, at = bytearray(), start
        for begin, stop in self._stretches(window):
            if stop <= start or begin >= end:
                continue
            shown += window[at : max(begin, start)]
            if begin >= start:
                shown += MARK
            at = min(stop, end)
        return bytes(shown + window[at:end]) if at < end else bytes(shown)

    def blanked(self, data: bytes) -> bytes:
        """The same number of bytes with an asterisk for each covered one, for readers
        that count in offsets of the file. A beginning of a secret at the very end is
        hidden too; with `reach` bytes of margin it lies in the margin."""
        hidden = bytearray(data)
        for begin, stop in self._stretches(data):
            hidden[begin:stop] = BLANK * (stop - begin)
        begin = self.settled(data)
        hidden[begin:] = BLANK * (len(data) - begin)
        return bytes(hidden)

    def _stretches(self, window: bytes) -> list[tuple[int, int]]:
        """Where covered bytes lie, in order, touching ones joined."""
        found = sorted(self._occurrences(window))
        joined: list[tuple[int, int]] = []
        for begin, stop in found:
            if joined and begin <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
            else:
                joined.append((begin, stop))
        return joined

    def _occurrences(self, window: bytes) -> Iterator[tuple[int, int]]:
        """Of each secret, those that overlap as well, and those joined."""
        for needle in self.needles:
            begin = stop = at = window.find(needle)
            while at >= 0:
                if at > stop:
                    yield begin, stop
                    begin = at
                stop = at + len(needle)
                at = window.find(needle, at + 1)
            if begin >= 0:
                yield begin, stop

    def settled(self, data: bytes) -> int:
        """How much of the beginning can be shown while more may follow: the end may be
        the first part of a secret."""
        for at in range(max(0, len(data) - self.reach + 1), len(data)):
            rest = data[at:]
            if any(needle.startswith(rest) for needle in self.needles):
                return at
        return len(data)


class Stream:
    """A file shown from its beginning as it comes. What it gives, joined, is what
    `shown` makes of the whole."""

    def __init__(self, redactor: Redactor) -> None:
        self.redactor = redactor
        self.before = b""  # passed on already; at most `reach` and one byte
        self.waiting = b""

    def feed(self, piece: bytes) -> bytes:
        """What can be shown now."""
        self.waiting += piece
        return self._pass_on(max(0, len(self.waiting) - self.redactor.reach))

    def finish(self) -> bytes:
        """The rest."""
        return self._pass_on(len(self.waiting))

    def _pass_on(self, count: int) -> bytes:
        begin = len(self.before)
        window = self.before + self.waiting
        shown = self.redactor.shown(window, begin, begin + count)
        passed = window[: begin + count]
        self.before = passed[-(self.redactor.reach + 1) :]
        self.waiting = window[begin + count :]
        return shown


def _needles(secrets: Iterable[str]) -> Iterator[bytes]:
    for secret in secrets:
        lines = secret.splitlines()
        if whole := secret.strip("\r\n"):
            yield whole.encode()
        if len(lines) > 1:
            yield from (line.encode() for line in lines if len(line) >= LEAST_LINE)
