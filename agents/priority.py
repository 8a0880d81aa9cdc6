"""The five priorities, most urgent last, so that `a > b` reads as "more urgent"."""

from __future__ import annotations

from enum import IntEnum


class Priority(IntEnum):
    BACKGROUND = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """The name people and the API use: "high"."""
        return self.name.lower()

    @classmethod
    def from_word(cls, word: str) -> Priority:
        """Raises KeyError for a word that is not one of the five."""
        return {p.word: p for p in cls}[word]
