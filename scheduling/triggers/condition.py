"""When a condition fires: hold time, re-arming, cool-down. A state machine, pure.

An edge is a level that was known to be false and is true now. It counts while the
condition is armed; it fires once the level has been true for `hold_s` without a break
and the cool-down is over. Firing disarms. An unknown level is neither true nor false:
it breaks a hold, and a level known before it says nothing of the one after it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

Mode = Literal["edge", "level"]


@dataclass(frozen=True, slots=True)
class Rule:
    hold_s: float = 0.0
    cooldown_s: float = 0.0
    mode: Mode = "edge"  # level: again after each cool-down while it is true


@dataclass(frozen=True, slots=True)
class State:
    level: bool | None = None  # None: unknown
    armed: bool = True
    true_since: datetime | None = None  # since then it holds, and has not fired
    fired_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fired:
    edge_at: datetime  # names this firing: nothing else of the condition has it
    since: datetime  # the level has been true from then on


@dataclass(frozen=True, slots=True)
class WaitUntil:
    at: datetime


Outcome = Fired | WaitUntil | None


def advance(
    rule: Rule,
    state: State,
    level: bool | None,
    now: datetime,
    *,
    reset: bool | None = None,
    edges: bool = True,
) -> tuple[State, Outcome]:
    """The state after the level was seen at `now`, and what follows from it.

    `reset`: whether what re-arms it holds; None: that the level is false does.
    `edges` False: the level is taken over as it is, a change of it is no edge.
    """
    armed = state.armed or (level is False if reset is None else reset)
    if level is not True:
        return replace(state, level=level, armed=armed, true_since=None), None
    since = state.true_since
    if rule.mode == "level":
        since = since or now
    elif state.level is False and edges and state.armed:
        since = now
    held = replace(state, level=True, armed=armed, true_since=since)
    if since is None:
        return held, None
    due_at = due(rule, held)
    if due_at is None or now < due_at:
        return held, WaitUntil(due_at or now)
    return fired(rule, held, since, due_at, now)


def fired(
    rule: Rule, state: State, since: datetime, due_at: datetime, now: datetime
) -> tuple[State, Fired]:
    if rule.mode == "level":
        return replace(state, fired_at=now), Fired(due_at, since)
    after = replace(state, armed=False, true_since=None, fired_at=now)
    return after, Fired(since, since)


def due(rule: Rule, state: State) -> datetime | None:
    """When it fires if its level stays as it is; None: not without another edge."""
    if state.true_since is None:
        return None
    at = state.true_since + timedelta(seconds=rule.hold_s)
    if state.fired_at is None:
        return at
    return max(at, state.fired_at + timedelta(seconds=rule.cooldown_s))


def cooling_until(rule: Rule, state: State, now: datetime) -> datetime | None:
    """The end of the cool-down it is in."""
    if state.fired_at is None:
        return None
    end = state.fired_at + timedelta(seconds=rule.cooldown_s)
    return end if end > now else None
