"""Folders made in advance are ordinary run folders, and a broken stock stops nobody."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from agents.executors.ready_folders import MAKING, ReadyFolders
from tests.executors.harness import Bench
from tests.waiting import wait_for


@pytest.fixture
def stock(tmp_path: Path) -> ReadyFolders:
    ready = ReadyFolders(str(tmp_path / "node"))
    assert not ready.take(str(tmp_path / "first"))  # nothing is made before it is asked
    ready.make_one()
    return ready


def test_a_ready_folder_is_private_and_whole(
    stock: ReadyFolders, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "ab" / "run"  # whose parents are not there yet
    assert stock.take(str(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert sorted(os.listdir(folder)) == ["err", "work"]
    assert stat.S_IMODE((folder / "err").stat().st_mode) == 0o600


def test_an_existing_folder_is_never_replaced(
    stock: ReadyFolders, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "attempt-1").touch()
    assert not stock.take(str(folder))
    assert os.listdir(folder) == ["attempt-1"]
    assert stock.take(str(tmp_path / "another"))


def test_what_a_dead_holder_left_is_used_and_its_halves_are_thrown_away(
    stock: ReadyFolders, tmp_path: Path
) -> None:
    (tmp_path / "node" / "ready" / f"7{MAKING}").mkdir()
    heir = ReadyFolders(str(tmp_path / "node"))
    assert heir.take(str(tmp_path / "run"))
    assert os.listdir(tmp_path / "node" / "ready") == []


def test_folders_that_somebody_took_away_are_passed_over(
    stock: ReadyFolders, tmp_path: Path
) -> None:
    stock.make_one()
    os.rename(tmp_path / "node" / "ready" / "2", tmp_path / "stolen")
    assert stock.take(str(tmp_path / "run"))
    assert not stock.take(str(tmp_path / "next"))


def test_a_holder_fills_its_stock_after_the_first_run_and_uses_it(bench: Bench) -> None:
    ready = Path(bench.executor.folder) / "ready"
    bench.run("true")
    wait_for(lambda: ready.exists() and len(os.listdir(ready)) > 3, timeout_s=10)
    uid = bench.start("sh", "-c", "echo hello; echo trouble >&2")
    bench.ended(uid)
    assert (bench.text(uid), bench.text(uid, "err")) == ("hello\n", "trouble\n")
