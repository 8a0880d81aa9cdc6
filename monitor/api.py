"""Health, what runs printed, and the journal over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.views.decorators.http import require_safe
from rest_framework.request import Request
from rest_framework.views import APIView

from agents import sealing
from agents.errors import NotFound
from agents.http import Query, orjson_response
from agents.models import Event
from monitor import audit, logs
from monitor.logs import STREAMS, Chunk, Stream
from scheduling.models import Run
from scheduling.run_state import FINAL

DEFAULT_BYTES = 64 * 1024
AUDIT_COLUMNS = ("seq", "at", "kind", "subject", "actor", "data")


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """Open to anyone, so it says only that we answer."""
    return orjson_response({"status": "ok"})


class RunLogs(APIView):
    """GET runs/{uid}/logs/?stream&after&limit: text from a byte offset, or the tail."""

    def get(self, request: Request, uid: str) -> HttpResponse:
        query = Query(request, allowed=["stream", "after", "after_err"])
        state = Run.objects.filter(uid=uid).values_list("state", flat=True).first()
        if state is None:
            raise NotFound("there is no such run")
        after = query.integer("after")
        offsets = {"out": after, "err": query.integer("after_err", after)}
        length = query.integer(
            "limit", DEFAULT_BYTES, minimum=1, maximum=logs.MOST_BYTES
        )
        wanted = query.choice("stream", ("all", *STREAMS), "all")
        body = {
            stream: _told(uid, stream, offsets[stream], length or 0, state)
            for stream in STREAMS
            if wanted in ("all", stream)
        }
        return orjson_response(body)


def _told(
    uid: str, stream: Stream, after: int | None, length: int, state: str
) -> dict[str, Any]:
    lives = state not in FINAL
    chunk = (
        logs.tail(uid, stream, length, growing=lives)
        if after is None
        else logs.read(uid, stream, after, length, growing=lives)
    )
    growing = lives or chunk.end < chunk.size
    text, used = logs.decoded(chunk.data, more=growing)
    if chunk.data and not used:  # a lone piece of a character that may never be whole
        text, used = logs.decoded(chunk.data, more=False)
    return {
        "text": text,
        "from": chunk.start,
        "to": chunk.start + used,
        "size": chunk.size,
        "cut": _cut(chunk),
    }


def _cut(chunk: Chunk) -> dict[str, int] | None:
    return {"from": chunk.cut.start, "to": chunk.cut.end} if chunk.cut else None


class Audit(APIView):
    """GET audit/?since&before&order&limit: the sealed journal, oldest first.

    `next` goes on from the last entry: as `since`, or as `before` when newest first.
    """

    def get(self, request: Request) -> HttpResponse:
        query = Query(request, allowed=["since", "before", "order", "subject"])
        rows = Event.objects.filter(seq__gt=query.integer("since", 0))
        if (before := query.integer("before")) is not None:
            rows = rows.filter(seq__lt=before)
        if (subject := query.text("subject")) is not None:
            rows = rows.filter(subject=subject)
        newest_first = query.choice("order", ("oldest", "newest")) == "newest"
        rows = rows.order_by("-seq" if newest_first else "seq")
        found = list(rows.values(*AUDIT_COLUMNS)[: query.limit])
        last = found[-1]["seq"] if len(found) == query.limit else None
        return orjson_response({"items": found, "next": last})


class AuditVerify(APIView):
    """GET audit/verify/: is the journal what was sealed?"""

    def get(self, request: Request) -> HttpResponse:
        Query(request)
        report = audit.verify(sealing.sealing_key(), sealing.head_path())
        return orjson_response({**_fields(report), "ok": report.ok})


def _fields(report: audit.Report) -> dict[str, Any]:
    return {
        "events": report.events,
        "seals": report.seals,
        "unsealed": report.unsealed,
        "findings": [
            {"fault": f.fault, "seq": f.seq, "text": f.text} for f in report.findings
        ],
    }


routes = [
    path("health/", health, name="health"),
    path("runs/<str:uid>/logs/", RunLogs.as_view(), name="run-logs"),
    path("audit/", Audit.as_view(), name="audit"),
    path("audit/verify/", AuditVerify.as_view(), name="audit-verify"),
]
