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
from agents.http import LongAnswer, Query, orjson_response
from monitor import audit, audit_list, logs
from monitor.logs import STREAMS, Chunk, Stream
from scheduling.models import Run
from scheduling.run_state import FINAL

DEFAULT_BYTES = 64 * 1024


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
    """GET audit/?since&before&order&limit and filters: the sealed journal, oldest
    first.

    `next` goes on from the last entry: as `since`, or as `before` when newest first.
    """

    def get(self, request: Request) -> HttpResponse:
        more = ("since", "before", "order")
        query = Query(request, allowed=[*audit_list.FILTERS, *more])
        found, following = audit_list.page_of(query)
        return orjson_response({"items": found, "next": following})


class AuditExport(APIView):
    """GET audit/export/?format: all that the same filters leave, as CSV or JSON."""

    def get(self, request: Request) -> LongAnswer:
        query = Query(request, allowed=[*audit_list.FILTERS, "format"])
        form = query.choice("format", ("csv", "json"), "csv")
        rows = audit_list.filtered(query)
        if form == "csv":
            body, kind = audit_list.as_csv(rows), "text/csv; charset=utf-8"
        else:
            body, kind = audit_list.as_json(rows), "application/json"
        answer = LongAnswer(body, content_type=kind)
        answer["Content-Disposition"] = f'attachment; filename="audit.{form}"'
        return answer


class AuditVerify(APIView):
    """GET audit/verify/: is the journal what was sealed? With ?after= only a part
    from there on; `next` goes on, and is null with the last."""

    def get(self, request: Request) -> HttpResponse:
        after = Query(request, allowed=["after"]).integer("after")
        key, head = sealing.sealing_key(), sealing.head_path()
        if after is None:
            report = audit.verify(key, head)
        else:
            report = audit.verify_part(key, head, after)
        return orjson_response({**_fields(report), "ok": report.ok})


def _fields(report: audit.Report) -> dict[str, Any]:
    return {
        "events": report.events,
        "seals": report.seals,
        "unsealed": report.unsealed,
        "next": report.following,
        "last": report.last,
        "findings": [
            {"fault": f.fault, "seq": f.seq, "text": f.text} for f in report.findings
        ],
    }


routes = [
    path("health/", health, name="health"),
    path("runs/<str:uid>/logs/", RunLogs.as_view(), name="run-logs"),
    path("audit/", Audit.as_view(), name="audit"),
    path("audit/export/", AuditExport.as_view(), name="audit-export"),
    path("audit/verify/", AuditVerify.as_view(), name="audit-verify"),
]
