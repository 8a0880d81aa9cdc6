"""Lines of a long output by number: any stretch of it, and the number of any place."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from monitor import log_numbers
from scheduling import runs
from scheduling.run_folders import folder_of
from tests.conftest import NOON


class Output:
    def __init__(self, uid: str, client: Any) -> None:
        self.uid, self.client, self.folder = uid, client, folder_of(uid)
        self.folder.mkdir(parents=True)

    def prints(self, data: bytes, stream: str = "out") -> None:
        with (self.folder / stream).open("ab") as file:
            file.write(data)

    def cuts(self, start: int, end: int) -> None:
        (self.folder / "out.cut").write_text(json.dumps({"from": start, "to": end}))

    def lines(self, query: str = "", status: int = 200) -> dict[str, Any]:
        answer = self.client.get(f"/api/v1/runs/{self.uid}/lines/?{query}")
        assert answer.status_code == status, answer.content
        return json.loads(answer.content)

    def texts(self, query: str = "") -> list[str]:
        return [item["text"] for item in self.lines(query)["items"]]


@pytest.fixture
def output(db, agent, settings, tmp_path: Path, viewer, monkeypatch) -> Output:
    settings.VAR = tmp_path
    monkeypatch.setattr(log_numbers, "BLOCK_BYTES", 1024)
    run = runs.request_run(agent, actor="user:test", now=NOON)
    return Output(run.uid, viewer)


def test_any_stretch_of_a_long_output_is_found_by_number(output: Output) -> None:
    draw = random.Random(5)
    said = [f"{n} {'x' * draw.randrange(400)}" for n in range(1, 900)]
    output.prints("".join(f"{line}\n" for line in said).encode())
    for first in (1, 2, 450, 890, 899):
        assert output.texts(f"line={first}&limit=7") == said[first - 1 :][:7]
    assert output.texts("limit=3") == said[-3:]
    assert output.lines("line=900")["items"] == []
    assert output.lines("line=5&limit=1")["total"] == 899


def test_the_number_of_a_line_is_found_by_its_offset(output: Output) -> None:
    output.prints(b"".join(b"line %d\n" % n for n in range(1, 2000)))
    for item in output.lines("line=1200&limit=9")["items"]:
        seq = item["seq"] + 3  # anywhere in the line
        around = output.lines(f"seq={seq}&limit=5")
        assert around["line"] == item["line"]
        assert item["text"] in [one["text"] for one in around["items"]]


def test_what_grows_is_counted_on(output: Output) -> None:
    output.prints(b"a\n" * 3000)
    assert output.lines()["total"] == 3000
    output.prints(b"b\n" * 3000 + b"not over yet")
    assert output.lines()["total"] == 6001
    last = output.lines("limit=1")["items"][0]
    assert (last["line"], last["text"]) == (6001, "not over yet")
    assert last["unfinished"] is True


def test_one_line_stands_for_what_was_cut(output: Output) -> None:
    output.prints(b"".join(b"%04d\n" % n for n in range(1000)))
    output.cuts(500, 4000)
    found = output.lines("line=100&limit=4")
    texts = [item["text"] for item in found["items"]]
    assert texts == ["0099", "", "(3500 bytes were not kept)", "0800"]
    assert found["total"] == 302
    number = output.lines("seq=4000&limit=1")["line"]
    assert output.texts(f"line={number}&limit=1") == ["0800"]


def test_a_line_without_an_end_is_clipped_and_those_behind_it_found(
    output: Output,
) -> None:
    output.prints(b"before\n" + b"x" * 100_000 + b"\nafter\n")
    before, long, after = output.lines("line=1&limit=9")["items"]
    assert (before["text"], after["text"]) == ("before", "after")
    assert long["clipped"] is True
    assert long["bytes"] == 100_001
    assert len(long["text"]) <= log_numbers.CLIPPED_BYTES


def test_json_lines_tell_their_level_and_a_search_the_numbers(output: Output) -> None:
    output.prints(b"".join(b'{"level": "info", "msg": "m%d"}\n' % n for n in range(99)))
    output.prints(b'{"level": "error", "msg": "disk full"}\n')
    assert output.lines("line=100")["items"][0]["level"] == "error"
    path = f"/api/v1/runs/{output.uid}/log-lines/?q=disk&numbered=true"
    (hit,) = json.loads(output.client.get(path).content)["items"]
    assert hit["line"] == 100


def test_odd_questions_are_refused_by_name(output: Output) -> None:
    for query, field in (
        ("line=0", "line"),
        ("stream=all", "stream"),
        ("line=1&seq=2", "seq"),
        ("seq=-1", "seq"),
        ("lines=4", "lines"),
    ):
        assert field in output.lines(query, status=400)["fields"]
    assert output.lines("seq=5")["items"] == []  # it printed nothing


def test_an_output_beyond_reason_is_refused(output: Output) -> None:
    with (output.folder / "out").open("wb") as out:
        out.truncate(2**40)  # sparse
    assert output.lines(status=422)["code"] == "refused"
