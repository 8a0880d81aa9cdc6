"""Which crashes count as being in a row."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scheduling.crash_loops import in_a_row
from scheduling.run_state import RunState as S

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def ran(state: S = S.FAILED, attempt: int = 5, for_s: float = 1.0) -> dict[str, Any]:
    until = NOON + timedelta(seconds=for_s)
    return {"state": state, "attempt": attempt, "started_at": NOON, "ended_at": until}


def test_crashes_count_back_to_the_last_quiet_time() -> None:
    assert in_a_row([ran(), ran(), ran(for_s=60), ran()], 60) == 3


def test_crashes_count_back_to_the_last_start_by_somebody() -> None:
    assert in_a_row([ran(), ran(attempt=1), ran()], 60) == 2


def test_what_is_not_the_agents_fault_is_passed_over() -> None:
    lost = [ran(S.LOST), ran(S.PREEMPTED)]
    assert in_a_row([ran(), *lost, ran(), *lost, ran(S.SUCCEEDED), ran()], 60) == 2


def test_one_that_never_started_was_not_quiet() -> None:
    never = {**ran(), "started_at": None}
    assert in_a_row([never, never, ran()], 60) == 3


@given(st.lists(st.sampled_from([S.LOST, S.PREEMPTED, S.FAILED, S.TIMED_OUT])))
def test_without_a_quiet_time_each_crash_counts(states: list[S]) -> None:
    crashes = sum(state in (S.FAILED, S.TIMED_OUT) for state in states)
    assert in_a_row(map(ran, states), 60) == crashes
