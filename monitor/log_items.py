"""A line of output as a JSON line: what it says, when, how bad. Pure.

A line that is a JSON object tells its own level, time and message, under the names that
logging libraries use; of any other line only the text is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from monitor.log_lines import CONTINUED, GONE, OPEN, Piece
from monitor.log_marks import Times

LEVELS = ("debug", "info", "warning", "error", "critical")
WORDS = {
    "debug": ("trace", "verbose", "fine", "notset", "silly"),
    "info": ("information", "informational", "notice"),
    "warning": ("warn",),
    "error": ("err", "severe"),
    "critical": ("fatal", "crit", "alert", "emerg", "emergency", "panic"),
}
LEVEL_OF = {word: level for level in LEVELS for word in (level, *WORDS[level])}
LEVEL_NAMES = ("level", "severity", "lvl")
TIME_NAMES = ("time", "ts", "timestamp")
MESSAGE_NAMES = ("msg", "message")
# CSI, OSC and the two-byte sequences of a terminal
ANSI = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])"
)
ANSI_BYTES = re.compile(ANSI.pattern.encode())
EARLIEST_S, LATEST_S = 946_684_800.0, 32_503_680_000.0  # the years 2000 and 3000


class Item:
    """One line, ready to be told."""

    __slots__ = ("at", "fields", "key", "level", "piece", "stream", "text")

    def __init__(self, piece: Piece, stream: str, times: Times) -> None:
        self.piece, self.stream = piece, stream
        upper = times.written(piece.end)
        self.text = _text(piece)
        self.fields = parsed(self.text) if piece.data[:1] == b"{" else None
        own = _own_time(self.fields) if self.fields else None
        self.at = upper if own is None else own
        # where it stands among the other stream's lines: never outside its marks
        self.key = (
            upper if own is None else min(max(own, times.not_before(piece.end)), upper)
        )
        self.level = _level(self.fields) if self.fields else None

    def told(self, run: str, agent: str) -> dict[str, Any]:
        piece = self.piece
        line: dict[str, Any] = {
            "run": run,
            "agent": agent,
            "stream": self.stream,
            "seq": piece.start,
            "bytes": piece.end - piece.start,
            "at": datetime.fromtimestamp(round(self.at, 3), UTC),
            "level": self.level,
            "text": self.text,
        }
        if self.fields is not None:
            line["message"] = _first(self.fields, MESSAGE_NAMES, str)
            line["fields"] = orjson.Fragment(self.text)
        if piece.how == CONTINUED:
            line["continued"] = True
        elif piece.how == OPEN:
            line["unfinished"] = True
        elif piece.how == GONE:
            line["cut"] = {"from": piece.start, "to": piece.end}
        return line


def _text(piece: Piece) -> str:
    if piece.how == GONE:
        return f"({piece.end - piece.start} bytes were not kept)"
    return piece.data.removesuffix(b"\r").decode("utf-8", errors="replace")


def parsed(text: str) -> dict[str, Any] | None:
    """The object a line is, or None."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


def plain(text: str) -> str:
    """The text without what only colours it, for searching."""
    return ANSI.sub("", text) if "\x1b" in text else text


def rank(level: str | None) -> int:
    """How bad it is; -1 when a line does not say."""
    return LEVELS.index(level) if level else -1


def _level(fields: Mapping[str, Any]) -> str | None:
    said = next((fields[n] for n in LEVEL_NAMES if n in fields), None)
    if isinstance(said, str):
        if not said.isdecimal() or not said.isascii() or len(said) > 4:
            return LEVEL_OF.get(said.strip().lower())
        said = int(said)
    if isinstance(said, bool) or not isinstance(said, int | float):
        return None
    tens = int(min(max(said, 10), 50)) // 10
    return LEVELS[tens - 1]  # as Python's logging counts: 20 is info


def _own_time(fields: Mapping[str, Any]) -> float | None:
    said = next((fields[n] for n in TIME_NAMES if n in fields), None)
    if isinstance(said, bool):
        return None
    if isinstance(said, int | float):
        return _epoch(float(said))
    if not isinstance(said, str) or len(said) > 40:
        return None
    try:
        at = datetime.fromisoformat(said.strip().replace(",", "."))
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        return _epoch(aware.timestamp())
    except (ValueError, OverflowError):
        return None


def _epoch(number: float) -> float | None:
    """Seconds, from seconds, milli-, micro- or nanoseconds since 1970."""
    for unit in (1.0, 1e3, 1e6, 1e9):
        if EARLIEST_S <= number / unit < LATEST_S:
            return number / unit
    return None


def _first(fields: Mapping[str, Any], names: tuple[str, ...], kind: type) -> Any:
    found = (fields[n] for n in names if isinstance(fields.get(n), kind))
    return next(found, None)
