"""A stream as one text to download: what is kept, with one line in place of the cut."""

from __future__ import annotations

from monitor.logs import Printed


class Raw:
    def __init__(self, printed: Printed) -> None:
        self.printed = printed
        self.spans = printed.spans
        gone = self.spans[-1][0] - self.spans[0][1]
        self.mark = f"\n({gone} bytes were not kept)\n".encode() if gone > 0 else b""
        self.head = self.spans[0][1]
        self.size = sum(high - low for low, high in self.spans) + len(self.mark)

    def read(self, start: int, length: int) -> bytes:
        """Bytes from `start` on: at least one where there are any, at most `length`."""
        if start < self.head:
            return self.printed.read(start, min(length, self.head - start))
        behind = start - self.head
        if behind < len(self.mark):
            return self.mark[behind : behind + length]
        place = self.spans[-1][0] + behind - len(self.mark)
        return self.printed.read(place, length)
