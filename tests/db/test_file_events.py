"""Files that appear: new ones, whole ones, each once, and none outside the folders."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from agents import live_config
from agents.errors import Invalid
from scheduling import file_events, schedules
from scheduling.file_events import FileWatch, files_like
from scheduling.models import Occurrence, Schedule
from tests.db.schedule_fixtures import PERSON, again, fire, runs_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    roots = [str(folder)]
    live_config.set_override("events.file_roots", roots, actor=PERSON, now=clock())
    live_config.forget()
    return folder


def clock() -> datetime:
    return datetime.now(UTC)


def waits(agent: Any, path: object, **more: Any) -> Schedule:
    """A schedule made now: files of before do not count."""
    event = {"file": {"path": str(path), "stable_for": "2s", **more}}
    raw = {"event": event, "overlap": "allow_all"}
    return schedules.create(agent, raw, actor=PERSON, now=clock())


def looks(watch: FileWatch, *seconds: float) -> list[int]:
    return [watch.look(now=clock(), clock=second) for second in seconds]


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return path


def paths_of(schedule: Schedule) -> list[str]:
    fire(clock())
    return [Path(run.params["event"]["path"]).name for run in runs_of(schedule)]


def test_a_new_file_fires_once_when_its_size_is_stable(agent: Any, root: Path) -> None:
    schedule, watch = waits(agent, root / "*.csv"), FileWatch("a")
    assert looks(watch, 0) == [0]
    file = put(root / "a.csv", "1")
    assert looks(watch, 1, 2.5) == [0, 0]
    put(file, "12")  # it grows still
    assert looks(watch, 3.5, 5) == [0, 0]
    assert looks(watch, 5.5, 6, 7) == [1, 0, 0]
    fire(clock())
    (run,) = runs_of(schedule)
    told = {"path": str(file), "size": 2, "node": "a"}
    assert run.params == {"event": told}
    assert run.reason == f"{file} appeared on a"


def test_a_file_of_before_the_schedule_does_not_count(agent: Any, root: Path) -> None:
    put(root / "old.csv")
    wait_past(root / "old.csv")
    schedule = waits(agent, root / "*.csv")
    assert sum(looks(FileWatch("a"), 0, 10)) == 0
    assert paths_of(schedule) == []


def wait_past(path: Path) -> None:
    """Until the clock has left the tick in which the file was written."""
    while time.time_ns() <= path.stat().st_ctime_ns + 5_000_000:
        pass


def test_a_restart_fires_nothing_twice_and_misses_nothing(
    agent: Any, root: Path
) -> None:
    schedule = waits(agent, root / "*")
    put(root / "one")
    assert looks(FileWatch("a"), 0, 3) == [0, 1]
    put(root / "two")  # while the node is away
    assert looks(FileWatch("a"), 0, 3) == [0, 1]
    assert sorted(paths_of(schedule)) == ["one", "two"]


def test_a_file_that_is_replaced_or_written_again_fires_again(
    agent: Any, root: Path
) -> None:
    schedule, watch = waits(agent, root / "state.json"), FileWatch("a")
    put(root / "state.json")
    assert looks(watch, 0, 3) == [0, 1]
    put(root / "fresh", "other").rename(root / "state.json")
    assert looks(watch, 4, 7) == [0, 1]
    stamp = time.time_ns() + 10**9
    os.utime(root / "state.json", ns=(stamp, stamp))
    assert looks(watch, 8, 11) == [0, 1]
    assert len(paths_of(schedule)) == 3


def test_a_file_moved_in_with_an_old_date_counts(agent: Any, root: Path) -> None:
    schedule = waits(agent, root / "*.csv")
    outside = put(root.parent / "old.csv")
    os.utime(outside, (0, 0))
    outside.rename(root / "old.csv")
    assert looks(FileWatch("a"), 0, 3) == [0, 1]
    assert paths_of(schedule) == ["old.csv"]


def test_folders_may_be_patterns_too(agent: Any, root: Path) -> None:
    schedule = waits(agent, root / "*" / "done.txt")
    for name in ("a", "b"):
        put(root / name / "done.txt")
    put(root / "c" / "other.txt")
    assert looks(FileWatch("a"), 0, 3) == [0, 2]
    assert len(paths_of(schedule)) == 2


def test_links_folders_and_pipes_are_not_files(agent: Any, root: Path) -> None:
    waits(agent, root / "*")
    secret = put(root.parent / "secret")
    (root / "link").symlink_to(secret)
    (root / "folder").mkdir()
    os.mkfifo(root / "pipe")
    assert sum(looks(FileWatch("a"), 0, 3)) == 0


def test_no_link_on_the_way_is_followed(agent: Any, root: Path) -> None:
    put(root.parent / "elsewhere" / "x.csv")
    (root / "way").symlink_to(root.parent / "elsewhere")
    waits(agent, root / "way" / "x.csv")
    waits(agent, root / "*" / "x.csv")
    assert sum(looks(FileWatch("a"), 0, 3)) == 0


def test_only_allowed_folders_may_be_waited_for(agent: Any, root: Path) -> None:
    for path in ("/etc/passwd", f"{root}2/x", f"{root.parent}/*/x", "/*/x"):
        with pytest.raises(Invalid, match="not below an allowed folder"):
            waits(agent, path)
    assert not Schedule.objects.exists()
    assert list(files_like("/etc/passwd", (str(root),))) == []


def test_a_root_that_is_no_longer_allowed_is_no_longer_read(
    agent: Any, root: Path
) -> None:
    waits(agent, root / "*")
    put(root / "x")
    live_config.set_override("events.file_roots", [], actor=PERSON, now=clock())
    live_config.forget()
    assert sum(looks(FileWatch("a"), 0, 3)) == 0


def test_only_the_named_node_looks(agent: Any, root: Path) -> None:
    from scheduling import nodes

    for name in ("a", "b"):
        facts = {"cpu_millis": 1, "memory_bytes": 1, "environments": []}
        nodes.register(name, now=clock(), facts=facts)
    waits(agent, root / "*", node="b")
    put(root / "x")
    assert sum(looks(FileWatch("a"), 0, 3)) == 0
    assert sum(looks(FileWatch("b"), 0, 3)) == 1


def test_many_files_fire_over_several_looks(
    agent: Any, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_events, "MOST_AT_ONCE", 10)
    waits(agent, root / "*")
    for number in range(25):
        put(root / f"{number:02}")
    assert looks(FileWatch("a"), 0, 3, 4, 5, 6) == [0, 10, 10, 5, 0]
    assert Occurrence.objects.count() == 25


def test_a_folder_that_is_not_there_yet_is_no_fault(agent: Any, root: Path) -> None:
    schedule, watch = waits(agent, root / "later" / "*.csv"), FileWatch("a")
    assert looks(watch, 0) == [0]
    put(root / "later" / "x.csv")
    assert looks(watch, 1, 4) == [0, 1]
    assert again(schedule).ended_at is None


def test_no_descriptor_is_left_open(agent: Any, root: Path) -> None:
    waits(agent, root / "*" / "*.csv")
    for name in ("a", "b", "c"):
        put(root / name / "x.csv")
    before = len(os.listdir("/proc/self/fd"))
    looks(FileWatch("a"), 0, 3, 4)
    assert len(os.listdir("/proc/self/fd")) == before
