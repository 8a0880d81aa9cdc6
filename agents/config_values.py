"""How the values of some keys are read and written: addresses, ranges, lists. Pure.

A reader raises TypeError or ValueError; config_keys.py says what is allowed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from agents.names import LABEL

PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})", re.ASCII)
LEAST, MOST = 1024, 65_535


def address(value: object) -> str:
    """An address others can connect to."""
    if not isinstance(value, str):
        raise TypeError
    found = ipaddress.ip_address(value)
    if found.is_unspecified or found.is_multicast:
        raise ValueError
    return str(found)


def port_range(value: object) -> tuple[int, int]:
    match = PORTS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise TypeError
    first, last = int(match[1]), int(match[2])
    if not LEAST <= first <= last <= MOST:
        raise ValueError
    return first, last


def write_range(ends: tuple[int, int]) -> str:
    return f"{ends[0]}-{ends[1]}"


def word(value: object) -> str:
    """A host name, or "" for the machine's own."""
    if not isinstance(value, str) or len(value) > 64:
        raise ValueError
    if value and not value.replace("-", "").replace(".", "").isalnum():
        raise ValueError
    if not value.isascii():
        raise ValueError
    return value


def texts(test: Callable[[str], bool]) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list | tuple) or len(value) > 100:
            raise TypeError
        if not all(isinstance(one, str) and test(one) for one in value):
            raise ValueError
        return tuple(value)

    return read


def is_root(path: str) -> bool:
    parts = path.split("/")
    return path.startswith("/") and ".." not in parts and path.isprintable()


def is_user(name: str) -> bool:
    plain = name.replace("-", "").replace("_", "").replace(".", "")
    return plain.isalnum() and name.isascii() and not name.startswith("-")


def is_label(text: str) -> bool:
    return LABEL.fullmatch(text) is not None
