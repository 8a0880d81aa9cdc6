"""Limits over HTTP: how many runs at once, how many starts in a time."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents import config_limits
from agents.http import Query
from scheduling import limit_settings


class Limits(APIView):
    """GET limits/: each with what is used of it, and the groups; POST adds one."""

    def get(self, request: Request) -> Response:
        Query(request)
        return Response(limit_settings.listed(now()))

    def post(self, request: Any) -> Response:
        made = limit_settings.add(request.data, actor=request.actor, now=now())
        return Response(config_limits.write_one(made), status=201)


class OneLimit(APIView):
    def patch(self, request: Any, name: str) -> Response:
        changed = limit_settings.change(
            name, request.data, actor=request.actor, now=now()
        )
        return Response(config_limits.write_one(changed))

    def delete(self, request: Any, name: str) -> Response:
        limit_settings.delete(name, actor=request.actor, now=now())
        return Response(status=204)


routes: list[URLPattern] = [
    path("limits/", Limits.as_view(), name="limits"),
    path("limits/<str:name>/", OneLimit.as_view(), name="limit"),
]
