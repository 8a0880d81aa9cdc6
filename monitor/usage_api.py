"""What a run used over its time, over HTTP."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.views import APIView

from agents.errors import NotFound
from agents.http import Query, orjson_response
from monitor import logs, usage
from scheduling.models import Run


class RunUsage(APIView):
    """GET runs/{uid}/usage/: times, cpu, memory, read, written; an entry a sample."""

    def get(self, request: Request, uid: str) -> HttpResponse:
        Query(request)
        if not Run.objects.filter(uid=uid).exists():
            raise NotFound("there is no such run")
        return orjson_response(usage.shown(usage.read(logs.folder_of(uid))))


routes = [path("runs/<str:uid>/usage/", RunUsage.as_view(), name="run-usage")]
