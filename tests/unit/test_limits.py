"""Groups and rates in drawn simulations: never more at once, never more starts."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import config_limits
from scheduling import groups
from scheduling.planner.admission import Admit, Wait, plan
from scheduling.planner.limits import Bucket, Cap
from tests.unit.test_admission import NOON, admitted, cpu, line, node, snap

ROOM = node(has=cpu(100, 100))
SMALL = cpu(0.001)
KEYS = ("db", "api", "mail")


@st.composite
def classes(draw: st.DrawFn) -> list[tuple[tuple[Cap, ...], int]]:
    """For some classes of runs: their caps, and how many wait."""
    limits = {key: draw(st.integers(1, 3)) for key in KEYS}
    found = []
    for _ in range(draw(st.integers(1, 5))):
        keys = draw(st.sets(st.sampled_from(KEYS), min_size=0, max_size=3))
        caps = tuple(Cap(key, limits[key], f"in group {key}") for key in sorted(keys))
        found.append((caps, draw(st.integers(0, 6))))
    return found


@given(classes(), st.data())
def test_never_more_than_the_limit_of_a_group_run_at_once(
    drawn: list[tuple[tuple[Cap, ...], int]], data: st.DataObject
) -> None:
    ids = iter(range(1, 1000))
    waiting = {
        n: [next(ids) for _ in range(count)] for n, (_, count) in enumerate(drawn)
    }
    running: dict[int, tuple[Cap, ...]] = {}
    for _ in range(40):
        if not any(waiting.values()):
            break
        used = Counter(cap.name for caps in running.values() for cap in caps)
        lines = [
            line(str(n), SMALL, runs=tuple(runs), caps=drawn[n][0])
            for n, runs in waiting.items()
            if runs
        ]
        decisions = plan(snap(lines, nodes=[ROOM], slots=50, running=used))
        for decision in decisions:
            if isinstance(decision, Admit):
                n = next(n for n, runs in waiting.items() if decision.run.id in runs)
                waiting[n].remove(decision.run.id)
                running[decision.run.id] = drawn[n][0]
            else:
                assert isinstance(decision, Wait)
                assert decision.why.code == "group:queue"
        used = Counter(cap.name for caps in running.values() for cap in caps)
        for caps, _ in drawn:
            assert all(used[cap.name] <= cap.most for cap in caps)
        assert running, "something waits though nothing runs"
        for pk in data.draw(st.sets(st.sampled_from(sorted(running)), min_size=1)):
            del running[pk]
    assert not any(waiting.values())


def test_it_says_how_many_of_how_many_run() -> None:
    cap = Cap("key:db-users", 2, "in group db-users")
    world = snap([line("a", SMALL, caps=(cap,))], running={"key:db-users": 2})
    (decision,) = plan(world)
    assert isinstance(decision, Wait)
    assert decision.why.text == "2 of 2 running in group db-users"


def test_a_full_group_holds_up_nobody_else() -> None:
    cap = Cap("db", 1, "in group db")
    lines = [line("a", SMALL, runs=(1, 2, 3), caps=(cap,)), line("b", SMALL, runs=(4,))]
    assert admitted(plan(snap(lines, nodes=[ROOM]))) == [1, 4]


@given(
    starts=st.integers(1, 6),
    per_s=st.integers(1, 60),
    pauses=st.lists(st.integers(0, 20), min_size=1, max_size=40),
)
def test_a_rate_never_gives_more_than_its_bucket_and_what_flowed_in(
    starts: int, per_s: int, pauses: list[int]
) -> None:
    now, full_at, taken = NOON, None, []
    for pause in pauses:
        now += timedelta(seconds=pause)
        bucket = Bucket("under limit x", starts, per_s, now, full_at)
        runs = tuple(range(1, 10))
        wanted = line("a", SMALL, runs=runs, rates=("x",))
        decisions = plan(snap([wanted], nodes=[ROOM], buckets={"x": bucket}))
        count = len(admitted(decisions))
        if count:
            full_at = bucket.taken(count).full_at
        taken += [now] * count
        last = decisions[-1]
        assert isinstance(last, Wait)
        assert last.why.until is not None
        assert last.why.until > now
    for n, first in enumerate(taken):
        for m, then in enumerate(taken[n:], start=1):
            allowed = starts + (then - first).total_seconds() * starts / per_s
            assert m <= allowed + 1e-6


def test_a_rate_tells_when_the_next_start_is_free_and_gives_it_then() -> None:
    empty = Bucket("under limit x", 2, 60.0, NOON).taken(2)
    assert empty.opens_at() == NOON + timedelta(seconds=30)
    wanted = line("a", SMALL, rates=("x",))
    (wait,) = plan(snap([wanted], buckets={"x": empty}))
    assert isinstance(wait, Wait)
    assert wait.why.text == (
        "2 starts in 60 s are used under limit x; "
        "the next is free at 2026-11-23T12:00:30Z"
    )
    assert wait.why.until is not None
    then = Bucket("under limit x", 2, 60.0, wait.why.until, empty.full_at)
    assert admitted(plan(snap([wanted], buckets={"x": then}))) == [1]


STATED = {"key": "db-{params.table}-{params.of.day}", "limit": 2, "on_full": "skip"}


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({"table": "users", "of": {"day": 3}}, "db-users-3"),
        ({}, "db--"),
        ({"table": "{params.of.day}", "of": {"day": 1}}, "db-(params.of.day)-1"),
    ],
)
def test_the_places_of_a_key_are_filled_in_from_params(params: Any, key: str) -> None:
    assert groups.resolved(STATED, params, "a") == {**STATED, "key": key}


def test_a_long_key_is_shortened_and_stays_its_own() -> None:
    keys = {
        groups.resolved(STATED, {"table": "x" * 200 + end}, "a")["key"]  # type: ignore[index]
        for end in "ab"
    }
    assert {len(key) for key in keys} == {120}
    assert len(keys) == 2


def test_without_a_key_the_group_is_the_agents_own() -> None:
    stated = {"key": None, "limit": 1, "on_full": "queue"}
    assert groups.resolved(stated, {}, "mailer") == {**stated, "key": "mailer"}
    assert groups.resolved(None, {}, "mailer") is None


def test_only_what_falls_under_something_is_marked() -> None:
    spec = {"agent_id": "a", "tags": ["gpu"]}
    limits = config_limits.read(
        [
            {"name": "one", "tag": "gpu", "max_running": 1},
            {"name": "two", "agent": "b", "max_running": 1},
            {"name": "three", "key": "k", "rate": {"starts": 1, "per": "1m"}},
        ]
    )
    own = {"key": "k", "limit": 1, "on_full": "queue"}
    assert groups.mark({**spec, "tags": []}, None, limits) == ""
    assert groups.mark(spec, None, ()) == ""
    named = [limit.name for limit in groups.limits_of(spec, own, limits)]
    assert named == ["one", "three"]
    some = (limits, limits[:1])
    marks = {groups.mark(spec, k, known) for k in (own, None) for known in some}
    assert len(marks) == 3  # with no key, the third limit changes nothing
