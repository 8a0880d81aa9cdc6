"""What a string from outside may contain, and how deep and large a structure may be.

A NUL or half a surrogate pair cannot be stored by every database and breaks each later
reader; both are refused in every string, at any depth, before anything else looks.
Names that people read also carry nothing invisible, which could make two look alike.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

MAX_DEPTH = 8  # levels of lists and objects inside one value
MAX_KEYS = 1_000  # of one object
INVISIBLE = {"Cc", "Cf", "Zl", "Zp"}  # control, format, line and paragraph separators


def unstorable(text: str) -> str | None:
    """Why the text cannot be kept or passed to a program, or None."""
    if "\0" in text:
        return "contains a NUL character"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains half of a surrogate pair, which is not a character"
    return None


def unreadable(text: str) -> str | None:
    """Why the text cannot serve as a name or label for people, or None."""
    if said := unstorable(text):
        return said
    for character in text:
        if unicodedata.category(character) in INVISIBLE:
            return f"contains an invisible character (U+{ord(character):04X})"
    if text != text.strip():
        return "begins or ends with a space"
    return None


def fault_in(value: object, depth: int = 0) -> str | None:
    """The first reason not to look further into a JSON value, or None.

    Strings are storable, keys too, nesting and size are bounded.
    """
    if isinstance(value, str):
        return unstorable(value)
    if isinstance(value, Mapping):
        if len(value) > MAX_KEYS:
            return f"has more than {MAX_KEYS} keys"
        if any(not isinstance(key, str) for key in value):
            return "has a key that is not a string"
        parts = [*value.keys(), *value.values()]
    elif isinstance(value, list):
        parts = value
    else:
        return None
    if depth >= MAX_DEPTH:
        return f"is nested more than {MAX_DEPTH} levels deep"
    return next((said for p in parts if (said := fault_in(p, depth + 1))), None)
