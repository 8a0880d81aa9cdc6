"""`up` restarts its children with back-off and ends exactly what is its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kos_scheduler.up_children import (
    HEALTHY_AFTER_S,
    LONGEST_DELAY_S,
    Child,
    Program,
    boot_id,
    end_children,
    end_leftovers,
    read_identity,
    restart_delay_s,
    start_ticks,
)
from tests.waiting import wait_for

START_S = 1000.0


def child_of(folder: Path, *argv: str) -> Child:
    program = Program("web", argv, {"PATH": os.environ["PATH"]}, folder)
    return Child(program, folder / "web.log", folder / "web")


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_the_wait_between_starts_doubles_up_to_a_limit() -> None:
    waits = [restart_delay_s(failures) for failures in range(12)]
    assert waits[:4] == [0.2, 0.4, 0.8, 1.6]
    assert waits[-1] == restart_delay_s(10_000) == LONGEST_DELAY_S


def test_a_child_that_ends_is_due_again_after_the_wait(tmp_path: Path) -> None:
    child = child_of(tmp_path, "sh", "-c", "echo hello; exit 3")
    child.start(START_S)
    wait_for(lambda: child.note_end(START_S + 1) or child.restart_s)
    assert child.take_trouble() == "ended (exit 3)"
    assert child.restart_s == START_S + 1 + restart_delay_s(0)
    assert child.log.read_text() == "hello\n"


def test_a_killed_child_is_told_by_its_signal(tmp_path: Path) -> None:
    child = child_of(tmp_path, "sleep", "60")
    child.start(START_S)
    child.signal(signal.SIGKILL)
    wait_for(lambda: child.note_end(START_S + 1) or child.restart_s)
    assert child.take_trouble() == "ended (SIGKILL)"


@pytest.mark.parametrize(("lived_s", "failures"), [(1.0, 6), (HEALTHY_AFTER_S, 1)])
def test_failures_count_until_it_lived_long_enough(
    tmp_path: Path, lived_s: float, failures: int
) -> None:
    child = child_of(tmp_path, "true")
    child.failures = 5
    child.start(START_S)
    wait_for(lambda: child.note_end(START_S + lived_s) or child.restart_s)
    assert child.failures == failures


def test_a_child_that_cannot_start_is_tried_again_later(tmp_path: Path) -> None:
    child = child_of(tmp_path, "/no/such/program")
    child.start(START_S)
    assert "cannot start" in child.take_trouble()
    assert child.restart_s == START_S + restart_delay_s(0)


def test_a_child_is_on_record_before_its_program_runs(tmp_path: Path) -> None:
    child = child_of(tmp_path, "sh", "-c", "cat web; exec sleep 60")
    child.start(START_S)
    wait_for(lambda: child.log.read_bytes())
    assert child.process
    assert json.loads(child.log.read_text()) == {
        "boot_id": boot_id(),
        "pid": child.process.pid,
        "start": start_ticks(child.process.pid),
    }
    end_children([child])
    assert not child.record.exists()


def test_children_that_ignore_the_request_are_killed(tmp_path: Path) -> None:
    child = child_of(tmp_path, "sh", "-c", "trap '' TERM; echo on; sleep 60 & wait")
    child.start(START_S)
    wait_for(lambda: child.log.read_bytes())
    end_children([child], grace_s=0.1)
    assert child.process
    assert child.process.returncode == -signal.SIGKILL


def test_leftovers_of_a_killed_up_are_ended(tmp_path: Path) -> None:
    records = tmp_path / "up"
    records.mkdir()
    child = child_of(tmp_path, "sleep", "60")
    child.record = records / "web"
    child.start(START_S)
    assert child.process
    assert end_leftovers(records) == ["web"]
    assert child.process.wait(5) == -signal.SIGTERM
    assert list(records.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"start": 1}, {"boot_id": "another boot"}])
def test_a_stranger_with_the_same_pid_is_left_alone(
    tmp_path: Path, stranger: subprocess.Popen[bytes], wrong: dict[str, object]
) -> None:
    pid = stranger.pid
    mine = {"boot_id": boot_id(), "pid": pid, "start": start_ticks(pid)}
    (tmp_path / "web").write_text(json.dumps(mine | wrong))
    assert end_leftovers(tmp_path) == []
    assert stranger.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_half_written_record_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / "web").write_text(text)
    assert read_identity(tmp_path / "web") is None
    assert end_leftovers(tmp_path) == []
