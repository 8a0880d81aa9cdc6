"""docs/sensors.md cannot rot: its examples are conditions, its words are ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scheduling import sensors
from scheduling.conditions import cel, rules

PAGE = (Path(__file__).resolve().parents[2] / "docs/sensors.md").read_text()
BLOCK = re.search(r"```cel\n(.*?)```", PAGE, re.DOTALL)
EXAMPLES = BLOCK[1].strip().splitlines() if BLOCK else []
KINDS = {"temperature": "number", "window": "boolean", "mode": "text"}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_condition(example: str) -> None:
    cel.program(rules.read(example).when, KINDS)  # type: ignore[arg-type]


def test_there_are_examples_of_everything_a_condition_may_name() -> None:
    named = {r.root for text in EXAMPLES for r in rules.references(text)}
    assert named == set(rules.FIELDS)


@pytest.mark.parametrize(
    "word",
    [
        *sensors.KEYS,
        *rules.KEYS,
        *(f".{field}" for fields in rules.FIELDS.values() for field in fields if field),
    ],
)
def test_a_key_and_a_field_are_explained(word: str) -> None:
    assert f"`{word}`" in PAGE
