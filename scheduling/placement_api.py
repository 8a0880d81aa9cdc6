"""Taints, forecasts and what-if, over HTTP. Views find and call, no more."""

from __future__ import annotations

from math import inf
from typing import Any

from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - views read the clock
from rest_framework.views import APIView

from agents import agent_registry
from agents.http import Query, fields_of, orjson_response, wrong
from scheduling import forecasts, situation, taints, what_if


class NodeTaints(APIView):
    """PUT nodes/{name}/taints/: {taints: ["gpu", "dedicated=ml"]}."""

    def put(self, request: Any, name: str) -> HttpResponse:
        body = fields_of(request.data, allowed=["taints"], required=["taints"])
        taints.set_taints(name, body["taints"], actor=request.actor, now=now())
        return orjson_response(situation.one_node(name))


class Forecast(APIView):
    """GET agents/{id}/forecast/?input_size: what its next run will take."""

    def get(self, request: Any, agent_id: str) -> HttpResponse:
        query = Query(request, allowed=["input_size"])
        agent = agent_registry.resolve(agent_id)
        size = _number(query.text("input_size"))
        return orjson_response(forecasts.told(agent, size, now()))


class WhatIf(APIView):
    """POST plan/what-if/: what would become of the runs that wait. Nothing changes."""

    def post(self, request: Any) -> HttpResponse:
        body = fields_of(request.data, allowed=what_if.FIELDS)
        return orjson_response(what_if.answer(body, now()))


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not 0 < size < inf:
        raise wrong("input_size", "expected a number above 0")
    return size


routes = [
    path("plan/what-if/", WhatIf.as_view(), name="what-if"),
    path("agents/<str:agent_id>/forecast/", Forecast.as_view(), name="forecast"),
    path("nodes/<str:name>/taints/", NodeTaints.as_view(), name="node-taints"),
]
