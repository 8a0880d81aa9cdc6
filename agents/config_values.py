"""How addresses, ranges of ports and labels are read and written. Pure.

A reader raises TypeError or ValueError; config_keys.py says what is allowed.
"""

from __future__ import annotations

import ipaddress
import re

from agents.names import LABEL

PORTS = re.compile(r"([0-9]{1,5})-([0-9]{1,5})", re.ASCII)
WEB = re.compile(r"https?://[A-Za-z0-9._\[\]:-]{1,200}(/[\w./-]{0,200})?", re.ASCII)
LEAST, MOST = 1024, 65_535


def address(value: object) -> str:
    """An address others can connect to."""
    if not isinstance(value, str):
        raise TypeError
    found = ipaddress.ip_address(value)
    if found.is_unspecified or found.is_multicast:
        raise ValueError
    return str(found)


def web_address(value: object) -> str:
    """Of an HTTP server, or ""; without a password, since everybody may read it."""
    if not isinstance(value, str) or (value and not WEB.fullmatch(value)):
        raise ValueError
    return value


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


def is_label(text: str) -> bool:
    return LABEL.fullmatch(text) is not None


def is_host(name: str) -> bool:
    return 0 < len(name) <= 253 and name.isascii() and name.isprintable()
