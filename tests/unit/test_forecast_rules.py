"""Forecasts from drawn and seeded histories: by version, size, kind, or cold."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from scheduling.forecast_rules import (
    COLD_S,
    Quantiles,
    Sample,
    forecast,
    of_kind,
    peak,
    seconds,
    since_change,
)


def runs(*lengths: float, version: int = 1, **more) -> list[Sample]:
    return [Sample(length, version=version, **more) for length in lengths]


def of(samples, **more) -> Quantiles:
    return forecast(samples, seconds, **{"version": 1, "cold": COLD_S, **more})


def test_ten_runs_of_this_version_tell_its_quantiles() -> None:
    found = of(runs(*range(1, 11)))
    assert found == Quantiles(5.5, 10, 10, 10, "version")


def test_an_agent_without_a_history_starts_cold() -> None:
    assert of([]) == Quantiles(60, 60, 60, 0, "cold")
    assert forecast([], peak, version=1, cold=128e6).p90 == 128e6


def test_too_few_of_a_version_and_all_of_the_agent_count() -> None:
    new, old = runs(2, 2, version=2), runs(9, 9, 9, 9)
    found = of([*new, *old], version=2)
    assert (found.basis, found.n, found.p50) == ("agent", 6, 9)


def test_an_agent_without_runs_goes_by_its_kind_if_that_is_known() -> None:
    few = of_kind([runs(*[5] * 10), runs(*[7] * 15)], seconds)
    assert few is None
    three = of_kind([runs(*[5] * 10), runs(*[5] * 10), runs(7)], seconds)
    assert three is not None
    assert of([], kind=three) == three
    assert (three.basis, three.p50) == ("kind", 5)


def test_runs_with_an_input_of_like_size_count() -> None:
    small = runs(*[1] * 6, size=10)
    large = runs(*[100] * 6, size=1000)
    mixed = [one for pair in zip(small, large, strict=True) for one in pair]
    assert of(mixed, size=12).p95 == 1
    assert of(mixed, size=900).p50 == 100
    assert of(mixed, size=900).basis == "version+size"
    assert of(mixed, size=10**6).n == 12, "none of like size: all of them"


def test_after_a_change_for_good_only_what_came_since_counts() -> None:
    noise = random.Random(7)
    slow = [noise.uniform(90, 110) for _ in range(20)]
    fast = [noise.uniform(9, 11) for _ in range(5)]
    found = of(runs(*fast, *slow))
    assert (found.basis, found.n) == ("version+change", 5)
    assert found.p95 < 12
    assert of(runs(*fast[:4], *slow)).p90 > 90, "four may be an accident"


def test_noise_is_no_change() -> None:
    noise = random.Random(11)
    for _ in range(200):
        values = [noise.lognormvariate(2, 0.4) for _ in range(30)]
        assert len(since_change(values)) == 30


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=60))
def test_quantiles_are_in_order_and_within_what_was_seen(lengths) -> None:
    found = of(runs(*lengths))
    assert min(lengths) <= found.p50 <= max(lengths)
    assert min(found.p50, found.p90) == found.p50 or found.n == 2
    assert found.p90 <= found.p95 <= max(lengths)


def test_nine_of_ten_runs_end_within_the_p90() -> None:
    noise = random.Random(3)
    inside = 0
    for _ in range(1000):
        past = [noise.lognormvariate(3, 0.5) for _ in range(30)]
        inside += noise.lognormvariate(3, 0.5) <= of(runs(*past)).p90
    assert 860 <= inside <= 940
