"""The engines' log: nothing is told twice, nothing is lost, whoever is killed when."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors import engine_log, holder_log
from agents.executors.base import Ended, Happening, NotStarted, Started, Unavailable
from agents.executors.engine_log import EngineLog

FACTS = {"folder": "/runs/x", "deadline": 12.5}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EngineLog]:
    log = EngineLog(tmp_path, rotate_bytes=2000)
    yield log
    log.close()


def begun(uid: str, token: int = 1) -> Started:
    return Started(uid, token, 17, {"container": f"kos-{uid}"})


def over(uid: str, token: int = 1) -> Ended:
    return Ended(uid, token, 18, exit_code=0, signal=None)


def refused(uid: str, token: int = 1) -> NotStarted:
    return NotStarted(uid, token, 18, "no such image: kos/x")


def everything(log: EngineLog, most_bytes: int = 64) -> list[Happening]:
    offset, found = 0, []
    while True:
        part, following = log.read(offset, most_bytes=most_bytes)
        if following == offset:
            return found
        offset, found = following, found + part


def reopened(log: EngineLog) -> EngineLog:
    log.close()
    return EngineLog(log.folder, rotate_bytes=log.rotate_bytes)


def newest(log: EngineLog) -> str:
    folder = str(log.folder)
    return holder_log.path(folder, holder_log.files(folder)[-1])


def test_what_happened_is_read_as_it_was_said(log: EngineLog) -> None:
    log.ask("a", 1, FACTS)
    said = [begun("a"), over("a"), refused("b", 7)]
    assert all(log.say(one) for one in said)
    assert everything(log) == said


def test_nothing_is_said_twice(log: EngineLog) -> None:
    log.ask("a", 1, FACTS)
    for one in (begun("a"), over("a"), refused("b")):
        assert log.say(one)
        assert not log.say(one)
    assert not log.say(begun("a"))
    assert not log.say(over("b"))


def test_nothing_is_said_twice_after_the_writer_was_killed(log: EngineLog) -> None:
    log.ask("a", 1, FACTS)
    log.ask("b", 1, FACTS)
    for one in (begun("a"), over("a"), begun("b")):
        log.say(one)
    again = reopened(log)
    assert not again.say(over("a"))
    assert not again.say(begun("b"))
    assert again.say(over("b"))
    assert everything(again) == [begun("a"), over("a"), begun("b"), over("b")]
    again.close()


def test_a_new_writer_knows_what_runs_and_its_facts(log: EngineLog) -> None:
    log.ask("a", 3, FACTS)
    log.say(begun("a", 3))
    log.note("a", 3, deadline=99.0, stopped=True)
    log.ask("b", 1, FACTS)
    again = reopened(log)
    run = again.run("a", 3)
    assert run is not None
    assert run.facts == {"folder": "/runs/x", "deadline": 99.0, "stopped": True}
    assert again.alive() == {"a": 3, "b": 1}
    assert [uid for uid, run in again.runs.items() if run.started] == ["a"]
    again.close()


def test_what_the_engine_never_heard_of_may_be_asked_again(log: EngineLog) -> None:
    log.ask("a", 1, FACTS)
    log.forget("a", 1)
    again = reopened(log)
    assert again.alive() == {}
    again.ask("a", 1, FACTS)
    assert again.say(begun("a"))
    again.forget("a", 2)
    assert again.alive() == {"a": 1}
    again.close()


def test_a_note_about_a_run_that_is_over_is_silent(log: EngineLog) -> None:
    log.ask("a", 1, FACTS)
    log.say(begun("a"))
    log.say(over("a"))
    log.note("a", 1, stopped=True)
    assert log.runs == {}


def test_a_refused_attempt_leaves_the_living_one_alone(log: EngineLog) -> None:
    log.ask("a", 5, FACTS)
    log.say(begun("a", 5))
    log.say(refused("a", 6))
    assert log.alive() == {"a": 5}
    assert log.say(over("a", 5))
    assert not log.say(over("a", 5))
    assert log.over == {"a": 6}


def test_offsets_go_on_through_rotations(log: EngineLog) -> None:
    said = [refused(f"run-{i}") for i in range(100)]
    for one in said:
        log.say(one)
    assert len(holder_log.files(str(log.folder))) > 3
    assert everything(log) == said


def test_old_files_go_once_they_are_acknowledged(log: EngineLog) -> None:
    for i in range(100):
        log.say(refused(f"run-{i}"))
    _, offset = log.read(0, most_bytes=1 << 20)
    while (following := log.read(offset, most_bytes=1 << 20)[1]) > offset:
        offset = following
    log.acknowledge(offset)
    assert len(holder_log.files(str(log.folder))) == 1
    log.say(refused("after"))
    assert log.read(offset, most_bytes=1 << 20)[0] == [refused("after")]


def test_what_is_not_acknowledged_is_kept(log: EngineLog) -> None:
    log.say(refused("first"))
    again = reopened(log)
    again.acknowledge(holder_log.files(str(log.folder))[1] - 1)
    assert everything(again) == [refused("first")]
    again.close()


def test_a_torn_last_line_is_passed_over(log: EngineLog) -> None:
    log.ask("a", 1, FACTS)
    log.say(begun("a"))
    with open(newest(log), "ab") as file:
        file.write(b'{"is": "ended", "uid": "a", "tok')
    again = reopened(log)
    assert again.alive() == {"a": 1}
    assert again.say(over("a"))
    assert everything(again) == [begun("a"), over("a")]
    again.close()


def test_a_line_half_written_does_not_spoil_the_next(
    log: EngineLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.ask("a", 1, FACTS)
    log.say(begun("a"))
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:20]))
    with pytest.raises(OSError, match="is full"):
        log.say(over("a"))
    monkeypatch.undo()
    assert log.alive() == {"a": 1}
    assert log.say(over("a"))
    assert everything(log) == [begun("a"), over("a")]


def test_damaged_lines_are_passed_over(log: EngineLog) -> None:
    log.say(refused("a"))
    with open(newest(log), "ab") as file:
        file.write(b'[1]\n{"is": "ended"}\n\xff\xfe\n{"is": "later", "uid": "a", ')
        file.write(b'"token": 1}\n')
    again = reopened(log)
    assert everything(again) == [refused("a")]
    again.close()


def test_a_log_that_was_wiped_goes_on_above_every_offset_it_had(
    log: EngineLog,
) -> None:
    log.say(refused("old"))
    _, offset = log.read(0, most_bytes=1 << 20)
    for base in holder_log.files(str(log.folder)):
        os.unlink(holder_log.path(str(log.folder), base))
    again = reopened(log)
    again.say(refused("new"))
    assert again.read(offset, most_bytes=1 << 20)[0] == [refused("new")]
    again.close()


def test_a_waiting_reader_is_woken_at_once(log: EngineLog) -> None:
    log.wait(0)
    woken = threading.Event()

    def wait() -> None:
        log.wait(60)
        woken.set()

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    assert not woken.is_set()
    log.say(refused("a"))
    assert woken.wait(10)
    waiter.join(10)


def test_a_second_writer_is_refused_and_told_what_to_do(log: EngineLog) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from agents.executors.engine_log import EngineLog\n"
        "EngineLog(Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", code, str(log.folder)]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "another process of this node writes the log" in second.stderr
    with pytest.raises(Unavailable, match="another process"):
        EngineLog(log.folder)


def test_another_process_may_read(log: EngineLog) -> None:
    log.say(refused("a"))
    assert engine_log.read(log.folder, 0, most_bytes=1 << 20)[0] == [refused("a")]


def test_the_memory_of_ended_runs_is_bounded(
    log: EngineLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_log, "MOST_OVER", 10)
    for i in range(30):
        log.say(refused(f"run-{i}"))
    assert list(log.over) == [f"run-{i}" for i in range(20, 30)]
