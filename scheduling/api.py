"""Runs over HTTP: read, start, stop, retry, signal. Views find and call, no more."""

from __future__ import annotations

import signal as signals
from typing import Any

from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now
from rest_framework.response import Response
from rest_framework.views import APIView

from agents import agent_registry
from agents.errors import NotFound
from agents.http import (
    Query,
    fields_of,
    orjson_response,
    wrong,
)
from agents.models import Agent
from scheduling import (
    agent_control,
    deliveries,
    nodes,
    phases,
    queries,
    run_list,
    run_story,
    runs,
)
from scheduling.models import Run
from scheduling.spawning import SPAWN_FIELDS, spawn

TOLD_OF_ONE = ("result", "params", "devices", "ports", "rung", "reclaimed_bytes")
SIGNALS = {s.name for s in signals.Signals} - {"SIGSTOP", "SIGCONT"}


def find(uid: str) -> Run:
    known = Run.objects.select_related("agent", "version", "node")
    run = known.filter(uid=uid).first()
    if run is None:
        raise NotFound(f"no run {uid[:40]!r}")
    return run


def told(uid: str, status: int = 200) -> HttpResponse:
    """The run as it is now, with its result, its parameters and what it was given."""
    columns = (*queries.RUN_COLUMNS, *TOLD_OF_ONE)
    row = Run.objects.values(*columns).get(uid=uid)
    body = {
        **queries.run_row(row),
        "result": row["result"],
        "params": row["params"],
        "rung": row["rung"] or None,
        "reclaimed_bytes": row["reclaimed_bytes"],
        "phases": phases.of_run(uid),
        "deliveries": deliveries.of_run(uid),
        "devices": row["devices"] or [],
        "ports": row["ports"] or {},
    }
    return orjson_response(body, status)


class OneRun(APIView):
    def get(self, request: Any, uid: str) -> HttpResponse:
        Query(request)
        return told(find(uid).uid)


class StopRun(APIView):
    def post(self, request: Any, uid: str) -> HttpResponse:
        body = fields_of(request.data, allowed=["grace_s"])
        grace_s = body.get("grace_s")
        if grace_s is not None and (
            isinstance(grace_s, bool)
            or not isinstance(grace_s, int | float)
            or not 0 <= grace_s <= 3600
        ):
            raise wrong("grace_s", "expected seconds from 0 to 3600")
        runs.stop(find(uid), actor=request.actor, now=now(), grace_s=grace_s)
        return told(uid)


class RetryRun(APIView):
    def post(self, request: Any, uid: str) -> HttpResponse:
        fields_of(request.data, allowed=[])
        fresh = runs.retry(find(uid), actor=request.actor, now=now())
        return told(fresh.uid, 201)


class SignalRun(APIView):
    def post(self, request: Any, uid: str) -> Response:
        body = fields_of(request.data, allowed=["signal"], required=["signal"])
        name = body["signal"]
        if not isinstance(name, str) or name not in SIGNALS:
            raise wrong("signal", f"expected one of {', '.join(sorted(SIGNALS))}")
        number = int(signals.Signals[name])
        nodes.send_signal(find(uid), number, actor=request.actor, now=now())
        return Response({"sent": name}, 202)


class RunResult(APIView):
    def get(self, request: Any, uid: str) -> HttpResponse:
        Query(request)
        return orjson_response(find(uid).result)


class Spawn(APIView):
    """POST spawn/: {agent, params?, count?, priority?, at?, node?, gang?} -> 202."""

    def post(self, request: Any) -> Response:
        body = fields_of(request.data, allowed=SPAWN_FIELDS, required=["agent"])
        started = spawn(body, actor=request.actor, now=now())
        return Response({"runs": [run.uid for run in started]}, 202)


class AgentAction(APIView):
    """POST agents/{id}/start|stop|restart|reset/."""

    def post(self, request: Any, agent_id: str, action: str) -> HttpResponse:
        agent = agent_registry.resolve(agent_id)
        body = fields_of(
            request.data, allowed=["params", "priority"] if action == "start" else []
        )
        does = {"start": self.start, "stop": self.stop}
        does |= {"restart": self.restart, "reset": self.reset}
        act = does[action]
        return act(agent, body, request.actor)

    def start(self, agent: Agent, body: dict[str, Any], actor: str) -> HttpResponse:
        if agent.kind == "persistent" and not body:
            run = agent_control.start_agent(agent, actor=actor, now=now())
        else:
            run = spawn({**body, "agent": agent.agent_id}, actor=actor, now=now())[0]
        return told(run.uid, 202)

    def stop(self, agent: Agent, body: dict[str, Any], actor: str) -> HttpResponse:
        stopped = agent_control.stop_agent(agent, actor=actor, now=now())
        return orjson_response({"stopping": [run.uid for run in stopped]}, 202)

    def restart(self, agent: Agent, body: dict[str, Any], actor: str) -> HttpResponse:
        run = agent_control.restart_agent(agent, actor=actor, now=now())
        return orjson_response({"run": run.uid if run else None}, 202)

    def reset(self, agent: Agent, body: dict[str, Any], actor: str) -> HttpResponse:
        run = agent_control.reset_agent(agent, actor=actor, now=now())
        return told(run.uid, 202)


ACTION = "agents/<str:agent_id>/{}/"
routes = [
    *run_list.routes,
    *run_story.routes,
    path("runs/<str:uid>/", OneRun.as_view(), name="run"),
    path("runs/<str:uid>/stop/", StopRun.as_view(), name="run-stop"),
    path("runs/<str:uid>/retry/", RetryRun.as_view(), name="run-retry"),
    path("runs/<str:uid>/signal/", SignalRun.as_view(), name="run-signal"),
    path("runs/<str:uid>/result/", RunResult.as_view(), name="run-result"),
    path("spawn/", Spawn.as_view(), name="spawn"),
    *(
        path(
            ACTION.format(action),
            AgentAction.as_view(),
            {"action": action},
            name=f"agent-{action}",
        )
        for action in ("start", "stop", "restart", "reset")
    ),
]
