"""What fires what, and trying a schedule by hand, over HTTP."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.http import Query, fields_of, orjson_response, page, paginate, wrong
from scheduling import schedules, trial, trigger_list
from scheduling.schedule_input import params_of


class Triggers(APIView):
    """GET triggers/?family&state&q: every schedule by what fires it, a page at a
    time, and (on the first page) who starts agents besides."""

    def get(self, request: Request) -> HttpResponse:
        query = Query(request, allowed=("family", "state", "q"))
        found = trigger_list.rows(
            query.choice("family", trigger_list.FAMILIES),
            query.choice("state", trigger_list.STATES),
            query.text("q"),
        )
        shown, cursor = paginate(found, query, ["kind", "-id"])
        answer = page(trigger_list.told(shown, now()), cursor)
        if query.text("cursor") is None:
            answer["counts"] = trigger_list.counts(found)
            answer["asked"] = trigger_list.asked()
        return orjson_response(answer)


class TestFire(APIView):
    """POST schedules/{id}/test-fire/ {dry_run?, params?}: start it now, or only tell
    what would happen."""

    def post(self, request: Any, uid: str) -> Response:
        given = fields_of(request.data, allowed=("dry_run", "params"))
        dry = given.get("dry_run", False)
        if not isinstance(dry, bool):
            raise wrong("dry_run", "expected true or false")
        params = None
        if given.get("params") is not None:
            params = params_of(given["params"])
        schedule = schedules.find(uid)
        if dry:
            told = trial.tell(schedule, params, actor=request.actor, now=now())
            return Response(told)
        done = trial.fire(schedule, params, actor=request.actor, now=now())
        return Response(done, 202)


routes: list[URLPattern] = [
    path("triggers/", Triggers.as_view()),
    path("schedules/<str:uid>/test-fire/", TestFire.as_view()),
]
