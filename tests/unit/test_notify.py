"""The sd_notify messages: what is understood, and that nothing else does harm."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.executors.notify import MOST_BYTES, MOST_STATUS, Message, progress, shown


def heard(*datagrams: bytes) -> Message:
    message = Message()
    for data in datagrams:
        message.add(data)
    return message


def test_each_word_is_understood() -> None:
    said = heard(b"READY=1\nSTATUS=up and running\nWATCHDOG=1\nX_KOS_PROGRESS=0.5\n")
    assert (said.ready, said.alive, said.stopping, said.trigger) == (
        *(True, True),
        *(False, False),
    )
    assert (said.status, said.progress) == ("up and running", 0.5)
    assert heard(b"WATCHDOG=trigger").trigger
    assert heard(b"STOPPING=1").stopping
    assert heard(b"STATUS=a", b"STOPPING=1").status == "stopping"
    assert heard(b"STATUS=a", b"STOPPING=1\nSTATUS=bye").status == "bye"


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"READY", b"READY=0", b"READY= 1", b"ready=1", b"\xff\xfe", b"=1"),
        *(b"MAINPID=1", b"EXTEND_TIMEOUT_USEC=1", b"WATCHDOG_USEC=1", b"FDSTORE=1"),
        *(b"X_KOS_PROGRESS=", b"X_KOS_PROGRESS=nan", b"X_KOS_PROGRESS=1e0"),
        *(b"X_KOS_PROGRESS=-1", b"X_KOS_PROGRESS=101%", b"X_KOS_PROGRESS=1.01"),
    ],
)
def test_everything_else_says_nothing(data: bytes) -> None:
    said = heard(data)
    assert not any([said.ready, said.alive, said.stopping, said.trigger])
    assert (said.status, said.progress) == (None, None)


def test_the_newest_status_and_progress_win_and_ready_stays() -> None:
    said = heard(b"READY=1\nSTATUS=a", b"STATUS=b\nX_KOS_PROGRESS=10%", b"STATUS=c")
    assert (said.ready, said.status, said.progress) == (True, "c", 0.1)


def test_of_a_message_that_is_too_long_the_whole_lines_count() -> None:
    said = heard(b"READY=1\nSTATUS=" + b"x" * MOST_BYTES)
    assert (said.ready, said.status) == (True, None)


@given(st.lists(st.binary(max_size=200), max_size=5))
def test_any_bytes_are_taken_and_what_comes_out_is_fit_to_show(
    datagrams: list[bytes],
) -> None:
    said = heard(*datagrams, b"STATUS=" + b"".join(datagrams))
    status = said.status or ""
    assert len(status.encode().decode()) <= MOST_STATUS
    assert status.isprintable()
    assert said.progress is None or 0 <= said.progress <= 1


@given(st.floats(min_value=0, max_value=1), st.booleans())
def test_a_progress_is_read_as_it_was_written(done: float, percent: bool) -> None:
    text = f"{done * 100:.4f}%" if percent else f"{done:.6f}"
    read = progress(text.encode())
    assert read is not None
    assert abs(read - done) < 1e-5


def test_control_characters_and_bad_text_are_not_shown() -> None:
    assert shown(b"a\x1b[31mb\tc\x00\x7f\xff") == "a [31mb c \ufffd"
