"""What runs left and where their results went, over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse
from django.urls import path
from django.utils.http import content_disposition_header
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.views import APIView

from agents import live_config
from agents.errors import NotFound
from agents.http import Query, fields_of, orjson_response, page, paginate
from scheduling import artefacts, deliveries
from scheduling.artefacts import Opened
from scheduling.models import Delivery, Run
from scheduling.result_dispatcher import CASCADE, OUTWARD

STATES = ("pending", "delivered", "dead")
LISTED = (*deliveries.COLUMNS, "run__uid", "run__agent__agent_id")


class Deliveries(APIView):
    """GET deliveries/: newest first, by state, run, agent and sink."""

    def get(self, request: Any) -> HttpResponse:
        query = Query(request, allowed=["state", "run", "agent", "sink"])
        rows = Delivery.objects.all()
        if states := query.choices("state", STATES):
            rows = rows.filter(state__in=states)
        if sinks := query.choices("sink", (CASCADE, *OUTWARD)):
            rows = rows.filter(sink__in=sinks)
        if (uid := query.text("run")) is not None:
            rows = rows.filter(run__uid=uid)
        if (agent := query.text("agent")) is not None:
            rows = rows.filter(run__agent__agent_id=agent)
        found, cursor = paginate(rows.values(*LISTED), query, ["-id"])
        return orjson_response(page([listed(row) for row in found], cursor))


def listed(row: dict[str, Any]) -> dict[str, Any]:
    told = deliveries.told({name: row[name] for name in deliveries.COLUMNS})
    return {**told, "run": row["run__uid"], "agent": row["run__agent__agent_id"]}


class Replay(APIView):
    def post(self, request: Any, pk: int) -> HttpResponse:
        fields_of(request.data, allowed=[])
        deliveries.replay(pk, actor=request.actor, now=now())
        row = Delivery.objects.values(*LISTED).get(pk=pk)
        return orjson_response(listed(row), 202)


class Artefacts(APIView):
    def get(self, request: Any, uid: str) -> HttpResponse:
        Query(request)
        known(uid)
        found = artefacts.listing(uid, live_config.current().artefacts)
        items = [item.told() for item in found.items]
        return orjson_response({"items": items, "cut": found.cut})


class OneArtefact(APIView):
    """Always as a file to keep, never as a page: an agent made it."""

    def get(self, request: Any, uid: str, name: str) -> StreamingHttpResponse:
        Query(request, allowed=["download"])
        known(uid)
        file = artefacts.open(uid, name)
        shown = content_disposition_header(True, file.name) or "attachment"
        headers = {
            "Content-Length": str(file.size),
            "Content-Disposition": shown,
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "private, no-store",
        }
        return StreamingHttpResponse(
            Pieces(file), content_type="application/octet-stream", headers=headers
        )


class Pieces:
    """A file in pieces, read in threads so that the server's loop never waits."""

    def __init__(self, file: Opened) -> None:
        self.file = file
        self.pieces = artefacts.pieces(file, 0, file.size)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while piece := await asyncio.to_thread(next, self.pieces, b""):
                yield piece
        finally:  # a client that goes away in the middle leaves nothing open
            self.close()

    def close(self) -> None:
        self.file.close()


def known(uid: str) -> None:
    """Raises NotFound."""
    if not Run.objects.filter(uid=uid).exists():
        raise NotFound(f"no run {uid[:40]!r}")


routes = [
    path("deliveries/", Deliveries.as_view(), name="deliveries"),
    path("deliveries/<int:pk>/replay/", Replay.as_view(), name="delivery-replay"),
    path("runs/<str:uid>/artefacts/", Artefacts.as_view(), name="run-artefacts"),
    path("runs/<str:uid>/artefacts/<path:name>", OneArtefact.as_view()),
]
