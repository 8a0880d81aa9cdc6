"""What follows a run that ended: again at some instant, or not. A pure rule.

Exponential back-off with jitter follows the usual form: delay · factor^(n-1), capped,
then spread by ± jitter. The randomness is an argument, so that the rule is a function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from scheduling.run_state import RunState

CRASHES = frozenset({RunState.FAILED, RunState.TIMED_OUT})
CRASH_LOOP = 10  # crashes in a row, where a definition of before does not say
Outcome = Literal["succeeded", "failed", "timed_out", "lost", "preempted", "cancelled"]


@dataclass(frozen=True, slots=True)
class End:
    """How a run ended, and what is known about the agent it belongs to."""

    state: RunState
    exit_code: int | None
    signal_name: str | None  # "SIGKILL"
    attempt: int  # 1 for the first
    ran_for_s: float
    wanted: bool  # the agent is enabled, not held, not retired
    by_person: bool = False  # a person asked for this end
    crashes: int = 1  # in a row, with this one


@dataclass(frozen=True, slots=True)
class RestartAt:
    at: datetime
    attempt: int
    why: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    why: str
    is_loop: bool = False  # a crash loop: somebody has to reset it


def crash_limit(rule: Mapping[str, Any]) -> int:
    """After so many crashes in a row an agent is not restarted; 0: it always is."""
    return int(rule.get("crash_loop", CRASH_LOOP))


def after_end(
    end: End,
    *,
    kind: str,
    retries: Mapping[str, Any],
    restart: Mapping[str, Any],
    reschedule_on_crash: bool,
    now: datetime,
    chance: float,
) -> RestartAt | GiveUp:
    """Decide what follows. `chance` is a random number in [0, 1)."""
    if end.state == RunState.PREEMPTED:
        return RestartAt(now, end.attempt + 1, "preempted, queued again")
    if not end.wanted:
        return GiveUp("the agent is stopped, disabled or retired")
    if end.state == RunState.LOST:
        if not reschedule_on_crash:
            return GiveUp("reschedule_on_crash is off")
        wait_s = backoff_s(restart if kind == "persistent" else retries, 1, chance)
        return RestartAt(
            now + timedelta(seconds=wait_s), end.attempt + 1, "lost, queued again"
        )
    if end.state == RunState.CANCELLED or end.by_person:
        return GiveUp("stopped on purpose")
    if kind == "persistent":
        return _restart(end, restart, now, chance)
    return _retry(end, retries, now, chance)


def _restart(
    end: End, rule: Mapping[str, Any], now: datetime, chance: float
) -> RestartAt | GiveUp:
    policy = rule["policy"]
    if policy == "never" or (
        policy == "on-failure" and end.state == RunState.SUCCEEDED
    ):
        return GiveUp(f"restart policy is {policy}")
    limit = crash_limit(rule)
    if limit and end.state in CRASHES and end.crashes >= limit:
        return GiveUp(f"crash loop: {end.crashes} crashes in a row", is_loop=True)
    healthy = end.ran_for_s >= rule["reset_after_s"]
    failures = 1 if healthy else end.attempt
    wait_s = backoff_s(rule, failures, chance)
    at = now + timedelta(seconds=wait_s)
    return RestartAt(at, failures + 1, f"restarts after {wait_s:.0f} s")


def _retry(
    end: End, rule: Mapping[str, Any], now: datetime, chance: float
) -> RestartAt | GiveUp:
    if end.state == RunState.SUCCEEDED:
        return GiveUp("it succeeded")
    if end.attempt > rule["limit"]:
        return GiveUp(f"{rule['limit']} retries were allowed")
    if rule["on"] and not _matches(end, rule["on"]):
        return GiveUp("not an end that is retried")
    wait_s = backoff_s(rule, end.attempt, chance)
    return RestartAt(
        now + timedelta(seconds=wait_s),
        end.attempt + 1,
        f"retry {end.attempt} of {rule['limit']}",
    )


def _matches(end: End, on: Sequence[int | str]) -> bool:
    return end.exit_code in on or end.signal_name in on


def backoff_s(rule: Mapping[str, Any], failures: int, chance: float) -> float:
    """Seconds to wait after `failures` failures in a row (1 = the first)."""
    exponent = min(failures - 1, 64)  # beyond, every cap is long reached
    wait_s = min(rule["delay_s"] * rule["factor"] ** exponent, rule["max_delay_s"])
    spread = wait_s * rule.get("jitter", 0.1)
    return float(max(0.0, wait_s + spread * (2 * chance - 1)))
