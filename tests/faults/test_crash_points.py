"""Our processes die at the worst moments, one point after the other, while schedules
fire. Judged by what the agents themselves wrote.

`python -m bench.crashes` does the same for as long as one likes.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.crash_points import POINTS
from tests.faults.crashes import Story, attack, crashing_product

ROUNDS = 1


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("crash")
    with crashing_product(folder) as product:
        yield attack(product, folder, points=[*POINTS] * ROUNDS, schedules=8)


def test_a_process_died_at_each_point(story: Story) -> None:
    assert story.died_at == [*POINTS] * ROUNDS


def test_every_due_instant_ran(story: Story) -> None:
    assert story.lost() == []


def test_no_instant_ran_twice(story: Story) -> None:
    assert story.doubled() == []


def test_every_run_ended_with_its_true_code(story: Story) -> None:
    assert story.untrue() == []


def test_nothing_is_left(story: Story) -> None:
    assert story.left == {}


def test_it_was_steady_again_within_half_a_minute(story: Story) -> None:
    assert max(story.steady_after_s) < 30


def test_the_journal_is_whole(story: Story) -> None:
    assert story.audit.rstrip().endswith("good")
