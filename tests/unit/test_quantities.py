"""Amounts as people write them: what is taken, what is refused, and the way back."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import quantities
from agents.quantities import (
    QuantityError,
    format_bandwidth,
    format_cpu,
    format_duration,
    format_memory,
    parse_bandwidth,
    parse_cpu,
    parse_duration,
    parse_memory,
    parse_percent,
)

Parser = Callable[[object], float]
PARSERS: list[Parser] = [
    parse_memory,
    parse_cpu,
    parse_percent,
    parse_duration,
    parse_bandwidth,
]


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4GB", 4_000_000_000),
        ("512MiB", 512 * 2**20),
        ("1.5GB", 1_500_000_000),
        ("2000kB", 2_000_000),
        ("1000000B", 1_000_000),
        ("1000000", 1_000_000),
        (1_000_000, 1_000_000),
        ("1PB", 10**15),
    ],
)
def test_memory_is_read_in_thousands_or_in_powers_of_two(text, size_bytes) -> None:
    assert parse_memory(text) == size_bytes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("4Gb", "bits or bytes"),
        ("4G", "say GB"),
        ("999kB", "between 1MB and 1PB"),
        ("2PB", "between 1MB and 1PB"),
        (2**63, "between 1MB and 1PB"),
        ("1.0000000001GB", "expected an amount"),
        ("1.000000001MB", "leaves a fraction"),
        (4e9, "expected an amount"),
    ],
)
def test_memory_that_is_unclear_or_out_of_range_is_refused(text, said: str) -> None:
    with pytest.raises(QuantityError, match=said):
        parse_memory(text)


@pytest.mark.parametrize(
    ("value", "millis"), [(2, 2000), (0.5, 500), ("2", 2000), ("500m", 500), (0.001, 1)]
)
def test_cpu_is_counted_in_thousandths_of_a_core(value, millis: int) -> None:
    assert parse_cpu(value) == millis


@pytest.mark.parametrize("value", [0, -1, 1025, 0.0001, "0.5m", "two", math.inf])
def test_cpu_out_of_range_or_too_fine_is_refused(value) -> None:
    with pytest.raises(QuantityError):
        parse_cpu(value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (30, 30),
        (0.5, 0.5),
        ("30", 30),
        ("500ms", 0.5),
        ("1h30m", 5400),
        ("2d", 172_800),
    ],
)
def test_a_duration_is_read_in_seconds(value, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize("value", ["30m1h", "1s1s", "10 parsecs", "", 0, -1, 1e9])
def test_a_duration_that_is_not_one_is_refused(value) -> None:
    with pytest.raises(QuantityError):
        parse_duration(value)


def test_the_bounds_of_a_duration_are_part_of_the_message() -> None:
    with pytest.raises(QuantityError, match="between 0s and 1h"):
        parse_duration("2h", least_s=0, most_s=3600)


def test_a_percentage_needs_its_sign_and_lies_above_0_up_to_100() -> None:
    assert parse_percent("85%") == 0.85
    for wrong in ("0%", "101%", "85", 0.85, "-5%"):
        with pytest.raises(QuantityError):
            parse_percent(wrong)


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    "value",
    [
        None, True, False, [], {}, "", " ", "NaN", "inf", math.nan, math.inf, -math.inf,
        "-1", "-0", "+1", "1e3", "1E3GB", "0x10", "4,5", "4..5", "007", " 5", "5 ",
        "5\n", "\u0664", "\uff14", "5GBGB", "½", "1_000", "5\0", "\ud800", b"5",
    ],
)  # fmt: skip
def test_nothing_dubious_is_taken_for_a_number(parser: Parser, value) -> None:
    with pytest.raises(QuantityError):
        parser(value)


@pytest.mark.parametrize("parser", PARSERS)
@given(value=st.one_of(st.text(), st.floats(), st.integers(), st.booleans()))
def test_a_parser_answers_in_range_or_refuses(parser: Parser, value) -> None:
    try:
        amount = parser(value)
    except QuantityError as refusal:
        assert str(refusal).isprintable()  # noqa: PT017
    else:
        assert 0 < amount < 2**63
        assert not isinstance(value, bool)


@given(st.integers(quantities.LEAST_MEMORY_BYTES, quantities.MOST_MEMORY_BYTES))
def test_memory_parses_back_from_its_shortest_form(size_bytes: int) -> None:
    assert parse_memory(format_memory(size_bytes)) == size_bytes


@given(st.integers(1, quantities.MOST_CPU_MILLIS))
def test_cpu_parses_back_from_cores(millis: int) -> None:
    assert parse_cpu(format_cpu(millis)) == millis
    assert parse_cpu(f"{millis}m") == millis


@given(st.integers(1, quantities.MOST_BANDWIDTH_BPS))
def test_bandwidth_parses_back_from_its_shortest_form(bps: int) -> None:
    assert parse_bandwidth(format_bandwidth(bps)) == bps


@given(st.integers(1, int(quantities.MOST_DURATION_S)))
def test_a_duration_shown_to_people_is_the_same_duration(seconds: int) -> None:
    assert parse_duration(format_duration(float(seconds))) == seconds


@pytest.mark.parametrize("parser", PARSERS)
def test_a_number_too_long_to_print_is_refused_without_printing_it(
    parser: Parser,
) -> None:
    with pytest.raises(QuantityError):
        parser(10**5000)
