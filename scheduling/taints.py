"""Taints: words on a node that keep runs away that do not tolerate them.

Some stand in the node's own configuration, others are set by an operator; each is
taken back where it was made. Runs that are there stay.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import transaction

from agents import journal, names, redis
from agents.errors import Invalid, NotAllowedNow, NotFound
from agents.models import Node

MOST = 100
CONFIG = "config"


def announce(name: str, words: Collection[str]) -> None:
    """What the node's own configuration says, instead of what it said before."""
    with transaction.atomic():
        node = _node(name)
        others = {word: by for word, by in node.taints.items() if by != CONFIG}
        _write(node, {**others, **dict.fromkeys(words, CONFIG)})


def set_taints(name: str, words: Any, *, actor: str, now: datetime) -> Node:
    """Make these the operators' taints of the node; those of its configuration stay.

    Raises Invalid, NotFound, and NotAllowedNow for one its configuration has.
    """
    checked = _checked(words)
    with transaction.atomic():
        node = _node(name)
        own = {word for word, by in node.taints.items() if by == CONFIG}
        if twice := own.intersection(checked):
            said = f"{min(twice)} stands in the node's own configuration"
            raise NotAllowedNow(said)
        before = dict(node.taints)
        kept = {word: before.get(word, actor) for word in checked}
        if _write(node, {**dict.fromkeys(sorted(own), CONFIG), **kept}):
            journal.record(
                "node.tainted",
                f"node:{name}",
                actor=actor,
                at=now,
                name=name,
                taints=sorted(node.taints),
                before=sorted(before),
            )
            transaction.on_commit(redis.wake, robust=True)
    return node


def _node(name: str) -> Node:
    node = Node.objects.select_for_update().filter(name=name).first()
    if node is None:
        raise NotFound(f"no node {name[:64]!r}")
    return node


def _write(node: Node, taints: dict[str, str]) -> bool:
    if taints == node.taints:
        return False
    node.taints = taints
    node.save(update_fields=["taints"])
    return True


def _checked(words: Any) -> list[str]:
    if not isinstance(words, list) or len(words) > MOST:
        raise _wrong(f"expected a list of at most {MOST} words")
    for word in words:
        try:
            names.label(word if isinstance(word, str) else "")
        except ValueError:
            raise _wrong('expected words such as "gpu" or "dedicated=ml"') from None
    if len(set(words)) < len(words):
        raise _wrong("a word stands there twice")
    return words


def _wrong(said: str) -> Invalid:
    return Invalid(f"taints: {said}", {"taints": [said]})
