"""Windows of time over HTTP."""

from __future__ import annotations

from typing import Any

from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.http import Query, page, paginate
from scheduling import windows
from scheduling.window_models import Window


class Windows(APIView):
    def get(self, request: Any) -> Response:
        found, cursor = paginate(Window.objects.all(), Query(request), ["name"])
        at = now()
        return Response(page([windows.shown(one, at) for one in found], cursor))

    def post(self, request: Any) -> Response:
        at = now()
        made = windows.create(request.data, actor=request.actor, now=at)
        return Response(windows.shown(made, at), 201)


class OneWindow(APIView):
    def get(self, request: Any, uid: str) -> Response:
        Query(request)
        return Response(windows.shown(windows.find(uid), now()))

    def patch(self, request: Any, uid: str) -> Response:
        at = now()
        changed = windows.change(uid, request.data, actor=request.actor, now=at)
        return Response(windows.shown(changed, at))

    def delete(self, request: Any, uid: str) -> Response:
        windows.delete(uid, actor=request.actor, now=now())
        return Response(status=204)


routes = [
    path("windows/", Windows.as_view()),
    path("windows/<str:uid>/", OneWindow.as_view()),
]
