"""Who follows an agent, and what a move of it does to them. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Via = Literal["depends_on", "cascades", "event"]
How = Literal["late", "before", "keeps"]


@dataclass(frozen=True, slots=True)
class Link:
    first: str
    then: str
    via: Via


@dataclass(frozen=True, slots=True)
class Follower:
    agent: str
    via: Via  # of the last step to it
    path: tuple[str, ...]  # from the one that moves to this one


def followers(name: str, links: Iterable[Link]) -> list[Follower]:
    """Each agent behind `name` once, by its shortest way, nearest first; it never
    follows itself. Of several links between two, one that waits counts first."""
    behind: dict[str, list[Link]] = {}
    for link in sorted(set(links), key=lambda one: (one.via != "depends_on", one.then)):
        behind.setdefault(link.first, []).append(link)
    found: dict[str, Follower] = {}
    ahead: deque[tuple[str, tuple[str, ...]]] = deque([(name, (name,))])
    while ahead:
        here, path = ahead.popleft()
        for link in behind.get(here, ()):
            if link.then != name and link.then not in found:
                way = (*path, link.then)
                found[link.then] = Follower(link.then, link.via, way)
                ahead.append((link.then, way))
    return list(found.values())


@dataclass(frozen=True, slots=True)
class Held:
    """When the one before is busy, as it was and as it would be."""

    was_from: datetime
    start: datetime
    end: datetime
    serves: bool = False  # it never ends: it is ready once it has begun


def judge(due_at: datetime, before: Held) -> tuple[How, float]:
    """What becomes of one due at `due_at` that waits for it, and by how many seconds it
    would start late. It waits while the one before it runs; where that comes only
    later, it goes by what was made last, or waits until it serves."""
    if before.serves and before.was_from <= due_at < before.start:
        return "late", (before.start - due_at).total_seconds()
    if before.start <= due_at < before.end:
        return "late", (before.end - due_at).total_seconds()
    if before.was_from <= due_at < before.start:
        return "before", 0.0
    return "keeps", 0.0


def busy(
    path: Iterable[str], was_from: datetime, start: datetime, takes: Mapping[str, float]
) -> Held:
    """When the last of a way is busy if each begins when the one before it ends.
    `takes` has no entry for one that never ends."""
    begin, end, serves = start, start, False
    for name in path:
        begin, end = end, end + timedelta(seconds=takes.get(name, 0.0))
        serves = name not in takes
    return Held(was_from, begin, end, serves)
