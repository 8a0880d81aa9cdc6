"""Where agents serve, and the result bus, over HTTP. Views find and call, no more."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from django.http import HttpResponse
from django.urls import path
from rest_framework.views import APIView

from agents import agent_registry, names
from agents.errors import Invalid
from agents.http import Query, may_wait, orjson_response, waited_for, wrong
from scheduling import given, result_bus

ENTRY = re.compile(r"[0-9]{1,16}-[0-9]{1,16}", re.ASCII)
NEWEST = "newest"
LONGEST_WAIT_S = 25


class Endpoints(APIView):
    """GET agents/{id}/endpoints/: every port of every live run of the agent."""

    def get(self, request: Any, agent_id: str) -> HttpResponse:
        Query(request)
        agent = agent_registry.resolve(agent_id)
        items = given.endpoints([agent.agent_id])
        told = [{k: v for k, v in item.items() if k != "agent"} for item in items]
        return orjson_response({"items": told})


class Bus(APIView):
    """GET bus/?agent|capability&after&wait&limit: results, oldest first.

    `next` goes on from the last one. With `wait` and nothing new it answers when
    something comes, or empty after so many seconds.
    """

    def get(self, request: Any) -> HttpResponse:
        query = Query(request, allowed=["agent", "capability", "after", "wait"])
        stream = stream_of(query)
        wait_s = query.integer("wait", 0, maximum=LONGEST_WAIT_S)
        after = query.text("after", result_bus.START) or ""
        if after == NEWEST:
            after = waited_for(request) or result_bus.last_id(stream)
        elif not ENTRY.fullmatch(after):
            raise wrong("after", "expected an entry's id, or newest")
        items = result_bus.read(stream, after, query.limit)
        response = orjson_response(
            {"items": items, "next": items[-1]["id"] if items else after}
        )
        if wait_s and not items and may_wait(request):
            news = partial(result_bus.waiting.for_news, stream, after, wait_s)
            response.comes_after = news  # type: ignore[attr-defined]
        return response


def stream_of(query: Query) -> str:
    """The stream of exactly one of `agent` and `capability`."""
    agent, capability = query.text("agent"), query.text("capability")
    if (agent is None) == (capability is None):
        said = "name an agent or a capability, one of them"
        raise Invalid(said, {"agent": [said], "capability": [said]})
    if agent is not None:
        found = agent_registry.resolve(agent, retired_too=True)
        return result_bus.AGENT.format(found.agent_id)
    try:
        return result_bus.CAPABILITY.format(names.label(capability or ""))
    except ValueError as fault:
        raise wrong("capability", str(fault)) from None


routes = [
    path("agents/<str:agent_id>/endpoints/", Endpoints.as_view(), name="endpoints"),
    path("bus/", Bus.as_view(), name="bus"),
]
