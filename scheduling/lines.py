"""What is written into the name of a queue class besides what its runs need. Pure.

Runs of one class share their line. Who is put to the front by hand stands in a line of
its own; who is held stands in one that no tick looks at, so neither costs a tick
anything.
"""

from __future__ import annotations

FRONT = "!"
HELD = "held/"


def is_held(queue_class: str) -> bool:
    return queue_class.startswith(HELD)


def is_front(queue_class: str) -> bool:
    return queue_class.removeprefix(HELD).startswith(FRONT)


def held(queue_class: str) -> str:
    return queue_class if is_held(queue_class) else HELD + queue_class


def released(queue_class: str) -> str:
    return queue_class.removeprefix(HELD)


def at_front(queue_class: str) -> str:
    """The same class, at the front; one that is held stays held."""
    name = released(queue_class)
    front = name if is_front(name) else FRONT + name
    return held(front) if is_held(queue_class) else front


def in_turn(queue_class: str) -> str:
    """The same class, no longer at the front."""
    name = released(queue_class).removeprefix(FRONT)
    return held(name) if is_held(queue_class) else name
