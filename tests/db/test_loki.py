"""Shipping to Loki, against a receiver of its push API on the loopback."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agents.models import Node
from monitor import loki
from monitor.loki import Shipper
from monitor.loki_thread import poster
from scheduling import runs
from scheduling.run_folders import folder_of
from scheduling.run_state import RunState as S
from tests.conftest import NOON


class Receiver(ThreadingHTTPServer):
    """Takes pushes as Loki does, or answers what the test wants."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Push)
        self.answer = 204
        self.pushes: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def lines(self) -> list[tuple[str, str, str]]:
        """(stream, level, text), as they came."""
        return [
            (one["stream"]["stream"], one["stream"]["level"], text)
            for push in self.pushes
            for one in push["streams"]
            for _, text, _ in one["values"]
        ]


class Push(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert self.path == "/loki/api/v1/push"
        assert self.headers["Content-Type"] == "application/json"
        if self.server.answer < 300:
            self.server.pushes.append(json.loads(body))
        self.send_response(self.server.answer)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def listening() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening() as server:
        yield server


@pytest.fixture
def run(db, agent, settings, tmp_path: Path) -> Any:
    """A live run of the node "here"."""
    settings.VAR = tmp_path
    node = Node.objects.create(name="here", cpu_millis=1, memory_bytes=1)
    run = runs.request_run(agent, actor="t", now=NOON)
    facts = {"state": S.RUNNING, "node": node, "started_at": NOON}
    type(run).objects.filter(pk=run.pk).update(**facts)
    folder_of(run.uid).mkdir(parents=True)
    return run


def say(run: Any, text: str, stream: str = "out") -> None:
    path = folder_of(run.uid) / stream
    with path.open("a") as out:
        out.write(text)
    at = NOON.timestamp() + 1.5
    os.utime(path, (at, at))


def end(run: Any) -> None:
    over = {"state": S.SUCCEEDED, "ended_at": NOON + timedelta(seconds=5)}
    type(run).objects.filter(pk=run.pk).update(**over)


def later(seconds: float) -> Any:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def shipper() -> Shipper:
    return Shipper("here", poster())


def test_lines_are_pushed_with_labels_time_and_run(run, receiver, shipper) -> None:
    say(run, '{"level": "warn", "msg": "hot"}\n')
    assert shipper.turn(receiver.url, later(10)) == 1
    (push,) = receiver.pushes
    labels = {"agent": "worker", "node": "here", "stream": "out", "level": "warning"}
    stamp = str(int((NOON.timestamp() + 1.5) * 1e9))
    line = [stamp, '{"level": "warn", "msg": "hot"}', {"run": run.uid}]
    assert push == {"streams": [{"stream": labels, "values": [line]}]}


def test_each_line_is_shipped_once_and_whole(run, receiver, shipper) -> None:
    said = [f"line {n}" for n in range(200)]
    text = "".join(f"{line}\n" for line in said)
    for at in range(0, len(text), 37):
        say(run, text[at : at + 37])
        shipper.turn(receiver.url, later(at))
    say(run, "the last, without an end", "err")
    shipper.turn(receiver.url, later(5000))
    assert [text for _, _, text in receiver.lines] == said
    end(run)
    shipper.turn(receiver.url, later(5001))
    assert receiver.lines[-1] == ("err", "unknown", "the last, without an end")
    assert shipper.following == {}


def test_one_that_begins_anew_goes_on_where_it_was(run, receiver, shipper) -> None:
    say(run, "one\n")
    shipper.turn(receiver.url, later(1))
    say(run, "two\n")
    end(run)
    Shipper("here", poster()).turn(receiver.url, later(60))
    assert [text for _, _, text in receiver.lines] == ["one", "two"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_while_loki_is_away_lines_wait_and_it_is_asked_less_often(
    run, receiver, shipper, status
) -> None:
    receiver.answer = status
    say(run, "one\n")
    asked = [shipper.turn(receiver.url, later(n)) for n in range(100)]
    assert asked == [0] * 100
    assert shipper.failures == 7  # at 0, 1, 3, 7, 15, 31 and 63 seconds
    receiver.answer = 204
    say(run, "two\n")
    assert shipper.turn(receiver.url, later(1000)) == 2
    assert shipper.failures == 0


def test_a_loki_that_is_not_there_is_no_trouble(run, receiver, shipper) -> None:
    url = receiver.url
    receiver.server_close()
    say(run, "one\n")
    assert shipper.turn(url, NOON) == 0
    assert shipper.following[run.uid].at == {"out": 0, "err": 0}


def test_what_loki_will_never_take_is_passed_over(run, receiver, shipper) -> None:
    receiver.answer = 400
    say(run, "too old\n")
    shipper.turn(receiver.url, later(1))
    receiver.answer = 204
    say(run, "fresh\n")
    shipper.turn(receiver.url, later(2))
    assert [text for _, _, text in receiver.lines] == ["fresh"]


def test_a_flood_goes_in_bounded_pushes(run, receiver, shipper, monkeypatch) -> None:
    monkeypatch.setattr(loki, "BATCH_BYTES", 50_000)
    say(run, "x" * 99 + "\n", "err")
    say(run, "".join(f"{n:09}\n" for n in range(20_000)))
    while shipper.turn(receiver.url, later(1)):
        pass
    sizes = [sum(len(s["values"]) for s in push["streams"]) for push in receiver.pushes]
    assert max(sizes) <= 50_000 / 100
    texts = [text for stream, _, text in receiver.lines if stream == "out"]
    assert texts == [f"{n:09}" for n in range(20_000)]


def test_a_run_of_another_node_is_not_ours_to_ship(run, receiver) -> None:
    say(run, "one\n")
    assert Shipper("elsewhere", poster()).turn(receiver.url, NOON) == 0
