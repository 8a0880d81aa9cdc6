"""The registry over HTTP. Views find, ask one service, and answer; no rule lives here.

Starting and stopping, and the live columns of the list, belong to the scheduler, which
may import us and not the other way round: it adds its columns through agents.listing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.urls import URLPattern, path
from django.utils.timezone import now
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents import advice, agent_registry
from agents.allowed import Rules, configured_rules, may_unsandboxed
from agents.command_line import parse_command
from agents.errors import Invalid
from agents.http import Query, fields_of, iso, page, paginate, wrong
from agents.listing import columns_of
from agents.models import ENVIRONMENTS, KINDS, Agent, AgentVersion
from agents.priority import Priority
from agents.registration import definition_of

NO_LIVE_COLUMNS = {
    **{"status": None, "next_due_at": None, "live_run": None, "restarts": 0},
    "crash_loop": None,
}


def rows(agents: Sequence[Agent]) -> list[dict[str, Any]]:
    """The agents as the list shows them, with everybody's columns."""
    further = columns_of(agents)
    return [{**_row(a), **NO_LIVE_COLUMNS, **further[a.pk]} for a in agents]


def _row(agent: Agent) -> dict[str, Any]:
    spec = agent.spec
    return {
        "agent_id": agent.agent_id,
        "kind": agent.kind,
        "exec_env": agent.exec_env,
        "priority": Priority(agent.priority).word,
        "capabilities": agent.capabilities,
        "tags": agent.tags,
        "enabled": agent.enabled,
        "held": agent.held,
        "version": agent.current.number if agent.current else None,
        "cpu_millis": spec["cpu_millis"],
        "memory_bytes": spec["memory_bytes"],
        "gpus": spec["gpus"],
        "assumed": spec["assumed"],
        "created_at": iso(agent.created_at),
        "retired_at": iso(agent.retired_at),
    }


def detail(agent: Agent) -> dict[str, Any]:
    """One agent with its definition and what there is to know about it."""
    definition = definition_of(agent.spec) | {"enabled": agent.enabled}
    return {
        **rows([agent])[0],
        "spec": agent.spec | {"enabled": agent.enabled},
        "definition": definition,
        "versions": agent.versions.count(),
        "warnings": advice.warnings_of(agent),
    }


def rights(request: Any) -> dict[str, Any]:
    """What the registry has to know about the caller."""
    role = request.kos_role
    rules: Rules = configured_rules(is_admin=role == "admin")
    return {
        "actor": request.actor,
        "now": now(),
        "may_unsandboxed": may_unsandboxed(role),
        "rules": rules,
    }


class AgentList(APIView):
    def get(self, request: Request) -> Response:
        query = Query(
            request,
            allowed=("capability", "tag", "kind", "exec_env", "enabled", "q"),
        )
        found = agent_registry.find(
            capability=query.text("capability"),
            tag=query.text("tag"),
            kind=query.choice("kind", KINDS),
            exec_env=query.choice("exec_env", ENVIRONMENTS),
            enabled=query.boolean("enabled"),
            text=query.text("q"),
        )
        agents, following = paginate(found, query, ["agent_id"])
        return Response(page(rows(agents), following, found.count()))

    def post(self, request: Request) -> Response:
        agent = agent_registry.register(request.data, **rights(request))
        return Response(detail(agent), status=201)


class AgentDetail(APIView):
    def get(self, request: Request, agent_id: str) -> Response:
        Query(request)
        return Response(detail(agent_registry.resolve(agent_id, retired_too=True)))

    def patch(self, request: Request, agent_id: str) -> Response:
        agent = agent_registry.resolve(agent_id)
        raw, base_version = _without_base_version(request.data)
        changed = agent_registry.change(
            agent, raw, base_version=base_version, **rights(request)
        )
        return Response(detail(changed))

    def delete(self, request: Any, agent_id: str) -> Response:
        agent = agent_registry.resolve(agent_id)
        agent_registry.retire(agent, actor=request.actor, now=now())
        return Response(status=204)


def _without_base_version(data: Any) -> tuple[dict[str, Any], int | None]:
    """The keys to change, and the version the caller has seen if they said."""
    if not isinstance(data, dict):
        raise Invalid("expected a JSON object with the keys to change")
    keys = {key: value for key, value in data.items() if key != "base_version"}
    base_version = data.get("base_version")
    return keys, None if base_version is None else _number(base_version, "base_version")


def _number(value: object, field: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise wrong(field, "must be the number of a version")
    return value


class Versions(APIView):
    def get(self, request: Request, agent_id: str) -> Response:
        query = Query(request)
        agent = agent_registry.resolve(agent_id, retired_too=True)
        versions, following = paginate(agent.versions.all(), query, ["-number"])
        current = agent.current.number if agent.current else None
        items = [version_row(version, current) for version in versions]
        return Response(page(items, following, agent.versions.count()))


def version_row(version: AgentVersion, current: int | None) -> dict[str, Any]:
    return {
        "number": version.number,
        "current": version.number == current,
        "created_at": iso(version.created_at),
        "created_by": version.created_by,
        "note": version.note,
        "definition": definition_of(version.spec),
    }


class Rollback(APIView):
    def post(self, request: Request, agent_id: str) -> Response:
        body = fields_of(request.data, allowed=["version"], required=["version"])
        number = _number(body["version"], "version")
        agent = agent_registry.resolve(agent_id)
        return Response(
            detail(agent_registry.rollback(agent, number, **rights(request)))
        )


class ParseCommand(APIView):
    def post(self, request: Request) -> Response:
        body = fields_of(request.data, allowed=["command"], required=["command"])
        command = parse_command(body["command"])
        return Response(
            {
                "entry_point": command.entry_point,
                "args": command.args,
                "env": command.env,
                "note": command.note,
            }
        )


class Environments(APIView):
    def get(self, request: Request) -> Response:
        Query(request)
        return Response(advice.environments())


routes: list[URLPattern] = [
    path("agents/", AgentList.as_view()),
    path("agents/parse-command/", ParseCommand.as_view()),
    path("agents/<str:agent_id>/", AgentDetail.as_view()),
    path("agents/<str:agent_id>/versions/", Versions.as_view()),
    path("agents/<str:agent_id>/rollback/", Rollback.as_view()),
    path("environments/", Environments.as_view()),
]
