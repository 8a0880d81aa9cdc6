"""Lines of a run's output by number over HTTP: any stretch of a log of any length."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - views are entry points
from rest_framework.request import Request
from rest_framework.views import APIView

from agents.errors import NotFound
from agents.http import Query, orjson_response, wrong
from monitor import log_marks, logs
from monitor.log_api import about, times_of
from monitor.log_items import Item
from monitor.log_numbers import Lines, Numbered
from monitor.log_raw import Raw
from monitor.logs import STREAMS


class NumberedLines(APIView):
    """GET runs/{uid}/lines/: from `line` on, or around the one that holds `seq`."""

    def get(self, request: Request, uid: str) -> HttpResponse:
        query = Query(request, allowed=["stream", "line", "seq"])
        stream = query.choice("stream", STREAMS, "out")
        line = query.integer("line", None, minimum=1)
        seq = query.integer("seq")
        if line is not None and seq is not None:
            raise wrong("seq", "send `line` or `seq`, not both")
        run, at = about(uid), now()
        if stream not in STREAMS:
            raise NotFound("there is no such stream")
        with logs.opened(run.uid, stream) as printed:
            lines = Lines(Raw(printed))
            wanted = lines.number_of(seq) if seq is not None and lines.total else None
            first = _first(line, wanted, lines.total, query.limit)
            marks = log_marks.read(logs.folder_of(run.uid))
            times = times_of(run, printed, marks, at)
            found = lines.page(first, query.limit) if lines.total else []
            items = [_told(one, Item(one.piece, stream, times)) for one in found]
        return orjson_response(
            {
                "stream": stream,
                "total": lines.total,
                "line": wanted,
                "items": items,
                "removed": run.removed(at),
            }
        )


def _first(line: int | None, wanted: int | None, total: int, limit: int) -> int:
    """Where the page begins: as asked, around what was asked for, or at the tail."""
    if line is not None:
        return line
    if wanted is not None:
        return max(wanted - limit // 2, 1)
    return max(total - limit + 1, 1)


def _told(one: Numbered, item: Item) -> dict[str, Any]:
    told = item.told("", "")
    del told["run"], told["agent"]
    more = {"clipped": True} if one.is_clipped else {}
    return {"line": one.number, **told, **more}


routes = [
    path("runs/<str:uid>/lines/", NumberedLines.as_view(), name="run-lines"),
]
