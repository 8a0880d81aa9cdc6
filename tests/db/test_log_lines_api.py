"""The log of a run over HTTP: structured lines, in pages."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from monitor import log_pages, logs
from tests.conftest import NOON
from tests.db.log_fixtures import body_of, numbered, second


def test_a_line_is_told_with_run_agent_stream_place_time_and_text(log) -> None:
    log.prints(b"first\n", at=1)
    log.prints("zwölf\r\n".encode(), at=2.5)
    _, item = log.lines()["items"]
    assert item == {
        "run": log.run.uid,
        "agent": "worker",
        "stream": "out",
        "seq": 6,
        "bytes": 8,
        "at": "2026-11-23T12:00:02.500000Z",
        "level": None,
        "text": "zwölf",
    }


@pytest.mark.parametrize(
    ("line", "level", "message", "at"),
    [
        ({"level": "WARN", "msg": "hot"}, "warning", "hot", None),
        ({"severity": "Error", "message": "no"}, "error", "no", None),
        ({"lvl": 50, "msg": "x"}, "critical", "x", None),
        ({"level": 20}, "info", None, None),
        ({"level": "30"}, "warning", None, None),
        ({"level": -1e300}, "debug", None, None),
        ({"level": True, "msg": 5}, None, None, None),
        ({"level": [1]}, None, None, None),
        ({"time": "2026-11-23T12:00:00.25Z"}, None, None, second(0.25)),
        ({"time": "2026-11-23 12:00:00,250"}, None, None, second(0.25)),
        ({"ts": NOON.timestamp() + 0.5}, None, None, second(0.5)),
        ({"timestamp": int(NOON.timestamp() * 1000)}, None, None, NOON),
        ({"ts": int(NOON.timestamp() * 10**9)}, None, None, NOON),
        ({"ts": 12.5}, None, None, None),
        ({"time": "yesterday", "ts": 10**300}, None, None, None),
    ],
)
def test_a_line_of_json_tells_level_message_and_time_itself(
    log, line, level, message, at
) -> None:
    log.prints(json.dumps(line).encode() + b"\n", at=7)
    (item,) = log.lines()["items"]
    assert item["fields"] == line
    assert (item["level"], item["message"]) == (level, message)
    assert datetime.fromisoformat(item["at"]) == (at or second(7))


@pytest.mark.parametrize(
    "data",
    [
        b'{"level":',
        b"[1, 2]",
        b"{" * 5000,
        b'{"a":' * 1200 + b"1" + b"}" * 1200,
        b'{"msg": "\\ud800"}',
        b"{}{}",
        b"\xff\xfe{}",
        b"\0\x01\x1b[31m\x9b\x7f",
        b"\xe2\x80\xa8",
        b"",
    ],
)
def test_a_line_of_anything_is_text(log, data) -> None:
    log.prints(data + b"\n")
    (item,) = log.lines()["items"]
    assert item["text"] == data.decode("utf-8", errors="replace")
    assert "fields" not in item


def test_the_tail_comes_first_and_cursors_lead_both_ways(log) -> None:
    log.prints(numbered(1000))
    tail = log.lines("limit=10")
    assert [i["text"] for i in tail["items"]] == [f"line {n}" for n in range(990, 1000)]
    before = log.lines(f"limit=10&before={tail['previous']}")
    assert before["items"][-1]["text"] == "line 989"
    assert before["next"] == tail["previous"]
    again = log.lines(f"limit=10&after={before['next']}")
    assert again["items"] == tail["items"]


def test_what_is_added_follows_the_cursor_of_the_tail(log) -> None:
    log.prints(b"one\n")
    cursor = log.lines()["next"]
    assert log.lines(f"after={cursor}")["items"] == []
    log.prints(b"two\nthr")
    added = log.lines(f"after={cursor}")
    assert [i["text"] for i in added["items"]] == ["two", "thr"]
    assert added["items"][1]["unfinished"]
    assert log.texts(f"after={added['next']}") == []
    log.prints(b"ee\n")
    (whole,) = log.lines(f"after={added['next']}")["items"]
    assert (whole["text"], whole["seq"]) == ("three", added["items"][1]["seq"])


def test_a_run_that_is_over_has_an_end_and_a_beginning(log) -> None:
    log.prints(numbered(3))
    log.prints(b"the end", "err", at=1)
    log.ends()
    body = log.lines()
    assert (body["next"], body["previous"], body["more"]) == (None, None, False)
    first = log.lines("after=0-0&limit=2")
    assert (first["previous"], first["more"]) == (None, True)
    last = log.lines(f"after={first['next']}")
    assert [i["text"] for i in last["items"]] == ["line 2", "the end"]
    assert last["next"] is None


def test_both_streams_are_merged_by_time(log) -> None:
    log.prints(b"a\n", "out", at=1)
    log.prints(b"b\n", "err", at=2)
    log.prints(b"c\n", "out", at=3)
    log.prints(b"d\n", "err", at=3)
    assert log.texts() == ["a", "b", "c", "d"]
    assert log.texts("after=0-0") == ["a", "b", "c", "d"]
    assert log.texts("stream=err") == ["b", "d"]
    assert log.texts("limit=3") == ["b", "c", "d"]


def test_lines_with_times_of_their_own_are_put_between_the_marks(log) -> None:
    def line(at: float) -> bytes:
        return b'{"ts": %f}\n' % (NOON.timestamp() + at)

    log.prints(line(0.1) + line(0.5) + line(0.9), "out", at=1)
    log.prints(line(0.3) + line(0.7), "err", at=1)
    order = [item["stream"] for item in log.lines()["items"]]
    assert order == ["out", "err", "out", "err", "out"]


def test_a_level_is_a_least_level(log) -> None:
    for level in ("debug", "info", "warning", "error", "critical"):
        log.prints(b'{"level": "%s"}\n' % level.encode())
    log.prints(b"plain\n")
    found = log.lines("level=error")["items"]
    assert [item["level"] for item in found] == ["error", "critical"]


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("ERROR", ["an error here", "\x1b[31mer\x1b[1mror\x1b[0m in red"]),
        ("STRASSE%20%C3%96", ["strasse öde"]),
        ("%1B", []),
        ("31m", []),
        ("nothing", []),
    ],
)
def test_search_ignores_case_and_colours(log, q, found) -> None:
    lines = [
        "fine",
        "an error here",
        "strasse öde",
        "\x1b[31mer\x1b[1mror\x1b[0m in red",
    ]
    log.prints("\n".join([*lines, ""]).encode())
    assert log.texts(f"q={q}") == found
    assert log.texts(f"q={q}&after=0-0") == found


def test_since_and_until_bound_the_time(log) -> None:
    for n in range(10):
        log.prints(b"second %d\n" % n, at=n)
    bounds = "since=2026-11-23T12:00:03Z&until=2026-11-23T12:00:05Z"
    expected = ["second 3", "second 4", "second 5"]
    assert log.texts(bounds) == expected
    assert log.texts(f"{bounds}&after=0-0") == expected


def test_a_search_does_a_bounded_piece_of_work_and_goes_on(log, monkeypatch) -> None:
    monkeypatch.setattr(log_pages, "SCAN_BYTES", 600_000)
    log.prints(b"needle\n" + b"hay\n" * 500_000 + b"needle\n")
    steps, query, found = 0, "q=needle&after=0-0", []
    while True:
        body = log.lines(query)
        assert body["scanned"] <= 600_000 + 262_144
        found += [item["seq"] for item in body["items"]]
        steps += 1
        if not body["more"]:
            break
        query = f"q=needle&after={body['next']}"
    assert found == [0, 2_000_007]
    assert steps >= 3


def test_what_was_cut_is_one_marked_line_in_its_place(log) -> None:
    log.prints(b"head\n" + bytes(1000) + b"tail\n")
    (log.folder / "out.cut").write_text('{"from": 5, "to": 1005}')
    for query in ("", "after=0-0"):
        body = log.lines(query)
        assert [item["text"] for item in body["items"]] == [
            "head",
            "(1000 bytes were not kept)",
            "tail",
        ]
        assert body["items"][1]["cut"] == {"from": 5, "to": 1005}
        assert body["cut"] == {"out": {"from": 5, "to": 1005}, "err": None}
    assert "\0" not in log.get("logs/?after=100").json()["out"]["text"]


def test_a_line_without_an_end_is_told_in_parts(log) -> None:
    log.prints(b"x" * 1_000_000)
    found = log.lines("after=0-0")["items"]
    assert len(found) > 5
    assert all(item["continued"] for item in found[:-1])
    assert "".join(item["text"] for item in found) == "x" * 1_000_000
    assert log.lines("limit=1")["items"][0]["seq"] == found[-1]["seq"]


@pytest.mark.parametrize(
    "query",
    [
        "after=5",
        "after=-1-2",
        "after=1-" + "9" * 40,
        "before=x",
        "level=loud",
        "since=yesterday",
        "limit=0",
        "stream=both",
        "tail=1",
    ],
)
def test_a_strange_request_is_refused_by_name(log, query) -> None:
    answer = log.get(f"log-lines/?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in json.loads(answer.content)["fields"]


def test_cursors_that_lie_anywhere_are_no_errors(log) -> None:
    log.prints(numbered(3) + "€".encode() * 50_000)
    (log.folder / "out.cut").write_text('{"from": 4096, "to": 8192}')
    for cursor in ("3-0", "5000-99", f"{10**17}-{10**17}", "21-0", "100000-0"):
        for name in ("after", "before"):
            log.lines(f"{name}={cursor}")


def test_output_removed_by_age_says_so(log) -> None:
    log.ends()
    log.folder.rmdir()
    assert log.lines()["removed"] is None
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    type(log.run).objects.filter(pk=log.run.pk).update(ended_at=long_ago)
    assert log.lines()["removed"] == "output is kept for 14 days (log_retention_days)"


# --- the one way out ---------------------------------------------------------


class Hides:
    """Hides one word, as long as it is."""

    def __init__(self, word: bytes) -> None:
        self.word = word

    def margin_bytes(self, uid: str) -> int:
        return len(self.word) - 1

    def hide(self, uid: str, data: bytes) -> bytes:
        return data.replace(self.word, b"*" * len(self.word))

    def begun(self, uid: str, data: bytes) -> int:
        return 0


def test_all_that_leaves_goes_through_the_redaction(log, monkeypatch) -> None:
    monkeypatch.setattr(logs, "redaction", Hides(b"hunter2"))
    log.prints(b"password hunter2\n" * 50_000)
    assert "hunter2" not in json.dumps(log.lines())
    assert log.texts("q=hunter") == []
    assert b"hunter2" not in body_of(log.get("log.jsonl"))
    assert b"hunter2" not in body_of(log.get("output/out/"))
    part = log.get("output/out/", HTTP_RANGE="bytes=12-13")
    assert body_of(part) == b"**"
    assert "hunt" not in log.get("logs/?after=9&limit=4").json()["out"]["text"]
