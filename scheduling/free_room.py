"""What is held over time, and when there is room beside it. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

LOOK_AHEAD = timedelta(hours=12)  # how far the nearest free place is looked for
MOST_TRIES = 200  # free places tried


class Load(NamedTuple):
    """An amount of each thing that runs share."""

    slots: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0
    gpus: int = 0

    def plus(self, other: Load, times: int = 1) -> Load:
        a, b = self, other
        return Load(
            a[0] + times * b[0],
            a[1] + times * b[1],
            a[2] + times * b[2],
            a[3] + times * b[3],
        )

    def beyond(self, room: Load) -> list[str]:
        """Names of what is more than there is room for."""
        pairs = zip(self._fields, self, room, strict=True)
        return [name for name, asked, there in pairs if asked > there]


@dataclass(frozen=True, slots=True)
class Busy:
    """Something that holds `load` in [start, end)."""

    start: datetime
    end: datetime
    load: Load


@dataclass(frozen=True, slots=True)
class Profile:
    """What is held over time: `held[i]` from `moments[i]` up to the next moment."""

    moments: list[datetime]
    held: list[Load]

    @classmethod
    def of(cls, busy: Iterable[Busy]) -> Profile:
        changes: dict[datetime, Load] = {}
        for b in busy:
            changes[b.start] = changes.get(b.start, Load()).plus(b.load)
            changes[b.end] = changes.get(b.end, Load()).plus(b.load, -1)
        moments, held, now_held = sorted(changes), [], Load()
        for moment in moments:
            now_held = now_held.plus(changes[moment])
            held.append(now_held)
        return cls(moments, held)

    def beyond(
        self, start: datetime, end: datetime, need: Load, room: Load
    ) -> list[str]:
        """Names of what runs out if `need` comes on top within [start, end)."""
        first = max(bisect_right(self.moments, start) - 1, 0)
        last = bisect_left(self.moments, end)
        names: list[str] = need.beyond(room)
        for held in self.held[first:last]:
            names += [n for n in held.plus(need).beyond(room) if n not in names]
        return names


def free_place(
    profile: Profile, start: datetime, length: timedelta, need: Load, room: Load
) -> datetime | None:
    """The first whole second after `start` with room for the whole length. It is one
    at which something changes."""
    first = bisect_right(profile.moments, start)
    for moment in profile.moments[first : first + MOST_TRIES]:
        second = up_to_second(moment)
        if second >= start + LOOK_AHEAD:
            return None
        if not profile.beyond(second, second + length, need, room):
            return second
    return None


def up_to_second(moment: datetime) -> datetime:
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)
