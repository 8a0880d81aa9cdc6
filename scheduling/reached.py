"""Where a node reaches what one of its runs listens on.

A definition names ports of the program. A range is given a number of it when the run is
admitted, and a container's port is published under another number, at the node's own
address; its 127.0.0.1 is not the node's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from agents.definition_health import port_of
from scheduling import this_node

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Way:
    """To one run's ports. `address`: where they are published; "" for a program that
    listens on this very machine."""

    ports: Mapping[str, tuple[int, int]]  # as the definition names them
    given: Mapping[str, int]  # as this run was given them
    address: str = ""

    @property
    def host(self) -> str:
        return self.address or LOOPBACK

    def port(self, named: int | str) -> int:
        """The port on this machine that a name or number of the definition means."""
        if isinstance(named, str):
            return self.given.get(named, self.ports.get(named, (0, 0))[0])
        for name, (first, last) in self.ports.items():
            if first <= named <= last and name in self.given:
                return self.given[name]
        return named

    def url(self, stated: str) -> str:
        """The same page, where it is from here."""
        parts = urlsplit(stated)
        host = self.address or parts.hostname or LOOPBACK
        shown = f"[{host}]" if ":" in host else host
        place = f"{shown}:{self.port(port_of(stated))}"
        found: str = urlunsplit(parts._replace(netloc=place))
        return found


def way_to(spec: Mapping[str, Any], given: Mapping[str, int] | None) -> Way:
    """To a run of this spec on this node, with the ports it was given."""
    stated = spec.get("ports") or {}
    ports = {name: (int(ends[0]), int(ends[1])) for name, ends in stated.items()}
    address = this_node.address() if spec["exec_env"] == "docker" else ""
    return Way(ports, given or {}, address)
