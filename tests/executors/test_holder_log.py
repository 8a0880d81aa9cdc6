"""The holder's log: offsets keep their meaning, whatever is rotated, torn or gone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agents.executors import holder_log, strays
from agents.executors.base import Ended, NotStarted, Started
from agents.executors.children import Exit
from agents.executors.held import Run
from agents.executors.holder_log import Log, files, load, read
from agents.executors.process import happening

INTENT = {"folder": "/runs/x", "time_limit_s": 5.0, "grace_s": 1.0, "output_bytes": 9}


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = Log(str(tmp_path), rotate_bytes=300)
    log.begin([])
    return log


def everything(log: Log, offset: int = 0, most_bytes: int = 64) -> list[str]:
    found: list[str] = []
    while True:
        lines, following = read(log.folder, offset, most_bytes)
        if following == offset:
            return found
        found += [line.decode() for line in lines if line[:1] not in b"HK"]
        offset = following


def started(log: Log, uid: str, token: int = 1) -> None:
    log.note(f"I {uid} {token} {json.dumps(INTENT)}")
    log.note(f"S {uid} {token} 17 4242 99 1000.5 r3")


def test_what_was_noted_is_read_in_order_through_rotations(log: Log) -> None:
    noted = [f"F run-{i} 1 17 no such program: x" for i in range(50)]
    for line in noted:
        log.note(line)
        if log.is_full():
            log.begin([])
    assert len(files(log.folder)) > 3
    assert everything(log) == noted


def test_a_reader_finds_its_place_again_after_old_files_are_gone(log: Log) -> None:
    for i in range(20):
        log.note(f"F run-{i} 1 17 x")
    _, offset = read(log.folder, 0, 1 << 20)
    log.begin([])
    log.note("F after 1 17 x")
    log.acknowledge(offset)
    assert len(files(log.folder)) == 1
    assert everything(log, offset) == ["F after 1 17 x"]
    assert everything(log, 0) == ["F after 1 17 x"]


def test_what_is_not_read_yet_is_kept(log: Log) -> None:
    log.note("F first 1 17 x")
    log.begin([])
    log.note("F second 1 17 x")
    log.acknowledge(files(log.folder)[1] - 1)
    assert everything(log) == ["F first 1 17 x", "F second 1 17 x"]


def test_a_log_that_was_wiped_goes_on_above_every_offset_it_had(log: Log) -> None:
    log.note("F old 1 17 x")
    _, offset = read(log.folder, 0, 1 << 20)
    for base in files(log.folder):
        os.unlink(holder_log.path(log.folder, base))
    fresh = Log(log.folder, rotate_bytes=300)
    fresh.begin([])
    fresh.note("F new 1 17 x")
    assert everything(fresh, offset) == ["F new 1 17 x"]


def test_a_torn_last_line_is_passed_over_once_its_file_is_closed(log: Log) -> None:
    log.note("F whole 1 17 x")
    os.write(log.fd, b"E torn 1 17")
    assert everything(log) == ["F whole 1 17 x"]
    log.begin([])
    log.note("F after 1 17 x")
    assert everything(log) == ["F whole 1 17 x", "F after 1 17 x"]


def test_a_line_longer_than_asked_for_is_read_whole(log: Log) -> None:
    log.note(f"F long 1 17 {'x' * 5000}")
    lines, _ = read(log.folder, 0, 10)
    lines += read(log.folder, _, 10)[0]
    assert len(lines[-1]) == 5000 + len("F long 1 17 ")


def test_runs_alive_are_carried_into_the_new_file_whole(log: Log) -> None:
    started(log, "a")
    log.note("T a 1 stop 1234.5")
    before = load(log.folder).runs["a"]
    log.begin([before])
    after = load(log.folder).runs["a"]
    assert after.facts() == before.facts()
    assert (after.pid, after.begun, after.limit_at) == (4242, 99, 1005.5)
    assert (after.stopped, after.timed_out, after.kill_at) == (True, False, 1234.5)


@pytest.mark.parametrize(
    ("line", "alive", "over"),
    [
        ("E a 1 17 0 - 0.1 5", [], {"a": 1}),
        ("F a 1 17 no such program", [], {"a": 1}),
        ("N a 1", [], {}),
        ("X a 1 256 0.1 5", ["a"], {}),
        ("E a 9 17 0 - 0.1 5", ["a"], {}),  # of another attempt
        ("E a", ["a"], {}),
        ("garbage \x00\x01", ["a"], {}),
        ("", ["a"], {}),
    ],
)
def test_a_new_holder_knows_who_is_alive(
    log: Log, line: str, alive: list[str], over: dict[str, int]
) -> None:
    started(log, "a")
    log.note(line)
    known = load(log.folder)
    assert (list(known.runs), known.over) == (alive, over)
    assert known.boot == holder_log.boot_id()


def test_lines_become_happenings_and_the_rest_is_the_holders_own() -> None:
    assert happening(b"S a 2 17 4242 99 1000.5 r3") == Started(
        "a", 2, 17, {"pid": 4242, "begun": 99, "cgroup": "r3"}
    )
    assert happening(b"F a 2 17 no such program: /x y") == NotStarted(
        "a", 2, 17, "no such program: /x y"
    )
    assert happening(b"E a 2 17 35072 ts 1.5 4096") == Ended(
        "a",
        2,
        17,
        137,
        None,
        timed_out=True,
        stopped=True,
        cpu_seconds=1.5,
        peak_memory_bytes=4096,
    )
    assert happening(b"E a 2 17 9 o 1.5 4096") == Ended(
        "a", 2, 17, None, 9, oom_killed=True, cpu_seconds=1.5, peak_memory_bytes=4096
    )
    assert happening(b"E a 2 17 - l - -") == Ended("a", 2, 17, None, None, lost=True)
    assert [happening(x) for x in (b"", b"H b 1 2", b"E torn", b"\xff\xfe")] == [
        None
    ] * 4


def test_a_run_keeps_every_fact_through_json() -> None:
    run = Run(uid="a", token=3, folder="/x", slot="r1", status=256, lost=True)
    assert Run(**json.loads(json.dumps(run.facts()))).facts() == run.facts()


def test_strays_are_read_on_from_where_one_was_and_trimmed(tmp_path: Path) -> None:
    name = strays.path(str(tmp_path))
    assert strays.read(name, 0) == ([], 0)
    fd = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for status in (0, 256, 9):
        strays.write(fd, Exit(os.getpid(), status, 0.5, 1024))
    os.write(fd, b"4242 0 torn")
    os.close(fd)
    found, offset = strays.read(name, 0)
    assert [stray.exit.status for stray in found] == [0, 256, 9]
    assert found[0].begun > 0
    assert strays.read(name, offset) == ([], offset)
    most, strays.MOST_BYTES = strays.MOST_BYTES, 10
    strays.trim(name)
    strays.MOST_BYTES = most
    assert [stray.exit.status for stray in strays.read(name, 0)[0]] == [256, 9]
