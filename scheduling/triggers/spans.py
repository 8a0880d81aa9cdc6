"""Lengths of time in words."""

from __future__ import annotations

from datetime import timedelta

UNITS = (("week", 604_800), ("day", 86_400), ("hour", 3_600), ("minute", 60))


def span(length: timedelta) -> str:
    """ "15 minutes", "1 hour and 30 minutes", "0.5 seconds"."""
    left = length.total_seconds()
    parts = []
    for name, seconds in UNITS:
        number, left = divmod(left, seconds)
        if number:
            parts.append(plural(int(number), name))
    if left or not parts:
        parts.append(f"{left:g} second{'' if left == 1 else 's'}")
    words = " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)
    return words.removeprefix("1 ") if len(parts) == 1 and left in (0, 1) else words


def plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
