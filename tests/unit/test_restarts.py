from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.restarts import End, GiveUp, RestartAt, after_end, backoff_s
from scheduling.run_state import RunState as S

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RETRIES = {
    "limit": 3,
    "delay_s": 2,
    "factor": 2,
    "max_delay_s": 60,
    "jitter": 0,
    "on": [],
}
RESTART = {
    "policy": "always",
    "delay_s": 1,
    "factor": 2,
    "max_delay_s": 30,
    "reset_after_s": 60,
    "jitter": 0,
}


def end(state=S.FAILED, code=1, signal=None, attempt=1, ran=1.0, wanted=True) -> End:
    return End(state, code, signal, attempt, ran, wanted)


def decide(ended: End, kind="ephemeral", retries=None, restart=None, crash=True):
    return after_end(
        ended,
        kind=kind,
        retries={**RETRIES, **(retries or {})},
        restart={**RESTART, **(restart or {})},
        reschedule_on_crash=crash,
        now=NOON,
        chance=0.5,
    )


@pytest.mark.parametrize(("attempt", "wait_s"), [(1, 2), (2, 4), (3, 8)])
def test_each_retry_waits_twice_as_long(attempt: int, wait_s: int) -> None:
    decision = decide(end(attempt=attempt))
    assert decision.at == NOON + timedelta(seconds=wait_s)
    assert decision.attempt == attempt + 1


def test_retries_end_at_their_limit() -> None:
    assert decide(end(attempt=4)) == GiveUp("3 retries were allowed")


def test_a_success_is_not_retried() -> None:
    assert isinstance(decide(end(S.SUCCEEDED, 0)), GiveUp)


@pytest.mark.parametrize(
    ("code", "signal", "on", "again"),
    [
        (75, None, [75], True),
        (1, None, [75], False),
        (None, "SIGKILL", ["SIGKILL"], True),
        (137, None, ["SIGKILL"], False),  # exit 137 is not a kill
    ],
)
def test_retries_look_at_the_exit_code_and_the_signal(code, signal, on, again) -> None:
    decision = decide(end(code=code, signal=signal), retries={"on": on})
    assert isinstance(decision, RestartAt) == again


@pytest.mark.parametrize(
    ("policy", "state", "again"),
    [
        ("always", S.SUCCEEDED, True),
        ("always", S.FAILED, True),
        ("on-failure", S.SUCCEEDED, False),
        ("on-failure", S.TIMED_OUT, True),
        ("never", S.FAILED, False),
    ],
)
def test_a_persistent_agent_obeys_its_policy(policy, state, again) -> None:
    decision = decide(end(state), kind="persistent", restart={"policy": policy})
    assert isinstance(decision, RestartAt) == again


def test_back_off_starts_anew_after_a_healthy_while() -> None:
    decision = decide(end(attempt=9, ran=61), kind="persistent")
    assert decision.at == NOON + timedelta(seconds=1)
    assert decision.attempt == 2


def test_preempted_work_is_queued_again_at_once() -> None:
    decision = decide(end(S.PREEMPTED, None), retries={"limit": 0})
    assert decision.at == NOON


def test_lost_work_is_rescheduled_only_when_configured() -> None:
    assert isinstance(decide(end(S.LOST, None), crash=True), RestartAt)
    assert isinstance(decide(end(S.LOST, None), crash=False), GiveUp)


def test_an_agent_nobody_wants_any_more_stays_down() -> None:
    assert isinstance(decide(end(wanted=False), kind="persistent"), GiveUp)


@given(st.integers(1, 10_000), st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_a_wait_is_never_negative_nor_beyond_its_cap(failures, chance, jitter) -> None:
    wait_s = backoff_s({**RETRIES, "jitter": jitter}, failures, chance)
    assert 0 <= wait_s <= 60 * (1 + jitter) + 1e-9


def looping(crashes: int, state=S.FAILED, **rule) -> object:
    ended = End(state, 1, None, crashes, 1.0, True, crashes=crashes)
    return decide(ended, kind="persistent", restart={"crash_loop": 3, **rule})


def test_a_crash_loop_ends_the_restarts() -> None:
    assert isinstance(looping(2), RestartAt)
    assert looping(3) == GiveUp("crash loop: 3 crashes in a row", is_loop=True)
    assert isinstance(looping(50, crash_loop=0), RestartAt)
    assert isinstance(looping(50, state=S.SUCCEEDED), RestartAt)


def test_a_definition_of_before_gives_up_after_ten() -> None:
    ended = End(S.FAILED, 1, None, 10, 1.0, True, crashes=10)
    assert decide(ended, kind="persistent").is_loop
