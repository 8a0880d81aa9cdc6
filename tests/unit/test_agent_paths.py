"""The longest way through agents, on many graphs."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from scheduling.planner.agent_paths import Way, longest_way, without_circles
from scheduling.planner.dependencies import cycle_in

NAMES = st.sampled_from("abcdef")
TRIGGERS = st.tuples(NAMES, NAMES, st.just(False))
WAITS = st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] < pair[1])
WAYS = st.lists(st.one_of(TRIGGERS, WAITS.map(lambda pair: (*pair, True))))
SECONDS = st.dictionaries(NAMES, st.integers(0, 100))


@given(WAYS)
def test_no_circle_is_left_and_nothing_that_waits_is_dropped(ways: list[Way]) -> None:
    before = without_circles(ways)
    assert cycle_in(before) == []
    assert all(first in before[then] for first, then, waits in ways if waits)
    kept = {(first, then) for then, firsts in before.items() for first in firsts}
    assert kept <= {(first, then) for first, then, _ in ways}


@given(WAYS)
def test_a_trigger_is_dropped_only_where_it_would_close_a_circle(
    ways: list[Way],
) -> None:
    before = without_circles(ways)
    for first, then, _ in ways:
        if first != then and first not in before[then]:
            assert cycle_in({**before, then: before[then] | {first}})


@given(WAYS, SECONDS)
def test_no_way_is_longer(ways: list[Way], seconds: dict[str, int]) -> None:
    path = longest_way(ways, {name: float(s) for name, s in seconds.items()})
    before = without_circles(ways)

    def longest_to(name: str) -> int:
        behind = max(map(longest_to, before[name]), default=0)
        return seconds.get(name, 0) + behind

    assert all(a in before[b] for a, b in pairwise(path))
    assert sum(seconds.get(n, 0) for n in path) == max(
        map(longest_to, before), default=0
    )
