"""Graphs and their runs over HTTP. Views find, ask one service, and answer."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from django.utils.timezone import now  # noqa: TID251 - entry point
from pydantic import TypeAdapter, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.allowed import configured_rules
from agents.http import Query, fields_of, page, paginate, wrong
from scheduling import agent_graph, agent_graph_edits, graph_runs, graph_shapes, graphs
from scheduling.models import Graph, GraphRun
from scheduling.schedule_input import Params, sentence

PARAMS: TypeAdapter[dict[str, Any]] = TypeAdapter(Params)
STATES = ("running", "succeeded", "failed", "cancelled")


def params_in(body: dict[str, Any]) -> dict[str, Any]:
    """Raises Invalid."""
    try:
        return PARAMS.validate_python(body.get("params") or {})
    except ValidationError as error:
        raise wrong("params", sentence(error.errors()[0])) from None


class Graphs(APIView):
    """GET graphs/ lists them by name; POST makes one."""

    def get(self, request: Request) -> Response:
        found, cursor = paginate(Graph.objects.all(), Query(request), ["name"])
        at = now()
        return Response(page([graph_shapes.graph(row, at) for row in found], cursor))

    def post(self, request: Any) -> Response:
        at = now()
        made = graphs.create(request.data, actor=request.actor, now=at)
        return Response(graph_shapes.graph(made, at), status=201)


class OneGraph(APIView):
    def get(self, request: Request, name: str) -> Response:
        Query(request)
        return Response(graph_shapes.graph(graphs.find(name), now()))

    def patch(self, request: Any, name: str) -> Response:
        at = now()
        changed = graphs.change(name, request.data, actor=request.actor, now=at)
        return Response(graph_shapes.graph(changed, at))

    def delete(self, request: Any, name: str) -> Response:
        graphs.delete(name, actor=request.actor, now=now())
        return Response(status=204)


class StartGraph(APIView):
    """POST graphs/{name}/start/: {params?} -> 202 and the graph's run."""

    def post(self, request: Any, name: str) -> Response:
        at, body = now(), fields_of(request.data, allowed=("params",))
        graph, params = graphs.find(name), params_in(body)
        made = graph_runs.start(graph, params=params, actor=request.actor, now=at)
        return Response(graph_shapes.graph_run(made, at), status=202)


class GraphRuns(APIView):
    """GET graph-runs/: newest first."""

    def get(self, request: Request) -> Response:
        query = Query(request, allowed=("graph", "state"))
        rows = GraphRun.objects.all()
        if (name := query.text("graph")) is not None:
            rows = rows.filter(name=name)
        if states := query.choices("state", STATES):
            rows = rows.filter(state__in=states)
        found, cursor = paginate(rows, query, ["-id"])
        counts = graph_shapes.counts_of(found)
        items = [graph_shapes.summary(row, counts.get(row.pk, {})) for row in found]
        return Response(page(items, cursor))


class OneGraphRun(APIView):
    def get(self, request: Request, uid: str) -> Response:
        Query(request)
        return Response(graph_shapes.graph_run(graph_runs.find(uid), now()))


class GraphRunAction(APIView):
    """POST graph-runs/{uid}/cancel|retry/."""

    def post(self, request: Any, uid: str, action: str) -> Response:
        fields_of(request.data, allowed=())
        act = {"cancel": graph_runs.cancel, "retry": graph_runs.retry}[action]
        at = now()
        changed = act(uid, actor=request.actor, now=at)
        return Response(graph_shapes.graph_run(changed, at), status=202)


class AgentGraph(APIView):
    """GET agents/graph/: agents and graphs, and what leads from one to another."""

    def get(self, request: Request) -> Response:
        Query(request)
        return Response(agent_graph.read(now()))


def rights(request: Any) -> dict[str, Any]:
    """An edge changes nothing of what a program is or may do, so that an editor may
    draw it between agents which only an admin may define."""
    rules = configured_rules(is_admin=True)
    own = {"actor": request.actor, "now": now()}
    return own | {"may_unsandboxed": True, "rules": rules}


class AgentEdges(APIView):
    """POST agents/graph/edges/ makes an edge; DELETE, asked by query, takes it away."""

    def post(self, request: Any) -> Response:
        wish = agent_graph_edits.parse(request.data)
        return Response(agent_graph_edits.edit(wish, add=True, rights=rights(request)))

    def delete(self, request: Any) -> Response:
        query = Query(request, allowed=agent_graph_edits.KEYS)
        given = {
            **{name: query.text(name) for name in ("from", "to", "kind", "on")},
            "base_version": query.integer("base_version"),
            "dry_run": query.boolean("dry_run"),
        }
        stated = {name: value for name, value in given.items() if value is not None}
        wish = agent_graph_edits.parse(stated)
        return Response(agent_graph_edits.edit(wish, add=False, rights=rights(request)))


routes: list[URLPattern] = [
    path("agents/graph/", AgentGraph.as_view(), name="agent-graph"),
    path("agents/graph/edges/", AgentEdges.as_view(), name="agent-edges"),
    path("graphs/", Graphs.as_view(), name="graphs"),
    path("graphs/<str:name>/", OneGraph.as_view(), name="graph"),
    path("graphs/<str:name>/start/", StartGraph.as_view(), name="graph-start"),
    path("graph-runs/", GraphRuns.as_view(), name="graph-runs"),
    path("graph-runs/<str:uid>/", OneGraphRun.as_view(), name="graph-run"),
    *(
        path(
            f"graph-runs/<str:uid>/{action}/",
            GraphRunAction.as_view(),
            {"action": action},
            name=f"graph-run-{action}",
        )
        for action in ("cancel", "retry")
    ),
]
