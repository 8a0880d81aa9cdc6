"""Freezing a run and letting it go on, over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now  # noqa: TID251
from rest_framework.views import APIView

from agents.http import fields_of, wrong
from scheduling import wishes
from scheduling.api import find, told

LONGEST_REASON = 200


class FreezeRun(APIView):
    """POST runs/{uid}/freeze/: {reason?} -> 202; it keeps its memory."""

    def post(self, request: Any, uid: str) -> HttpResponse:
        body = fields_of(request.data, allowed=["reason"])
        reason = body.get("reason", "")
        if not isinstance(reason, str) or len(reason) > LONGEST_REASON:
            raise wrong("reason", f"expected a text of at most {LONGEST_REASON}")
        actor = request.actor
        why = f"frozen by {actor}" + (f": {reason}" if reason else "")
        wishes.freeze(find(uid), by=wishes.OPERATOR, reason=why, actor=actor, now=now())
        return told(uid, 202)


class ThawRun(APIView):
    """POST runs/{uid}/thaw/ -> 202; it goes on as soon as there is room."""

    def post(self, request: Any, uid: str) -> HttpResponse:
        fields_of(request.data, allowed=[])
        wishes.thaw(find(uid), actor=request.actor, now=now(), reason="asked for")
        return told(uid, 202)


routes = [
    path("runs/<str:uid>/freeze/", FreezeRun.as_view(), name="run-freeze"),
    path("runs/<str:uid>/thaw/", ThawRun.as_view(), name="run-thaw"),
]
