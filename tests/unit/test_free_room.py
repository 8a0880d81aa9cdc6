"""The verdict of a move against an oracle that looks at every single moment."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduling import free_room
from scheduling.free_room import Busy, Load, Profile, free_place
from tests.conftest import NOON

TICK = timedelta(seconds=0.25)  # nothing in a drawn case lies between two ticks
loads = st.builds(
    Load,
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 1),
)
rooms = st.builds(
    Load,
    st.integers(1, 5),
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(0, 2),
)


def at(ticks: int) -> datetime:
    return NOON + ticks * TICK


@st.composite
def cases(draw):
    spans = st.tuples(st.integers(-20, 60), st.integers(1, 40), loads)
    busy = [
        Busy(at(first), at(first + length), load)
        for first, length, load in draw(st.lists(spans, max_size=8))
    ]
    start = draw(st.integers(-10, 60))
    length = draw(st.integers(1, 30))
    return busy, start, length, draw(loads), draw(rooms)


def fits_at(moment: datetime, busy: list[Busy], need: Load, room: Load) -> bool:
    here = [b.load for b in busy if b.start <= moment < b.end]
    return all(
        need[n] + sum(load[n] for load in here) <= room[n] for n in range(len(room))
    )


def fits(start: datetime, ticks: int, busy, need, room) -> bool:
    return all(fits_at(start + n * TICK, busy, need, room) for n in range(ticks))


def first_free(start: datetime, ticks: int, busy, need, room) -> datetime | None:
    """The first whole second after the start, tried one by one."""
    second = start.replace(microsecond=0) + timedelta(seconds=1)
    for _ in range(60):  # beyond everything that is drawn
        if fits(second, ticks, busy, need, room):
            return second
        second += timedelta(seconds=1)
    return None


@settings(deadline=None)
@given(cases())
def test_the_verdict_is_the_oracles(case) -> None:
    busy, first, ticks, need, room = case
    profile, length = Profile.of(busy), ticks * TICK
    beyond = profile.beyond(at(first), at(first) + length, need, room)
    assert (not beyond) == fits(at(first), ticks, busy, need, room)


@settings(deadline=None)
@given(cases())
def test_the_nearest_free_place_is_the_oracles(case) -> None:
    busy, first, ticks, need, room = case
    profile, length = Profile.of(busy), ticks * TICK
    if not profile.beyond(at(first), at(first) + length, need, room):
        return  # nobody asks for another place
    found = free_place(profile, at(first), length, need, room)
    assert found == first_free(at(first), ticks, busy, need, room)


def test_a_place_is_not_told_that_rounding_takes_away() -> None:
    """Free from 0.5 s to 2.5 s: enough for two seconds, but not from a whole one."""
    full = Load(0, 1)
    busy = [Busy(at(0), at(2), full), Busy(at(10), at(30), full)]
    found = free_place(Profile.of(busy), at(0), 8 * TICK, full, Load(9, 1))
    assert found == NOON + timedelta(seconds=8)


def test_no_more_places_are_tried_than_a_page_waits_for() -> None:
    full = Load(0, 1)
    busy = [Busy(at(8 * n), at(8 * n + 7), full) for n in range(300)]
    found = free_place(Profile.of(busy), at(0), 8 * TICK, full, Load(9, 1))
    assert found is None
    assert free_room.MOST_TRIES == 200
