"""YAML without its surprises, each value with the line it stands on.

Of YAML we take mappings, lists and plain or quoted scalars. Refused are duplicate
keys, anchors, aliases, merges, tags, several documents, and scalars that one version
of YAML reads as something else than the next: yes, 010, 0x0C, 1:30, 1_000, 1e3,
2026-01-31. Bounded in bytes, depth and members; never recurses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from agents.config_keys import ConfigError

MAX_BYTES = 64 * 1024  # a hundred times our own file
MAX_DEPTH = 8
MAX_MEMBERS = 5_000

WORDS: dict[str, object] = {"true": True, "false": False, "null": None, "": None}
INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,18})", re.ASCII)
DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,18})\.[0-9]{1,18}", re.ASCII)
SURPRISES = re.compile(
    r"(?i:y|yes|n|no|on|off|true|false|null|~)"  # other spellings of words
    r"|[-+]?0[0-9_]+|[-+]?0(?i:[xob])[0-9a-fA-F_]*"  # octal, hexadecimal, binary
    r"|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"  # base 60
    r"|[-+]?[0-9]+_[0-9_]*|\+[0-9].*"
    r"|[-+]?(\.[0-9]+|[0-9]+\.?[0-9]*)[eE][-+]?[0-9]+"
    r"|[-+]?\.(?i:inf|nan)|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*"
    r"|<<|=",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Node:
    value: Any  # dict[str, Node], list[Node] or a scalar
    line: int

    def plain(self) -> Any:
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def parse(
    raw: bytes, *, max_bytes: int = MAX_BYTES, max_members: int = MAX_MEMBERS
) -> Node:
    """The document. Raises ConfigError naming the line; an empty one is {}."""
    if len(raw) > max_bytes:
        raise ConfigError(f"larger than {max_bytes} bytes")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"line {line}: not UTF-8") from None
    try:
        return Builder(max_members).build(yaml.parse(text, Loader=yaml.SafeLoader))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise ConfigError(f"line {line}: a character that may not stand here") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"line {line}: not YAML: {error.problem}") from None


class Builder:
    """Turns the parser's events into nodes, with a stack of its own."""

    def __init__(self, max_members: int = MAX_MEMBERS) -> None:
        self.max_members = max_members
        self.open: list[tuple[Node, list[str]]] = []  # container, key awaiting a value
        self.root: Node | None = None
        self.members = 0

    def build(self, events: Iterator[Any]) -> Node:
        for event in events:
            self.take(event)
        return self.root or Node({}, 1)

    def take(self, event: Any) -> None:
        line = event.start_mark.line + 1
        match event:
            case yaml.AliasEvent():
                raise ConfigError(f"line {line}: aliases (*) are not allowed")
            case yaml.ScalarEvent():
                self.refuse_extras(event, line)
                self.scalar(event, line)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self.refuse_extras(event, line)
                is_mapping = isinstance(event, yaml.MappingStartEvent)
                self.begin(Node({} if is_mapping else [], line))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self.open.pop()
            case yaml.DocumentStartEvent() if self.root is not None:
                raise ConfigError(f"line {line}: only one document is allowed")

    def refuse_extras(self, event: Any, line: int) -> None:
        self.members += 1
        if self.members > self.max_members:
            raise ConfigError(f"line {line}: more than {self.max_members} values")
        if event.anchor is not None:
            raise ConfigError(f"line {line}: anchors (&) are not allowed")
        if event.tag is not None:
            raise ConfigError(f"line {line}: tags (!) are not allowed")

    def begin(self, node: Node) -> None:
        self.place(node)
        self.open.append((node, []))
        if len(self.open) > MAX_DEPTH:
            raise ConfigError(
                f"line {node.line}: nested deeper than {MAX_DEPTH} levels"
            )

    def scalar(self, event: Any, line: int) -> None:
        if self.open:
            container, pending = self.open[-1]
            if isinstance(container.value, dict) and not pending:
                self.key(container.value, pending, event.value, line)
                return
        value = event.value if event.style else plain_scalar(event.value, line)
        self.place(Node(value, line))

    def key(
        self, mapping: dict[str, Node], pending: list[str], name: str, line: int
    ) -> None:
        if name == "<<":
            raise ConfigError(f"line {line}: merging (<<) is not allowed")
        if name in mapping:
            said = f"already stands on line {mapping[name].line}"
            raise ConfigError(f"line {line}: {name[:80]}: {said}", {name: said})
        pending.append(name)

    def place(self, node: Node) -> None:
        if not self.open:
            self.root = node
            return
        container, pending = self.open[-1]
        if isinstance(container.value, list):
            container.value.append(node)
        elif pending:
            container.value[pending.pop()] = node
        else:
            raise ConfigError(f"line {node.line}: a key must be plain text")


def plain_scalar(text: str, line: int) -> object:
    """An unquoted scalar as YAML 1.1 and 1.2 both read it, or a refusal."""
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        return int(text)
    if DECIMAL.fullmatch(text):
        return float(text)
    if SURPRISES.fullmatch(text):
        raise ConfigError(
            f"line {line}: {text[:40]} can be read in two ways; write a plain number, "
            "true, false, or put it in quotes"
        )
    return text
