"""Blotting secrets out of bytes. Pure.

Every byte of an occurrence of a secret becomes a `*`, so no offset moves. Whether a
byte is covered depends only on the bytes within `reach` of it: a piece from anywhere in
a file, seen with that much of what surrounds it, reads as the same piece of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

LEAST_LINE = 8  # characters: of a secret of several lines each such line is one too
BLOT = bytes(ord("\n") if byte == ord("\n") else ord("*") for byte in range(256))


class Redactor:
    """`reach` is how much before and after a piece decides what is shown of it."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self.needles = sorted(set(_needles(secrets)), key=len, reverse=True)
        self.reach = max(map(len, self.needles), default=0)

    def blotted(self, data: bytes) -> bytes:
        """As many bytes, with no secret in them; lines stay lines."""
        found = bytearray(data)
        for needle in self.needles:
            at = data.find(needle)
            while at >= 0:
                end = at + len(needle)
                found[at:end] = needle.translate(BLOT)
                at = data.find(needle, at + 1)
        return bytes(found)

    def begun(self, data: bytes) -> int:
        """How many bytes at the end may be the first part of a secret."""
        return max((_begun(data, needle) for needle in self.needles), default=0)


def _begun(data: bytes, needle: bytes) -> int:
    for length in range(min(len(needle) - 1, len(data)), 0, -1):
        if data.endswith(needle[:length]):
            return length
    return 0


def _needles(secrets: Iterable[str]) -> Iterator[bytes]:
    for secret in secrets:
        lines = secret.splitlines()
        if whole := secret.strip("\r\n"):
            yield whole.encode()
        if len(lines) > 1:
            yield from (line.encode() for line in lines if len(line) >= LEAST_LINE)
