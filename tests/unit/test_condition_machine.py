"""When a condition fires, against an oracle that looks at the whole past each time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from scheduling.triggers.condition import (
    Fired,
    Rule,
    State,
    WaitUntil,
    advance,
    cooling_until,
    due,
)

START = datetime(2027, 3, 1, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


class Seen(NamedTuple):
    second: int
    level: bool | None
    reset: bool
    edges: bool


def fire_times(
    rule: Rule, seen: list[tuple[float, bool | None]], *, edges: bool = True
) -> list[float]:
    state, times = State(), []
    for second, level in seen:
        state, outcome = advance(rule, state, level, at(second), edges=edges)
        if isinstance(outcome, Fired):
            times.append(second)
    return times


def oracle(rule: Rule, history: list[Seen], own_reset: bool) -> list[int]:
    """The seconds at which it fires. Naive: for each instant, the whole past again."""
    fires: list[int] = []
    for here, now in enumerate(history):
        if now.level is not True:
            continue
        start = here
        while start and history[start - 1].level is True:
            start -= 1
        begins = history[start].second
        last = fires[-1] if fires else None
        if last is not None and now.second < last + rule.cooldown_s:
            continue
        if now.second < begins + rule.hold_s:
            continue
        if rule.mode == "edge":
            rose = start and history[start - 1].level is False
            if not rose or not history[start].edges:
                continue
            if last is not None:
                between = [s for s in history[:start] if s.second > last]
                if last >= begins or not any(
                    s.reset if own_reset else s.level is False for s in between
                ):
                    continue
        fires.append(now.second)
    return fires


HISTORIES = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from([True, True, False, False, None]),
        st.booleans(),
        st.sampled_from([True, True, True, False]),
    ),
    max_size=60,
)
RULES = st.builds(
    Rule,
    hold_s=st.integers(0, 6),
    cooldown_s=st.integers(0, 12),
) | st.builds(  # by level there is always a cool-down
    Rule,
    hold_s=st.integers(0, 6),
    cooldown_s=st.integers(1, 12),
    mode=st.just("level"),
)


@given(RULES, HISTORIES, st.booleans())
def test_it_fires_exactly_when_its_whole_history_says_so(
    rule: Rule, drawn: list[tuple[int, bool | None, bool, bool]], own_reset: bool
) -> None:
    second, history = 0, []
    for step, level, reset, edges in drawn:
        second += step
        history.append(Seen(second, level, reset, edges))
    state, fires, names = State(), [], []
    for one in history:
        reset = one.reset if own_reset else None
        state, outcome = advance(
            rule, state, one.level, at(one.second), reset=reset, edges=one.edges
        )
        if isinstance(outcome, Fired):
            fires.append(one.second)
            names.append(outcome.edge_at)
        if isinstance(outcome, WaitUntil):
            assert outcome.at > at(one.second)
            assert outcome.at == due(rule, state)
    assert fires == oracle(rule, history, own_reset)
    assert len(set(names)) == len(names), "two firings of one name"


@given(RULES, HISTORIES)
def test_looking_twice_at_the_same_instant_fires_no_second_time(
    rule: Rule, drawn: list[tuple[int, bool | None, bool, bool]]
) -> None:
    rule = Rule(rule.hold_s, max(rule.cooldown_s, 1), rule.mode)
    state, second = State(), 0
    for step, level, _, edges in drawn:
        second += step
        state, _ = advance(rule, state, level, at(second), edges=edges)
        again, outcome = advance(rule, state, level, at(second), edges=edges)
        assert not isinstance(outcome, Fired)
        assert again == state


def test_a_first_level_that_is_true_is_no_edge() -> None:
    assert fire_times(Rule(), [(0, True), (1, False), (2, True)]) == [2]


def test_a_hold_that_is_broken_begins_again() -> None:
    seen = [(0, False), (1, True), (4, False), (5, True), (9, True), (10, True)]
    assert fire_times(Rule(hold_s=5), seen) == [10]


def test_an_unknown_level_breaks_a_hold_and_is_no_start_of_an_edge() -> None:
    seen = [(0, False), (1, True), (3, None), (4, True), (20, True)]
    assert fire_times(Rule(hold_s=5), seen) == []


def test_an_edge_in_the_cool_down_waits_for_its_end() -> None:
    seen = [(0, False), (1, True), (2, False), (3, True), (10, True), (11, True)]
    assert fire_times(Rule(cooldown_s=10), seen) == [1, 11]


def test_by_level_it_fires_again_after_each_cool_down() -> None:
    seen = [(float(n), True) for n in range(26)]
    assert fire_times(Rule(cooldown_s=10, mode="level"), seen) == [0, 10, 20]


def test_what_is_taken_over_as_it_stands_fires_nothing() -> None:
    seen: list[tuple[float, bool | None]] = [(0, False), (1, True), (2, True)]
    assert fire_times(Rule(), seen, edges=False) == []


def test_it_tells_how_long_it_cools() -> None:
    rule = Rule(cooldown_s=10)
    state = State(fired_at=at(5))
    assert cooling_until(rule, state, at(6)) == at(15)
    assert cooling_until(rule, state, at(15)) is None
