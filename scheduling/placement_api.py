"""Where runs are placed, over HTTP: taints of nodes. Views find and call, no more."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - views read the clock
from rest_framework.views import APIView

from agents.http import fields_of, orjson_response
from scheduling import situation, taints


class NodeTaints(APIView):
    """PUT nodes/{name}/taints/: {taints: ["gpu", "dedicated=ml"]}."""

    def put(self, request: Any, name: str) -> HttpResponse:
        body = fields_of(request.data, allowed=["taints"], required=["taints"])
        taints.set_taints(name, body["taints"], actor=request.actor, now=now())
        return orjson_response(situation.one_node(name))


routes = [
    path("nodes/<str:name>/taints/", NodeTaints.as_view(), name="node-taints"),
]
