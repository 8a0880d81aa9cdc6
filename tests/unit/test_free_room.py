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
    """Ticks and loads of what is held; start, length and load of what is asked."""
    spans = st.tuples(st.integers(-20, 60), st.integers(1, 40), loads)
    busy = draw(st.lists(spans, max_size=8))
    start, length = draw(st.integers(-10, 60)), draw(st.integers(1, 30))
    return busy, start, length, draw(loads), draw(rooms)


def profile_of(busy) -> Profile:
    return Profile.of(Busy(at(f), at(f + length), load) for f, length, load in busy)


def is_free(tick: int, busy, need: Load, room: Load) -> bool:
    here = [load for f, length, load in busy if f <= tick < f + length]
    return all(need[n] + sum(x[n] for x in here) <= room[n] for n in range(4))


def free_ticks(case) -> list[bool]:
    """Every moment of the day looked at by itself, from the start on."""
    busy, start, _, need, room = case
    return [is_free(tick, busy, need, room) for tick in range(start, start + 160)]


@settings(deadline=None)
@given(cases())
def test_the_verdict_and_the_nearest_free_place_are_the_oracles(case) -> None:
    busy, start, length, need, room = case
    profile, lasts = profile_of(busy), length * TICK
    beyond = profile.beyond(at(start), at(start) + lasts, need, room)
    free = free_ticks(case)
    assert (not beyond) == all(free[:length])
    if not beyond:
        return  # nobody asks for another place
    seconds = [n for n in range(1, 120) if (start + n) % 4 == 0]
    first = next((n for n in seconds if all(free[n : n + length])), None)
    found = free_place(profile, at(start), lasts, need, room)
    assert found == (None if first is None else at(start + first))


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
