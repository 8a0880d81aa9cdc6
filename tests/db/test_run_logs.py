"""What a run printed: read through one door, whatever an agent put in its place."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
from pathlib import Path

import pytest

from agents.errors import NotFound
from monitor import logs
from scheduling import runs
from tests.conftest import NOON

UID = "c" * 32


pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(settings, tmp_path: Path) -> Path:
    """An empty run folder."""
    settings.VAR = tmp_path
    path = tmp_path / "runs" / UID[:2] / UID
    path.mkdir(parents=True)
    return path


def test_a_range_is_read_with_where_it_lies(folder) -> None:
    (folder / "out").write_bytes(b"0123456789")
    assert logs.read(UID, "out", 2, 3) == logs.Chunk(b"234", 2, 10)


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (-5, 3, (b"012", 0)),
        (10, 5, (b"", 10)),
        (10**30, 5, (b"", 10)),
        (0, -1, (b"", 0)),
        (0, 10**30, (b"0123456789", 0)),
    ],
)
def test_odd_offsets_are_no_errors(folder, start, length, expected) -> None:
    (folder / "out").write_bytes(b"0123456789")
    chunk = logs.read(UID, "out", start, length)
    assert (chunk.data, chunk.start) == expected


def test_a_read_is_bounded_however_large_the_file(folder) -> None:
    with (folder / "out").open("wb") as out:
        out.truncate(2**40)  # sparse
    chunk = logs.read(UID, "out", 2**39, 2**40)
    assert (len(chunk.data), chunk.size) == (logs.MOST_BYTES, 2**40)


def test_the_tail_begins_with_a_whole_line(folder) -> None:
    (folder / "out").write_bytes(b"first\nsecond\nthird\n")
    chunk = logs.tail(UID, "out", 10)
    assert (chunk.data, chunk.start) == (b"third\n", 13)


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "socket", "nothing"])
def test_only_a_plain_file_is_opened(folder, what) -> None:
    place = folder / "out"
    match what:
        case "link":
            place.symlink_to("/etc/passwd")
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()
        case "socket":
            server = socket.socket(socket.AF_UNIX)
            os.chdir(folder)
            server.bind("out")
            server.close()
    assert logs.read(UID, "out", 0, 100) == logs.Chunk(b"", 0, 0)


def test_a_run_folder_that_is_a_link_is_not_followed(folder, tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "out").write_text("secret")
    folder.rmdir()
    folder.symlink_to(elsewhere)
    assert logs.read(UID, "out", 0, 100).data == b""


@pytest.mark.parametrize("uid", ["", "x", "../../etc/passwd", "c" * 33, "C" * 32, "\0"])
def test_what_cannot_be_a_uid_names_no_folder(uid) -> None:
    with pytest.raises(NotFound):
        logs.read(uid, "out", 0, 1)


@pytest.mark.parametrize(
    ("said", "cut"),
    [
        (b'{"from": 100, "to": 900}', logs.Cut(100, 900)),
        (b'{"from": 100', None),
        (b"[]", None),
        (b'{"from": "x", "to": null}', None),
        (b"[" * 4000, None),
        (b"\xff", None),
    ],
)
def test_what_was_cut_is_told_and_a_broken_note_is_not(folder, said, cut) -> None:
    (folder / "out").write_bytes(b"x")
    (folder / "out.cut").write_bytes(said)
    assert logs.read(UID, "out", 0, 1).cut == cut


@pytest.mark.parametrize("text", ["häß", "€", "𝄞x", "ascii", ""])
def test_a_character_cut_in_two_is_left_for_the_next_read(text) -> None:
    data = text.encode()
    for at in range(len(data) + 1):
        first, used = logs.decoded(data[:at], more=True)
        rest, _ = logs.decoded(data[used:], more=False)
        assert first + rest == text


def test_bytes_that_are_not_text_become_marks_and_never_wait() -> None:
    text, used = logs.decoded(bytes(range(256)), more=True)
    assert used >= 253
    assert "\ufffd" in text
    assert logs.decoded(b"\x80\x80\x80\x80", more=True) == ("\ufffd" * 4, 4)


@pytest.fixture
def run_folder(db, agent, settings, tmp_path):
    """A queued run and its folder."""
    settings.VAR = tmp_path
    run = runs.request_run(agent, actor="user:test", now=NOON)
    path = tmp_path / "runs" / run.uid[:2] / run.uid
    path.mkdir(parents=True)
    return run, path


def test_the_api_answers_both_streams_with_offsets(run_folder, viewer) -> None:
    run, folder = run_folder
    (folder / "out").write_bytes("größe\n".encode())
    (folder / "err").write_bytes(b"\xff!")
    (folder / "err.cut").write_text('{"from": 2, "to": 50}')
    body = viewer.get(f"/api/v1/runs/{run.uid}/logs/?after=0").json()
    assert body == {
        "out": {"text": "größe\n", "from": 0, "to": 8, "size": 8, "cut": None},
        "err": {
            "text": "\ufffd!",
            "from": 0,
            "to": 2,
            "size": 2,
            "cut": {"from": 2, "to": 50},
        },
    }


def test_following_by_offset_misses_and_repeats_nothing(run_folder, viewer) -> None:
    run, folder = run_folder
    whole = "".join(f"{n}: äöü€\n" for n in range(500))
    (folder / "out").write_text(whole)
    text, at = "", 0
    while at < len(whole.encode()):
        url = f"/api/v1/runs/{run.uid}/logs/?stream=out&after={at}&limit=101"
        chunk = viewer.get(url).json()["out"]
        assert chunk["from"] == at
        text, at = text + chunk["text"], chunk["to"]
    assert text == whole


@pytest.mark.parametrize(
    "query",
    [
        "after=-1",
        "after=" + "1" * 31,
        "stream=../out",
        "file=/etc/shadow",
        "limit=0",
        "offset=1",
    ],
)
def test_a_strange_request_is_refused(run_folder, viewer, query) -> None:
    run, _ = run_folder
    assert viewer.get(f"/api/v1/runs/{run.uid}/logs/?{query}").status_code == 400


def test_a_run_that_does_not_exist_is_not_found(db, viewer) -> None:
    assert viewer.get(f"/api/v1/runs/{UID}/logs/").status_code == 404
    assert viewer.get("/api/v1/runs/..%2f..%2fetc/logs/").status_code == 404


# --- our own lines -----------------------------------------------------------


@pytest.fixture
def lines():
    """Log as a process does, into a buffer; what was logged comes back parsed."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    sink = io.StringIO()
    logs.configure("test", to=sink)
    yield lambda: [json.loads(line) for line in sink.getvalue().splitlines()]
    root.handlers[:], root.level = handlers, level


def test_a_line_is_one_json_object_with_the_run_it_is_about(lines) -> None:
    with logs.about_run(UID):
        logging.getLogger("scheduling.launch").warning("cannot %s", "start")
    logging.getLogger("x").info("extra", extra={"run": UID, "password": "secret"})
    first, second = lines()
    assert first["run"] == second["run"] == UID
    assert (first["event"], first["level"]) == ("cannot start", "warning")
    assert (first["process"], first["logger"]) == ("test", "scheduling.launch")
    assert "password" not in second
    assert first["at"].endswith("Z")


def test_what_an_agent_said_cannot_forge_a_line(lines) -> None:
    logging.getLogger("x").info("it said: %s", '\n{"level":"error","run":"other"}\r\n')
    (line,) = lines()
    assert line["level"] == "info"
    assert "run" not in line


def test_an_error_carries_its_traceback_and_odd_text_is_no_error(lines) -> None:
    try:
        raise ValueError("lone \udc80 surrogate")
    except ValueError:
        logging.getLogger("x").exception("failed")
    (line,) = lines()
    assert "ValueError" in line["exception"]
