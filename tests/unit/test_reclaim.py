"""Reclaiming memory: whether it can be, and that what counts is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.executors import reclaim
from agents.executors.base import BadSpec

NO_SWAP = "MemFree:  100 kB\nSwapTotal:  0 kB\nSwapFree:  0 kB\n"
SWAP = "MemFree:  100 kB\nSwapTotal:  2048 kB\nSwapFree:  1024 kB\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What /proc/meminfo tells is in the file that comes back."""
    file = tmp_path / "meminfo"
    file.write_text(SWAP)
    monkeypatch.setattr(reclaim, "MEMINFO", str(file))
    return file


def test_without_swap_or_a_control_group_it_says_so(machine: Path) -> None:
    assert reclaim.why_not(has_group=True) == ""
    assert "no control group" in reclaim.why_not(has_group=False)
    machine.write_text(NO_SWAP)
    assert "no swap" in reclaim.why_not(has_group=True)


@pytest.mark.parametrize(
    ("stat", "door", "asked"),
    [
        ("anon 4096\nfile 99\n", "memory.reclaim", "4096"),
        ("rss 0\ntotal_rss 4096\n", "memory.force_empty", "0"),
    ],
)
def test_what_is_given_is_measured_not_assumed(
    machine: Path, tmp_path: Path, stat: str, door: str, asked: str
) -> None:
    """The kernel of this folder gives nothing, so nothing counts as free."""
    (tmp_path / "memory.stat").write_text(stat)
    (tmp_path / door).touch()
    found = reclaim.reclaim(str(tmp_path))
    assert (found.before_bytes, found.after_bytes, found.given_bytes) == (4096, 4096, 0)
    assert (tmp_path / door).read_text() == asked


def test_where_it_cannot_be_it_is_refused_with_the_reason(
    machine: Path, tmp_path: Path
) -> None:
    machine.write_text(NO_SWAP)
    (tmp_path / "memory.reclaim").touch()
    with pytest.raises(BadSpec, match="no swap"):
        reclaim.reclaim(str(tmp_path))
    assert (tmp_path / "memory.reclaim").read_text() == ""
