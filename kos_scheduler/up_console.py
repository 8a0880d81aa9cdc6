"""What `up` shows: short lines from the children's logs, each with its name.

The logs themselves are written by the children; we only follow them, and turn a
grown one over to <name>.log.1.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LINE_MAX_CHARS = 200
LINES_AT_ONCE = 10  # of one child; the rest of a burst is only in its log
READ_MAX_BYTES = 64 * 1024
LOG_MAX_BYTES = 10 * 2**20
NAME_WIDTH = len("rqscheduler")
QUIET_LEVELS = {"debug", "info"}
# Of a traceback only its last line, the one that says what happened, is for here.
TRACEBACK = (" ", "\t", "Traceback (", "During handling of", "The above exception")


def say(text: str) -> None:
    """A line for the person at the terminal, who may have closed it meanwhile."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError:
        return


def short(line: str) -> str | None:
    """The line as the console shows it; None for what only the log needs."""
    if line.startswith(TRACEBACK):
        return None
    line = line.strip()
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = {}
        if "event" in entry:
            level = str(entry.get("level", "info")).lower()
            if level in QUIET_LEVELS:
                return None
            line = f"{level}: {entry['event']}"
    shown = "".join(c if c.isprintable() else " " for c in line[:LINE_MAX_CHARS])
    return shown or None


@dataclass(slots=True)
class Follower:
    """Reads what was appended to one log since the last look."""

    name: str
    log: Path
    quiet: bool = False  # its lines are of no use to a person; only mind its size
    position: int = field(default=0, init=False)
    rest: bytes = field(default=b"", init=False)

    def skip_to_end(self) -> None:
        """What stands there now was shown by an earlier `up`."""
        self.position = self.log.stat().st_size if self.log.exists() else 0

    def look(self) -> Iterator[str]:
        """The new lines, ready for the console; a burst is cut and says so."""
        lines = [text for line in self.new_lines() if (text := short(line))]
        if self.quiet:
            return
        for text in lines[:LINES_AT_ONCE]:
            yield f"{self.name:<{NAME_WIDTH}} | {text}"
        if len(lines) > LINES_AT_ONCE:
            more = len(lines) - LINES_AT_ONCE
            yield f"{self.name:<{NAME_WIDTH}} | ... {more} more lines in {self.log}"

    def new_lines(self) -> list[str]:
        try:
            size = self.log.stat().st_size
        except FileNotFoundError:
            return []
        if size < self.position:  # somebody emptied it
            self.position, self.rest = 0, b""
        if size == self.position:
            return []
        data = self.rest + self.read(size)
        *lines, self.rest = data.split(b"\n")
        self.rest = self.rest[:READ_MAX_BYTES]
        if size > LOG_MAX_BYTES:
            self.turn_over()
        return [line.decode(errors="replace") for line in lines]

    def read(self, size: int) -> bytes:
        """At most the last READ_MAX_BYTES: the console is no place for all of it."""
        start = max(self.position, size - READ_MAX_BYTES)
        self.position = size
        with self.log.open("rb") as source:
            source.seek(start)
            return source.read(size - start)

    def turn_over(self) -> None:
        """Copy and empty: the child keeps appending to the file it has open."""
        shutil.copyfile(self.log, self.log.with_name(f"{self.log.name}.1"))
        os.truncate(self.log, 0)
        self.position, self.rest = 0, b""
