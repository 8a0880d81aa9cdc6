"""Watching a log live: nothing lost, twice or torn; a flood is skipped."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import pytest

from monitor import log_tail
from monitor.log_tail import CHUNK_BYTES, FIRST_BYTES, SKIP_BEHIND_BYTES, look

UID = "d" * 32


pytestmark = pytest.mark.django_db


@pytest.fixture
def out(settings, tmp_path: Path) -> Path:
    settings.VAR = tmp_path
    folder = tmp_path / "runs" / UID[:2] / UID
    folder.mkdir(parents=True)
    return folder / "out"


def append(out: Path, data: bytes) -> None:
    with out.open("ab") as file:
        file.write(data)


def test_a_late_joiner_gets_the_tail_and_then_all_that_follows(out) -> None:
    said = b"".join(b"line %d\n" % n for n in range(50_000))
    append(out, said)
    frame, at = look(UID, "out", None)
    text, first = frame["text"], frame["from"]
    assert len(text) <= FIRST_BYTES
    assert "skipped" not in frame
    for n in range(20):
        added = b"later %d\n" % n * 500
        append(out, added)
        said += added
        while (seen := look(UID, "out", at))[0]:
            assert seen[0]["from"] == at
            text, at = text + seen[0]["text"], seen[1]
    assert text.encode() == said[first:]


def test_however_it_is_torn_when_printed_no_frame_is(out) -> None:
    whole = "é€𝄞 \x1b[1;31mred\x1b[0m \x1b[38;5;208morange\x1b[0m ✓\n" * 40
    data, chance = whole.encode(), random.Random(4)
    text, at, place = "", None, 0
    while place < len(data):
        step = chance.randint(1, 7)
        append(out, data[place : place + step])
        place += step
        frame, at = look(UID, "out", at)
        if frame:
            assert "\ufffd" not in frame["text"]
            assert not log_tail.BEGUN_ESCAPE.search(frame["text"].encode())
            text += frame["text"]
    assert text == whole


def test_one_far_behind_a_flood_is_taken_to_the_end_and_told(out) -> None:
    append(out, b"first\n")
    _, at = look(UID, "out", None)
    with out.open("ab") as file:
        file.truncate(SKIP_BEHIND_BYTES * 200)
        file.write(b"\nlast\n")
    tracemalloc.start()
    frame, after = look(UID, "out", at)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert frame["text"].endswith("last\n")
    assert frame["skipped"] == frame["from"] - at
    assert after == out.stat().st_size
    assert peak < 8 * (CHUNK_BYTES + FIRST_BYTES)


def test_what_was_cut_while_one_watched_is_skipped_and_told(out) -> None:
    append(out, b"head\n")
    _, at = look(UID, "out", None)
    append(out, bytes(100_000) + b"tail\n")
    (out.parent / "out.cut").write_text('{"from": 5, "to": 100005}')
    frame, _ = look(UID, "out", at)
    assert (frame["text"], frame["skipped"]) == ("tail\n", 100_000)
