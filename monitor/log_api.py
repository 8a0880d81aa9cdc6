"""What a run printed over HTTP: lines in pages, all of it as JSON lines, and the bytes.

Nothing here holds more than a window of the output in memory, however large it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - views are entry points
from rest_framework.request import Request
from rest_framework.views import APIView

from agents import live_config
from agents.errors import NotFound
from agents.http import LongAnswer, Query, orjson_response, wrong
from monitor import log_marks, log_numbers, log_pages, logs
from monitor.log_items import LEVELS
from monitor.log_marks import Times
from monitor.log_pages import Budget, Page, Stretch, Walk, Wanted
from monitor.log_raw import Raw
from monitor.logs import STREAMS, Printed, Stream
from scheduling.models import Run
from scheduling.run_state import FINAL

FACTS = ("uid", "agent__agent_id", "state", "starting_at", "started_at", "ended_at")
FILTERS = ("stream", "after", "before", "level", "q", "since", "until")
DOWNLOAD_BYTES = 128 * 2**10  # of one piece of a download
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class About:
    """A run whose log is asked for."""

    uid: str
    agent: str
    state: str
    begun_at: datetime | None
    ended_at: datetime | None

    @property
    def is_over(self) -> bool:
        return self.state in FINAL

    def removed(self, at: datetime) -> str | None:
        """Why there is nothing to read any more, or None."""
        if not self.is_over or logs.folder_of(self.uid).exists():
            return None
        days = live_config.current().log_retention_days
        if self.ended_at is None or self.ended_at > at - timedelta(days=days):
            return None
        return f"output is kept for {days} days (log_retention_days)"


def about(uid: str) -> About:
    """Raises NotFound."""
    row = Run.objects.filter(uid=uid).values_list(*FACTS).first()
    if row is None:
        raise NotFound("there is no such run")
    uid, agent, state, starting_at, started_at, ended_at = row
    begun_at = started_at or starting_at
    return About(uid, agent, state, begun_at, ended_at)


def times_of(run: About, printed: Printed, marks: bytes, at: datetime) -> Times:
    return Times(
        marks,
        printed.stream,
        begun=run.begun_at.timestamp() if run.begun_at else 0.0,
        ended=(run.ended_at or at).timestamp(),
        last=printed.written_at,
    )


def walks_of(
    run: About, opened: list[Printed], wanted: Wanted, budget: Budget, at: datetime
) -> list[Walk]:
    marks = log_marks.read(logs.folder_of(run.uid))
    return [
        Walk(p.stream, p, times_of(run, p, marks, at), wanted, budget) for p in opened
    ]


class LogLines(APIView):
    """GET runs/{uid}/log-lines/: structured lines; the tail unless `after` is sent."""

    def get(self, request: Request, uid: str) -> HttpResponse:
        query = Query(request, allowed=(*FILTERS, "numbered"))
        wanted, asked = wanted_of(query), Asked.of(query)
        body = lines_of(about(uid), asked, wanted, query.limit, now())
        if query.boolean("numbered"):
            log_numbers.number(uid, body["items"])
        return orjson_response(body)


def lines_of(
    run: About, asked: Asked, wanted: Wanted, limit: int, at: datetime
) -> dict[str, Any]:
    """One page of a run's lines, as it is answered."""
    with ExitStack() as stack:
        opened = [stack.enter_context(logs.opened(run.uid, s)) for s in asked.streams]
        walks = walks_of(run, opened, wanted, Budget(), at)
        stretch = asked.stretch(walks, wanted)
        found = log_pages.page(walks, stretch, most=limit)
        body = told(run, found, opened, is_ahead=stretch.is_ahead)
    return {**body, "removed": run.removed(at)}


@dataclass(frozen=True, slots=True)
class Asked:
    streams: tuple[Stream, ...]
    after: log_pages.Offsets | None
    before: log_pages.Offsets | None

    @staticmethod
    def of(query: Query) -> Asked:
        stream = query.choice("stream", ("all", *STREAMS), "all")
        streams = tuple(s for s in STREAMS if stream in ("all", s))
        return Asked(streams, cursor(query, "after"), cursor(query, "before"))

    def stretch(self, walks: list[Walk], wanted: Wanted) -> Stretch:
        """Where to begin and to stop in each stream."""
        low, high = {}, {}
        for walk in walks:
            name, times, size = walk.stream, walk.times, walk.kept.size
            low[name] = self.after[name] if self.after else 0
            high[name] = min(self.before[name], size) if self.before else size
            if wanted.since is not None:
                low[name] = max(low[name], times.first_since(wanted.since))
            if wanted.until is not None:
                until = times.last_until(wanted.until + log_pages.BUFFERED_S, size)
                high[name] = min(high[name], until)
        if self.after is not None:
            return Stretch(low, high, is_ahead=True)
        return Stretch(high, low, is_ahead=False)


def cursor(query: Query, name: str) -> log_pages.Offsets | None:
    text = query.text(name)
    if text is None:
        return None
    offsets = log_pages.read_cursor(text)
    if offsets is None:
        raise wrong(name, 'expected a cursor of this list, such as "0-0"')
    return offsets


def wanted_of(query: Query) -> Wanted:
    since, until = query.instant("since"), query.instant("until")
    return Wanted(
        text=query.text("q") or "",
        level=query.choice("level", LEVELS),
        since=since.timestamp() if since else None,
        until=until.timestamp() if until else None,
    )


def told(
    run: About, found: Page, opened: list[Printed], *, is_ahead: bool
) -> dict[str, Any]:
    """The page as it is answered. `next` is null once nothing can follow; `previous`
    is null at the beginning."""
    at_end = run.is_over and not (found.more if is_ahead else _misses(found, opened))
    at_start = not (any(found.previous.values()) if is_ahead else found.more)
    return {
        "items": [item.told(run.uid, run.agent) for item in found.items],
        "next": None if at_end else log_pages.written_cursor(found.next),
        "previous": None if at_start else log_pages.written_cursor(found.previous),
        "more": found.more,
        "scanned": found.scanned,
        "size": {p.stream: p.size for p in opened},
        "cut": {
            p.stream: {"from": p.cut.start, "to": p.cut.end} if p.cut else None
            for p in opened
        },
    }


def _misses(found: Page, opened: list[Printed]) -> bool:
    """Whether a page that was read backward did not begin at the very end."""
    return any(found.next[p.stream] < p.size for p in opened)


class LogDownload(APIView):
    """GET runs/{uid}/log.jsonl: every line of both streams as a JSON line."""

    def get(self, request: Request, uid: str) -> HttpResponseBase:
        query = Query(request, allowed=FILTERS)
        wanted, asked = wanted_of(query), Asked.of(query)
        lines = json_lines(about(uid), wanted, asked, now())
        answer = LongAnswer(lines, content_type="application/x-ndjson")
        answer["Content-Disposition"] = f'attachment; filename="{uid}.jsonl"'
        return answer


def json_lines(
    run: About, wanted: Wanted, asked: Asked, at: datetime
) -> Iterator[bytes]:
    """As JSON lines, some at a time."""
    with ExitStack() as stack:
        opened = [stack.enter_context(logs.opened(run.uid, s)) for s in asked.streams]
        walks = walks_of(run, opened, wanted, Budget(math.inf, math.inf), at)
        stretch = Asked(asked.streams, asked.after or _begin(), asked.before)
        told_from = stretch.stretch(walks, wanted)
        for walk in walks:
            walk.ahead(told_from.start[walk.stream], told_from.stop[walk.stream])
        part = bytearray()
        for item in log_pages.merged(walks):
            line = item.told(run.uid, run.agent)
            part += orjson.dumps(line, option=orjson.OPT_UTC_Z) + b"\n"
            if len(part) >= DOWNLOAD_BYTES:
                yield bytes(part)
                part.clear()
        if part:
            yield bytes(part)


def _begin() -> log_pages.Offsets:
    return dict.fromkeys(STREAMS, 0)


class OutputDownload(APIView):
    """GET runs/{uid}/output/{stream}/: what is kept of it as it was printed, or a range
    of that. What was cut stands as one line in its place."""

    def get(self, request: Request, uid: str, stream: str) -> HttpResponseBase:
        Query(request)
        run = about(uid)
        if stream not in STREAMS:
            raise NotFound("there is no such stream")
        with logs.opened(run.uid, stream) as printed:
            total = Raw(printed).size
        asked = asked_range(str(request.META.get("HTTP_RANGE", "")), total)
        if asked is None:
            return unsatisfiable(total)
        start, end, is_part = asked
        body = raw_bytes(run.uid, stream, start, end)
        answer = LongAnswer(body, content_type="text/plain; charset=utf-8")
        answer["Content-Disposition"] = f'attachment; filename="{uid}.{stream}.txt"'
        answer["Accept-Ranges"] = "bytes"
        answer["Content-Length"] = str(end - start)
        if is_part:
            answer.status_code = 206
            answer["Content-Range"] = f"bytes {start}-{end - 1}/{total}"
        return answer


def asked_range(header: str, total: int) -> tuple[int, int, bool] | None:
    """(start, end, whether it is a part); None when there are no such bytes. What is
    not one plain range is answered with everything, as the standard allows."""
    match = RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return 0, total, False
    if not match[1]:
        start, end = max(total - int(match[2]), 0), total
    else:
        start = int(match[1])
        end = min(int(match[2]) + 1, total) if match[2] else total
        if match[2] and int(match[2]) < start:
            return 0, total, False
    return (start, end, True) if start < end else None


def unsatisfiable(total: int) -> HttpResponse:
    detail = f"there are {total} bytes"
    answer = orjson_response({"code": "no_such_range", "detail": detail}, status=416)
    answer["Content-Range"] = f"bytes */{total}"
    return answer


def raw_bytes(uid: str, stream: Stream, start: int, end: int) -> Iterator[bytes]:
    """Exactly these bytes of the representation; what was cut meanwhile as zeros."""
    with logs.opened(uid, stream) as printed:
        raw = Raw(printed)
        while start < end:
            data = raw.read(start, min(DOWNLOAD_BYTES, end - start))
            data = data or bytes(min(DOWNLOAD_BYTES, end - start))
            yield data
            start += len(data)


routes = [
    path("runs/<str:uid>/log-lines/", LogLines.as_view(), name="run-log-lines"),
    path("runs/<str:uid>/log.jsonl", LogDownload.as_view(), name="run-log-download"),
    path(
        "runs/<str:uid>/output/<str:stream>/",
        OutputDownload.as_view(),
        name="run-output",
    ),
]
