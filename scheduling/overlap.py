"""What to do when an instant comes while the run before it is still going. Pure."""

from __future__ import annotations

from dataclasses import dataclass

BUFFER_AT_MOST = 100  # instants that "buffer_all" lets wait


@dataclass(frozen=True, slots=True)
class Start:
    """Run it now."""


@dataclass(frozen=True, slots=True)
class Skip:
    reason: str


@dataclass(frozen=True, slots=True)
class WaitForEnd:
    """Start it when the run before it has ended."""


@dataclass(frozen=True, slots=True)
class Replace:
    """End the run before it, and whoever waits; then start it."""

    kill: bool  # at once, without grace


Verdict = Start | Skip | WaitForEnd | Replace


def judge(policy: str, *, live: int, waiting: int) -> Verdict:
    """`live`: runs of this schedule that are not over; `waiting`: instants that wait
    for one of them to end."""
    if policy == "allow_all" or not live + waiting:
        return Start()
    match policy:
        case "skip":
            return Skip("the run before it was still going")
        case "buffer_one":
            return Skip("one more was already waiting") if waiting else WaitForEnd()
        case "buffer_all":
            if waiting >= BUFFER_AT_MOST:
                return Skip(f"{waiting} were already waiting")
            return WaitForEnd()
        case "cancel_other" | "terminate_other":
            return Replace(kill=policy == "terminate_other")
    raise AssertionError(f"unknown overlap policy {policy}")
