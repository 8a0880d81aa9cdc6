"""What a run needs around it before it may start: files, commands, ports, other agents.

Pure. A requirement stands in a spec as a word, a capability of the node, or as an
object with one of KINDS and, if stated, `within_s`. The definition that gives one is
in definition_places.py.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

Item = str | Mapping[str, Any]
KINDS = ("capability", "file", "command", "port_free", "reachable", "agent")
ON_A_NODE = frozenset({"file", "command", "port_free", "reachable"})
MARK = "~"  # in the name of a queue class: its runs need something around them
PORT = 65_535
AUTO = (0, 0)  # any free port
REACHABLE = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9_.-]{1,253}):([0-9]{1,5})")
SAID = {
    "capability": "a node with {}",
    "file": "the file {}",
    "command": "the command {}",
    "port_free": "port {} to be free",
    "reachable": "{} to answer",
    "agent": "agent {} to be ready",
}


def kind_and_value(item: Item) -> tuple[str, Any]:
    if isinstance(item, str):
        return "capability", item
    return next((kind, item[kind]) for kind in KINDS if kind in item)


def key_of(item: Item) -> str:
    """The same for the same requirement, whoever has it: "file:/data/in.csv"."""
    return "{}:{}".format(*kind_and_value(item))


def within_s(item: Item) -> float | None:
    """How long a run waits for it before it fails; None: as long as it takes."""
    return None if isinstance(item, str) else item.get("within_s")


def said(items: Iterable[Item]) -> str:
    """What is awaited, for people: "the file /x and db:5432 to answer"."""
    parts = [SAID[kind].format(value) for kind, value in map(kind_and_value, items)]
    return " and ".join(parts)


def of(spec: Mapping[str, Any]) -> list[Item]:
    """All requirements of a spec, those that `depends_on` says in short included."""
    stated = list(spec.get("requires", ()))
    known = {key_of(item) for item in stated}
    short = [{"agent": name} for name in spec.get("depends_on", ())]
    return stated + [item for item in short if key_of(item) not in known]


def has_label(labels: Mapping[str, Any], wanted: str) -> bool:
    """Whether a node with these labels has the capability: "disk" fits "disk=ssd"."""
    name, _, value = wanted.partition("=")
    found = labels.get(wanted, labels.get(name))
    return found is not None and found is not False and value in ("", str(found))


def labels_of(spec: Mapping[str, Any]) -> list[str]:
    """The capabilities of a node that are required."""
    pairs = map(kind_and_value, of(spec))
    return [value for kind, value in pairs if kind == "capability"]


def agents_of(spec: Mapping[str, Any]) -> list[str]:
    """The agents that must be ready first, each once, in the definition's order."""
    pairs = map(kind_and_value, of(spec))
    return [value for kind, value in pairs if kind == "agent"]


def on_a_node(spec: Mapping[str, Any]) -> list[Item]:
    """Those a node must look at itself."""
    return [item for item in of(spec) if kind_and_value(item)[0] in ON_A_NODE]


def mark(spec: Mapping[str, Any]) -> str:
    """What tells the queue class of a spec with requirements, ports, a placement or a
    bandwidth from others; "" for a spec without."""
    keys = ("requires", "depends_on", "ports", "placement", "bandwidth_bps")
    if not any(spec.get(key) for key in keys):  # nearly all
        return ""
    needed: list[Any] = [of(spec), spec.get("ports") or {}]
    needed += [spec.get("placement"), spec.get("bandwidth_bps")]
    if {"with", "apart"} & (spec.get("placement") or {}).keys():
        needed.append(spec["agent_id"])  # its own runs may be the neighbours
    packed = orjson.dumps(needed, option=orjson.OPT_SORT_KEYS)
    return MARK + hashlib.blake2b(packed, digest_size=5).hexdigest()


def slug(name: str) -> str:
    """A name as it stands in the name of a variable: "my-db" is MY_DB."""
    return re.sub(r"[^A-Z0-9]", "_", name.upper())


def twins(names: Sequence[str]) -> tuple[str, str] | None:
    """The first two names that would share a variable."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(slug(name), name)) != name:
            return other, name
    return None


def peer_variable(agent: str, port: str) -> str:
    return f"KOS_PEER_{slug(agent)}_{slug(port)}"
