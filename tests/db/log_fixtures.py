"""A run that printed, and its log as people get it over HTTP."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from typing import Any

from agents.http import LongAnswer
from monitor.log_marks import MARK
from scheduling import runs
from scheduling.run_folders import folder_of
from scheduling.run_state import RunState as S
from tests.conftest import NOON


def second(number: float) -> datetime:
    return NOON + timedelta(seconds=number)


class Log:
    """A run that began at NOON, its folder, and its log over HTTP."""

    def __init__(self, run: Any, client: Any) -> None:
        self.run, self.client = run, client
        self.folder = folder_of(run.uid)
        self.folder.mkdir(parents=True)
        self.printed = {"out": b"", "err": b""}

    def prints(self, data: bytes, stream: str = "out", *, at: float = 0) -> None:
        """Append, and be marked by the node a look later."""
        path = self.folder / stream
        with path.open("ab") as file:
            file.write(data)
        self.printed[stream] += data
        when = second(at).timestamp()
        os.utime(path, (when, when))
        number = ("out", "err").index(stream)
        with (self.folder / "marks").open("ab") as marks:
            marks.write(MARK.pack(number, when, path.stat().st_size))

    def ends(self, at: float = 3600) -> None:
        runs.move(self.run, S.CANCELLED, actor="t", now=second(at), ended_at=second(at))

    def lines(self, query: str = "") -> dict[str, Any]:
        answer = self.client.get(f"/api/v1/runs/{self.run.uid}/log-lines/?{query}")
        assert answer.status_code == 200, answer.content
        return json.loads(answer.content)

    def texts(self, query: str = "") -> list[str]:
        return [item["text"] for item in self.lines(query)["items"]]

    def get(self, path: str, **headers: str) -> Any:
        return self.client.get(f"/api/v1/runs/{self.run.uid}/{path}", **headers)


def numbered(count: int, first: int = 0) -> bytes:
    return b"".join(b"line %d\n" % n for n in range(first, first + count))


def body_of(answer: Any) -> bytes:
    assert isinstance(answer, LongAnswer)
    return b"".join(answer)
