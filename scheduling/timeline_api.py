"""The timeline, the overview, the plan and the nodes over HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - views read the clock
from rest_framework.views import APIView

from agents.http import Query, fields_of, orjson_response, page, wrong
from scheduling import (
    agent_scheduler,
    draining,
    lost_nodes,
    node_history,
    nodes,
    situation,
)
from scheduling.capacity import MOST_STEPS, capacity
from scheduling.timeline import GROUPS, Group, timeline

LONGEST = timedelta(days=400)  # a year and its margins
BEFORE, AFTER = timedelta(hours=12), timedelta(hours=36)  # when no window is asked for
DEFAULT_ITEMS, MOST_ITEMS = 5000, 20_000
MOST_Q_CHARS = 200
DEFAULT_STEPS = 240
PLAN_PER_CLASS = 10  # of each class of waiting runs, as many are planned for show


def window(query: Query, at: datetime) -> tuple[datetime, datetime]:
    """from and to. Raises Invalid for an order or a length that makes no sense."""
    start = query.instant("from") or at - BEFORE
    end = query.instant("to") or start + BEFORE + AFTER
    if end <= start:
        raise wrong("to", "must be later than from")
    if end - start > LONGEST:
        raise wrong("to", f"at most {LONGEST.days} days after from")
    return start, end


class TimelineView(APIView):
    def get(self, request: Any) -> HttpResponse:
        query = Query(request, allowed=["from", "to", "group", "q", "max_items"])
        at = now()
        start, end = window(query, at)
        q = query.text("q") or ""
        if len(q) > MOST_Q_CHARS:
            raise wrong("q", f"longer than {MOST_Q_CHARS} characters")
        group = cast(Group, query.choice("group", GROUPS) or "agent")
        most = query.integer("max_items", DEFAULT_ITEMS, minimum=1, maximum=MOST_ITEMS)
        answer = timeline(start, end, group, q, most or DEFAULT_ITEMS, at)
        return orjson_response(answer)


class CapacityView(APIView):
    def get(self, request: Any) -> HttpResponse:
        query = Query(request, allowed=["from", "to", "step_s"])
        at = now()
        start, end = window(query, at)
        length_s = (end - start).total_seconds()
        least = max(int(length_s / MOST_STEPS), 1)
        step = query.integer("step_s", minimum=1, maximum=int(LONGEST.total_seconds()))
        step_s = max(step or int(length_s / DEFAULT_STEPS), least)
        return orjson_response(capacity(start, end, step_s, at))


class OverviewView(APIView):
    def get(self, request: Any) -> HttpResponse:
        Query(request)
        return orjson_response(situation.overview(now()))


class PlanView(APIView):
    """What the controller would do right now. Nothing is changed."""

    def get(self, request: Any) -> HttpResponse:
        Query(request)
        decisions = agent_scheduler.make_plan(now=now(), per_class=PLAN_PER_CLASS)
        return orjson_response(page(situation.told(decisions), None))


class NodesView(APIView):
    def get(self, request: Any) -> HttpResponse:
        Query(request)
        return orjson_response(page(situation.nodes(), None))


class NodeAction(APIView):
    """POST nodes/{name}/cordon|uncordon|drain|lost/."""

    def post(self, request: Any, name: str, action: str) -> HttpResponse:
        fields_of(request.data, allowed=[])
        who: dict[str, Any] = {"actor": request.actor, "now": now()}
        match action:
            case "cordon":
                nodes.cordon(name, True, **who)
            case "uncordon":
                draining.uncordon(name, **who)
            case "lost":
                lost_nodes.declare(name, **who)
            case _:
                draining.drain(name, **who)
        return orjson_response(situation.one_node(name))


class NodeHistory(APIView):
    """GET nodes/{name}/history/?range=1h|24h|7d: how its use went."""

    def get(self, request: Any, name: str) -> HttpResponse:
        asked = Query(request, allowed=["range"]).choice("range", node_history.RANGES)
        wanted = node_history.RANGES[asked or "1h"]
        return orjson_response(node_history.read(name, wanted, now()))


routes = [
    path("timeline/", TimelineView.as_view(), name="timeline"),
    path("capacity/", CapacityView.as_view(), name="capacity"),
    path("overview/", OverviewView.as_view(), name="overview"),
    path("plan/", PlanView.as_view(), name="plan"),
    path("nodes/", NodesView.as_view(), name="nodes"),
    path("nodes/<str:name>/history/", NodeHistory.as_view(), name="node-history"),
    *(
        path(
            f"nodes/<str:name>/{action}/",
            NodeAction.as_view(),
            {"action": action},
            name=f"node-{action}",
        )
        for action in ("cordon", "uncordon", "drain", "lost")
    ),
]
