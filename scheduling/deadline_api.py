"""Deadlines of runs over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - views read the clock
from rest_framework.views import APIView

from agents.http import orjson_response
from scheduling import deadline_changes
from scheduling.api import find


class Deadline(APIView):
    """PUT or POST runs/{uid}/deadline/: other deadlines for a run that is not over."""

    def put(self, request: Any, uid: str) -> HttpResponse:
        wish = deadline_changes.parse_wish(request.data)
        who: dict[str, Any] = {"actor": request.actor, "now": now()}
        return orjson_response(deadline_changes.change(find(uid), wish, **who))

    post = put


routes = [path("runs/<str:uid>/deadline/", Deadline.as_view(), name="run-deadline")]
