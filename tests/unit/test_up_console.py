"""The console shows short lines of the logs; the logs stay whole and bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from kos_scheduler import up_console
from kos_scheduler.up_console import LINE_MAX_CHARS, LINES_AT_ONCE, Follower, short


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("listening\n", "listening"),
        ('{"event": "run started", "level": "info"}', None),
        ('{"event": "node is down", "level": "warning"}', "warning: node is down"),
        ("{not json", "{not json"),
        ("\x1b[31mred\x1b[0m", " [31mred [0m"),
        ("   ", None),
        ("Traceback (most recent call last):", None),
        ('  File "web.py", line 1, in main', None),
        ("ValueError: no such port", "ValueError: no such port"),
        ("x" * 1000, "x" * LINE_MAX_CHARS),
    ],
)
def test_a_line_is_shown_short_and_routine_ones_are_not(
    line: str, shown: str | None
) -> None:
    assert short(line) == shown


def test_each_line_is_shown_once_with_its_name(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    follower = Follower("web", log)
    assert list(follower.look()) == []
    log.write_text("one\ntw")
    assert list(follower.look()) == ["web         | one"]
    with log.open("a") as file:
        file.write("o\n")
    assert list(follower.look()) == ["web         | two"]


def test_what_an_earlier_start_wrote_is_not_shown_again(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("old\n")
    follower = Follower("web", log)
    follower.skip_to_end()
    assert list(follower.look()) == []


def test_a_burst_is_cut_and_says_where_the_rest_is(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    log.write_text("line\n" * (LINES_AT_ONCE + 7))
    shown = list(Follower("web", log).look())
    assert len(shown) == LINES_AT_ONCE + 1
    assert shown[-1] == f"web         | ... 7 more lines in {log}"


def test_a_grown_log_is_turned_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up_console, "LOG_MAX_BYTES", 10)
    log = tmp_path / "web.log"
    follower = Follower("web", log)
    with log.open("a") as child:
        child.write("before the turn\n")
        child.flush()
        assert list(follower.look()) == ["web         | before the turn"]
        child.write("after\n")
        child.flush()
        assert list(follower.look()) == ["web         | after"]
    assert (tmp_path / "web.log.1").read_text() == "before the turn\n"
    assert log.read_text() == "after\n"
