"""The log of a run as a download: JSON lines, or the bytes whole and by range."""

from __future__ import annotations

import json

import pytest

from tests.db.log_fixtures import body_of, numbered


def test_all_of_it_comes_as_json_lines(log) -> None:
    log.prints(numbered(20_000), at=1)
    log.prints(b"trouble\n", "err", at=2)
    answer = log.get("log.jsonl")
    pieces = list(answer)
    lines = [json.loads(line) for line in b"".join(pieces).splitlines()]
    assert [line["text"] for line in lines] == [
        *(f"line {n}" for n in range(20_000)),
        "trouble",
    ]
    assert len(pieces) > 10
    assert max(map(len, pieces)) < 300_000


def test_a_download_takes_the_filters_of_the_pages(log) -> None:
    log.prints(b'{"level": "error"}\n{"level": "info"}\n')
    lines = body_of(log.get("log.jsonl?level=error")).splitlines()
    assert [json.loads(line)["level"] for line in lines] == ["error"]


@pytest.mark.parametrize(
    ("asked", "status", "expected", "told"),
    [
        ("", 200, b"0123456789", None),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=-100", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
    ],
)
def test_a_stream_is_downloaded_whole_or_by_range(
    log, asked, status, expected, told
) -> None:
    log.prints(b"0123456789")
    answer = log.get("output/out/", HTTP_RANGE=asked)
    assert (answer.status_code, body_of(answer)) == (status, expected)
    assert answer.get("Content-Range") == told
    assert answer["Content-Length"] == str(len(expected))
    assert answer["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_behind_the_end_is_told_the_size(log, asked) -> None:
    log.prints(b"0123456789")
    answer = log.get("output/out/", HTTP_RANGE=asked)
    assert answer.status_code == 416
    assert answer["Content-Range"] == "bytes */10"
    assert json.loads(answer.content)["code"] == "no_such_range"


def test_a_download_says_what_was_cut_in_its_place(log) -> None:
    log.prints(b"head\n" + bytes(1000) + b"tail\n")
    (log.folder / "out.cut").write_text('{"from": 5, "to": 1005}')
    whole = body_of(log.get("output/out/"))
    assert whole == b"head\n\n(1000 bytes were not kept)\ntail\n"
    for start in range(0, len(whole), 7):
        part = log.get("output/out/", HTTP_RANGE=f"bytes={start}-{start + 6}")
        assert body_of(part) == whole[start : start + 7]


def test_there_are_only_two_streams(log) -> None:
    assert log.get("output/both/").status_code == 404
    assert log.get("output/..%2fout/").status_code == 404
