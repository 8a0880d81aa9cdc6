"""What a deadline is, when it is missed and when it is at risk, by the rules alone."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling import deadline_rules
from scheduling.deadline_rules import Expected, Watched, newly_missed, risks, terms
from scheduling.run_state import RunState
from tests.conftest import NOON

SECONDS = st.integers(0, 5000)
MAYBE = st.none() | SECONDS
LAYER = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "start_by_s": SECONDS,
        "finish_by_s": SECONDS,
        "on_missed_start": st.sampled_from(["run_late", "cancel"]),
        "on_missed_finish": st.sampled_from(["alert", "stop"]),
    },
)


def after(seconds: float) -> Any:
    return NOON + timedelta(seconds=seconds)


def run(
    start_by: float | None = None,
    finish_by: float | None = None,
    *,
    state: str = "queued",
    started: float | None = None,
    ended: float | None = None,
    **said: Any,
) -> Watched:
    made = deadline_rules.columns(
        terms({"start_by_s": start_by, "finish_by_s": finish_by, **said}), NOON
    )
    return Watched(
        state,
        None if started is None else after(started),
        None if ended is None else after(ended),
        made["start_by_at"],
        made["finish_by_at"],
        made["deadline"],
    )


@given(LAYER, LAYER, LAYER)
def test_the_most_specific_word_wins_key_by_key(
    agent: Any, schedule: Any, spawn: Any
) -> None:
    said = terms(agent, schedule, spawn)
    for key in deadline_rules.TERMS:
        stated = [
            layer[key] for layer in (spawn, schedule, agent) if key in (layer or {})
        ]
        assert said.get(key) == (stated[0] if stated else None)


def test_a_run_without_a_word_has_no_deadline() -> None:
    assert deadline_rules.columns({"on_missed_start": "cancel"}, NOON) == {}


@given(
    MAYBE,
    MAYBE,
    MAYBE,
    st.integers(0, 5000),
    st.integers(0, 9000),
    st.sampled_from(sorted(RunState)),
)
def test_a_deadline_is_missed_exactly_when_it_passed_before_what_it_is_for(
    start_by: Any, finish_by: Any, started: Any, took: int, at: int, state: str
) -> None:
    if start_by is None and finish_by is None:
        return
    begun = started is not None and started <= at
    over = state in (
        "succeeded",
        "failed",
        "cancelled",
        "timed_out",
        "preempted",
        "lost",
    )
    ended = min((started if begun else 0) + took, at) if over else None
    one = run(
        start_by,
        finish_by,
        state=state,
        started=started if begun else None,
        ended=ended,
    )
    found = newly_missed(one, after(at))
    came = {"start": started if begun else ended, "finish": ended}
    for which, by in (("start", start_by), ("finish", finish_by)):
        late = (
            came[which] > by
            if by is not None and came[which] is not None
            else (by is not None and at >= by)
        )
        assert (which in found) == late
    assert (
        not set(found) & set(risks(one, Expected(never="held"), after(at))) or not over
    )


@given(st.integers(1, 5000), st.integers(0, 5000), st.integers(1, 5000))
def test_a_running_run_is_at_risk_when_its_expected_end_passes_its_deadline(
    finish_by: int, at: int, takes: int
) -> None:
    one = run(finish_by=finish_by, state="running", started=0)
    found = risks(one, Expected(after(0), takes_s=takes), after(at))
    end = takes if takes > at else at + max(at / 10, 1)
    assert ("finish" in found) == (end > finish_by)


def test_a_risk_is_said_in_words() -> None:
    one = run(finish_by=600, state="running", started=0)
    found = risks(one, Expected(NOON, takes_s=900), after(60))
    said = "expected end 12:15:00 UTC (p90) passes finish_by 12:10:00 UTC"
    assert found == {"finish": said}


def test_a_waiting_run_is_at_risk_of_both_when_it_will_start_too_late() -> None:
    one = run(60, 600)
    found = risks(one, Expected(after(120), takes_s=500), after(1))
    assert list(found) == ["start", "finish"]
    assert risks(one, Expected(after(59), takes_s=500), after(1)) == {}


def test_what_never_starts_by_itself_is_at_risk_at_once() -> None:
    assert risks(run(60), Expected(never="it is held"), after(1)) == {
        "start": "it is held; start_by 12:01:00 UTC"
    }


@pytest.mark.parametrize(("at", "is_told"), [(79, False), (81, True)])
def test_without_history_the_last_fifth_of_its_time_is_the_risk(
    at: int, is_told: bool
) -> None:
    one = run(finish_by=100, state="running", started=0)
    assert bool(risks(one, Expected(NOON), after(at))) == is_told


def test_the_next_attempt_keeps_the_instants_and_a_retry_by_hand_counts_anew() -> None:
    made = deadline_rules.columns({"start_by_s": 60, "finish_by_s": 600}, NOON)
    stored = made["deadline"]
    later = deadline_rules.carried(stored, has_started=True)
    assert later == {"deadlines": {"finish_by_s": 600}, "counted_from": NOON}
    assert deadline_rules.anew(stored)["counted_from"] is None
