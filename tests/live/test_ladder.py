"""Preemption with real programs: what each rung gives and what it costs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.preemption import HELD_MB, Rung, measure, table

pytestmark = pytest.mark.alone
ROUNDS = 3
HELD = HELD_MB * 2**20


@pytest.fixture(scope="module")
def rungs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Rung]:
    folder: Path = tmp_path_factory.mktemp("ladder")
    found = measure(folder, ROUNDS)
    (folder / "table.txt").write_text(table(found))
    return {rung.name: rung for rung in found}


def test_a_frozen_victim_keeps_its_memory_and_counts_on(rungs: dict[str, Rung]) -> None:
    for one in rungs["freeze"].rounds:
        assert one.resident_before >= HELD
        assert one.resident_after >= HELD
        assert one.first_instruction_s < 1


def test_what_cannot_be_reclaimed_says_why_and_its_memory_stays(
    rungs: dict[str, Rung],
) -> None:
    reclaims = rungs["reclaim"]
    for one in reclaims.rounds:
        gave = one.resident_before - one.resident_after
        assert bool(reclaims.unavailable) == (gave < HELD // 2)


def test_a_victim_that_saves_goes_on_where_it_was(rungs: dict[str, Rung]) -> None:
    for one in rungs["checkpoint"].rounds:
        assert one.resident_after == 0
        assert one.count_before > 20
        assert one.count_before - one.goes_on_from < 20


def test_a_victim_that_cannot_save_begins_anew(rungs: dict[str, Rung]) -> None:
    for one in rungs["stop"].rounds:
        assert one.resident_after == 0
        assert one.goes_on_from == 0
