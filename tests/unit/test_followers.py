"""Who follows whom, on many graphs, and what a move does to one that waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.planner.followers import Link, busy, followers, judge

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NAMES = st.sampled_from("abcdef")
VIAS = st.sampled_from(("depends_on", "cascades", "event"))
LINKS = st.lists(st.builds(Link, NAMES, NAMES, VIAS))


@given(LINKS)
def test_each_that_can_be_reached_is_named_once_by_a_real_way(
    links: list[Link],
) -> None:
    found = followers("a", links)
    names = [one.agent for one in found]
    assert len(set(names)) == len(names)
    assert set(names) == reached("a", links) - {"a"}
    known = {(link.first, link.then, link.via) for link in links}
    pairs = {(first, then) for first, then, _ in known}
    for one in found:
        assert (one.path[0], one.path[-1]) == ("a", one.agent)
        assert all(step in pairs for step in pairwise(one.path))
        assert (*one.path[-2:], one.via) in known


def reached(name: str, links: list[Link]) -> set[str]:
    found = {name}
    while more := {k.then for k in links if k.first in found} - found:
        found |= more
    return found


@given(LINKS)
def test_the_nearest_come_first(links: list[Link]) -> None:
    lengths = [len(one.path) for one in followers("a", links)]
    assert lengths == sorted(lengths)


@pytest.mark.parametrize(
    ("minutes", "how", "late_s"),
    [(-30, "keeps", 0), (10, "before", 0), (60, "late", 600), (69, "late", 60)],
)
def test_one_that_waits_is_late_or_goes_before(
    minutes: int, how: str, late_s: int
) -> None:
    """It was due at noon and goes to one o'clock, for ten minutes."""
    before = busy(["a"], NOON, NOON + timedelta(hours=1), {"a": 600.0})
    assert judge(NOON + timedelta(minutes=minutes), before) == (how, late_s)


def test_it_waits_for_the_end_of_all_that_lie_between() -> None:
    before = busy(["a", "b"], NOON, NOON, {"a": 600.0, "b": 300.0})
    assert (before.start, before.end) == (
        NOON + timedelta(seconds=600),
        NOON + timedelta(seconds=900),
    )


def test_it_waits_until_one_that_never_ends_serves() -> None:
    before = busy(["db"], NOON, NOON + timedelta(hours=1), {})
    assert judge(NOON + timedelta(minutes=45), before) == ("late", 900)
    assert judge(NOON + timedelta(minutes=61), before) == ("keeps", 0)
