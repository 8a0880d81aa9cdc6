"""The node's care for output: marked while it grows, made small, removed by age."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from agents import live_config
from monitor import log_archive, log_files, log_marks
from monitor.log_archive import Deadline
from monitor.log_keeper import LogKeeper
from monitor.log_marks import MARK, MOST_MARKS, Marker, Times
from monitor.retention import PREFIXES, Keeper
from scheduling import runs
from scheduling.run_folders import folder_of
from scheduling.run_state import RunState as S
from tests.conftest import NOON

DAY = timedelta(days=1)
FOREVER = 60.0


@pytest.fixture
def ended(db, agent, settings, tmp_path: Path):
    """Makes runs that ended some time ago, with output in their folders."""
    settings.VAR = tmp_path

    def make(ago: timedelta, out: bytes = b"") -> Path:
        run = runs.request_run(agent, actor="user:test", now=NOON)
        at = NOON - ago
        runs.move(run, S.CANCELLED, actor="t", now=at, ended_at=at)
        folder = folder_of(run.uid)
        (folder / "work").mkdir(parents=True)
        (folder / "out").write_bytes(out)
        return folder

    return make


def said(count: int = 30_000) -> bytes:
    return b"".join(b"%d: said, ended and kept\n" % n for n in range(count))


def read_all(folder: Path, stream: str = "out", step: int = 70_001) -> bytes:
    with log_files.opened(folder, stream) as output:
        return b"".join(output.pread(at, step) for at in range(0, output.size, step))


def test_output_is_made_small_and_reads_the_same(ended) -> None:
    folder = ended(2 * DAY, said())
    fresh = ended(DAY / 2, said())
    assert Keeper().turn(NOON, FOREVER, PREFIXES) == 1
    assert sorted(os.listdir(folder)) == ["out.gz", "out.index", "work"]
    assert (folder / "out.gz").stat().st_size < len(said()) / 3
    assert read_all(folder) == said()
    unpacked = subprocess.run(["zcat", folder / "out.gz"], capture_output=True)
    assert unpacked.stdout == said()
    assert (fresh / "out").exists()
    assert Keeper().turn(NOON, FOREVER, PREFIXES) == 0


def test_any_range_of_a_small_output_is_the_same(ended) -> None:
    folder = ended(2 * DAY, said())
    Keeper().turn(NOON, FOREVER, PREFIXES)
    size = len(said())
    with log_files.opened(folder, "out") as output:
        assert output.size == size
        for start in (0, 1, 262_143, 262_144, 262_145, 500_000, size - 1, size):
            for length in (0, 1, 2, 300_000, 10**6):
                assert output.pread(start, length) == said()[start : start + length]


def test_a_hole_stays_one_and_takes_no_room(ended) -> None:
    folder = ended(2 * DAY, b"head" * 1024)
    with (folder / "out").open("r+b") as out:
        out.truncate(2**34)
        out.seek(2**34)
        out.write(said())
    Keeper().turn(NOON, FOREVER, PREFIXES)
    with log_files.opened(folder, "out") as output:
        assert output.size == 2**34 + len(said())
        assert output.pread(0, 4100) == b"head" * 1024 + bytes(4)
        assert output.pread(2**33, 10) == bytes(10)
        assert output.pread(2**34 - 2, 8) == bytes(2) + said()[:6]
    assert (folder / "out.gz").stat().st_size < 2**20


def test_small_outputs_are_left_alone(ended) -> None:
    folder = ended(2 * DAY, b"a line\n")
    assert Keeper().turn(NOON, FOREVER, PREFIXES) == 0
    assert os.listdir(folder / "..") == [folder.name]
    assert (folder / "out").read_bytes() == b"a line\n"


def test_work_that_is_interrupted_anywhere_goes_on(ended, monkeypatch) -> None:
    """Dying before any step leaves a log that reads, and the next turn finishes."""
    steps = ("pwrite", "write", "utime", "fsync", "rename", "unlink")
    for step in steps:
        for after in range(3):
            folder = ended(2 * DAY, said())
            with monkeypatch.context() as patch:
                break_at(patch, step, after)
                with suppress(KeyboardInterrupt):
                    log_archive.compress(folder, "out", Deadline(FOREVER))
            assert read_all(folder) == said()
            while not log_archive.compress(folder, "out", Deadline(FOREVER)):
                pass
            assert read_all(folder) == said()
            assert sorted(os.listdir(folder)) == ["out.gz", "out.index", "work"]


def break_at(patch: pytest.MonkeyPatch, step: str, after: int) -> None:
    real, left = getattr(os, step), [after]

    def broken(*args, **kwargs):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        return real(*args, **kwargs)

    patch.setattr(log_archive.os, step, broken)


def test_a_turn_stops_when_its_time_is_over_and_the_next_goes_on(ended) -> None:
    folder = ended(2 * DAY, said(200_000))
    turns = 0
    while not log_archive.compress(folder, "out", Deadline(0.01)):
        turns += 1
        assert turns < 1000
    assert turns > 0
    assert read_all(folder) == said(200_000)


def test_all_of_a_run_that_is_too_old_is_removed(ended) -> None:
    folder = ended(15 * DAY, b"x")
    for name in ("attempt-3", "status-3", "control-3", "exit-3", "out.cut", "marks"):
        (folder / name).write_text("secret")
    deep = folder / "work"
    for _ in range(3):
        deep = deep / "d"
        deep.mkdir()
        (deep / "file").write_text("x")
        (deep / ".0.kos").mkdir()
    (folder / "work" / "link").symlink_to("/etc")
    kept = ended(13 * DAY, b"x")
    assert Keeper().turn(NOON, FOREVER, PREFIXES) == 1
    assert not folder.exists()
    assert kept.exists()


def test_a_folder_nested_without_end_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "run"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deeper", dir_fd=here)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    assert log_archive.remove(top, Deadline(FOREVER))
    assert not top.exists()


def test_what_is_not_a_runs_or_still_runs_is_left(ended, agent, settings) -> None:
    live = runs.request_run(agent, actor="t", now=NOON - 30 * DAY)
    folder_of(live.uid).mkdir(parents=True)
    stranger = settings.VAR / "runs" / "ab" / ("ab" + "0" * 30)
    stranger.mkdir(parents=True)
    (settings.VAR / "runs" / "ab" / "notes").mkdir()
    assert Keeper().turn(NOON, FOREVER, PREFIXES) == 0
    assert folder_of(live.uid).exists()
    assert stranger.exists()


def test_compress_after_is_when_output_is_made_small(ended) -> None:
    key = "logs.compress_after"
    live_config.set_override(key, 3 * 86_400, actor="user:test", now=NOON)
    live_config.forget()
    folder = ended(2 * DAY, said())
    assert Keeper().turn(NOON, FOREVER, PREFIXES) == 0
    assert Keeper().turn(NOON + 2 * DAY, FOREVER, PREFIXES) == 1
    assert not (folder / "out").exists()


def test_a_few_folders_a_turn_make_a_circle(ended) -> None:
    old = [ended(15 * DAY) for _ in range(20)]
    keeper = Keeper()
    first = keeper.turn(NOON, FOREVER)
    assert first < len(old)
    rest = sum(keeper.turn(NOON, FOREVER) for _ in range(PREFIXES))
    assert first + rest == len(old)
    assert not any(folder.exists() for folder in old)


# --- marks -------------------------------------------------------------------


def grow(folder: Path, count: int, at: float, stream: str = "out") -> None:
    with (folder / stream).open("ab") as out:
        out.write(b"x" * count)
    os.utime(folder / stream, (at, at))


def times(folder: Path) -> Times:
    return Times(log_marks.read(folder), "out", begun=0, ended=1e9, last=1e9)


def test_growth_is_marked_and_rest_is_not(tmp_path: Path) -> None:
    marker, run = Marker(), [("a", str(tmp_path))]
    assert marker.look(run) == 0
    grow(tmp_path, 100, 10.0)
    assert [marker.look(run), marker.look(run)] == [1, 0]
    grow(tmp_path, 50, 20.0)
    assert marker.look(run) == 1
    found = times(tmp_path)
    assert [found.written(end) for end in (1, 100, 101, 150)] == [10, 10, 20, 20]


def test_a_node_that_begins_anew_goes_on_marking(tmp_path: Path) -> None:
    run = [("a", str(tmp_path))]
    grow(tmp_path, 100, 10.0)
    Marker().look(run)
    grow(tmp_path, 100, 20.0)
    Marker().look(run)
    assert [times(tmp_path).written(end) for end in (100, 200)] == [10, 20]


def test_marks_of_years_take_bounded_room_and_the_newest_stay(tmp_path: Path) -> None:
    marker, run = Marker(), [("a", str(tmp_path))]
    for n in range(1, 3 * MOST_MARKS):
        grow(tmp_path, 1, float(n))
        marker.look(run)
    size = (tmp_path / "marks").stat().st_size
    assert size <= MOST_MARKS * MARK.size
    found = times(tmp_path)
    newest = range(3 * MOST_MARKS - 1000, 3 * MOST_MARKS)
    assert [found.written(n) for n in newest] == list(newest)
    oldest = [found.written(n) - n for n in range(1, 100)]
    assert all(0 <= late < 300 for late in oldest)


@pytest.mark.parametrize("what", ["link", "pipe", "hard link", "folder"])
def test_a_mark_is_written_to_nothing_an_agent_put_there(tmp_path, what) -> None:
    folder, victim = tmp_path / "run", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("untouched")
    match what:
        case "link":
            (folder / "marks").symlink_to(victim)
        case "hard link":
            os.link(victim, folder / "marks")
        case "pipe":
            os.mkfifo(folder / "marks")
        case "folder":
            (folder / "marks").mkdir()
    grow(folder, 10, 1.0)
    Marker().look([("a", str(folder))])
    assert victim.read_text() == "untouched"


def test_the_node_marks_its_live_runs(db, agent, settings, tmp_path) -> None:
    from agents.models import Node

    settings.VAR = tmp_path
    run = runs.request_run(agent, actor="t", now=NOON)
    node = Node.objects.create(name="here", cpu_millis=1, memory_bytes=1)
    type(run).objects.filter(pk=run.pk).update(state=S.RUNNING, node=node)
    folder = folder_of(run.uid)
    folder.mkdir(parents=True)
    grow(folder, 10, 1.0)
    assert LogKeeper("elsewhere").look() == 0
    assert LogKeeper("here").look() == 1
    assert times(folder).written(10) == 1.0
