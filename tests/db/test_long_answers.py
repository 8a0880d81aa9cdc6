"""A long answer is made as its client takes it, and ends with a client that left."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import pytest
from django.http import HttpRequest
from django.urls import path

from agents.http import LongAnswer
from kos_scheduler import pacing
from kos_scheduler.handler import ThreadHandler
from kos_scheduler.pacing import Paced

made: list[int] = []
PIECES = 100


def pieces() -> Any:
    for number in range(PIECES):
        made.append(number)
        yield b"%d\n" % number


def long(request: HttpRequest) -> LongAnswer:
    return LongAnswer(pieces())


urlpatterns = [path("long/", long)]


class Line:
    """The transport of a connection, whose client reads as the test says."""

    def __init__(self) -> None:
        self.transport = self
        self.disconnected = self.aborted = self.is_full = False
        self.looks = 0
        self.sent: list[dict[str, Any]] = []

    def abortConnection(self) -> None:
        self.aborted = True

    @property
    def producerPaused(self) -> bool:
        self.looks += self.is_full
        return self.is_full

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


@pytest.fixture
def app(settings):
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = []
    made.clear()
    return Paced(ThreadHandler())


async def ask(app: Any, line: Line, method: str = "GET", after: Any = None) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(to: Line, message: dict[str, Any]) -> None:
        to.sent.append(message)
        if after is not None:
            after(to)

    scope = {"type": "http", "method": method, "path": "/long/", "headers": []}
    scope |= {"query_string": b"", "server": ("localhost", 80)}
    await app(scope, receive, functools.partial(send, line))


async def test_it_comes_piece_by_piece(app) -> None:
    line = Line()
    await ask(app, line)
    assert line.body == b"".join(pieces())
    assert [m.get("more_body") for m in line.sent[1:]] == [True] * PIECES + [None]


async def test_no_more_is_made_than_the_client_takes(app) -> None:
    line = Line()

    def full(line: Line) -> None:
        line.is_full = len(line.sent) > 5

    task = asyncio.create_task(ask(app, line, after=full))
    async with asyncio.timeout(10):
        while line.looks < 10:
            await asyncio.sleep(0)
    assert len(made) <= 6
    task.cancel()


async def test_a_client_that_left_ends_it(app) -> None:
    line = Line()

    def leave(line: Line) -> None:
        line.disconnected = len(line.sent) > 5

    await ask(app, line, after=leave)
    assert len(made) <= 6


async def test_a_client_that_takes_nothing_is_let_go(app, monkeypatch) -> None:
    monkeypatch.setattr(pacing, "UNREAD_S", 0.05)
    line = Line()
    line.is_full = True
    await ask(app, line)
    assert line.aborted
    assert len(made) == 1


async def test_head_has_no_body_and_makes_none(app) -> None:
    line = Line()
    await ask(app, line, "HEAD")
    assert line.body == b""
    assert made == []
