"""Backfills over HTTP: begin one, watch it, call it off."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.http import Query, fields_of, iso, page, paginate
from scheduling import backfills, schedules
from scheduling.models import Backfill
from scheduling.run_state import FINAL


def shape(row: Backfill) -> dict[str, Any]:
    return {
        "uid": row.uid,
        "schedule": row.schedule.uid,
        "agent": row.schedule.agent.agent_id,
        "from": iso(row.from_at),
        "to": iso(row.to_at),
        "order": "newest" if row.newest_first else "oldest",
        "concurrency": row.concurrency,
        "rerun": row.rerun,
        "params": row.params,
        "state": row.state,
        "reason": row.reason,
        "total": len(row.keys),
        "taken": row.position,
        "passed": row.passed,
        "made_by": row.made_by,
        "made_at": iso(row.made_at),
        "ended_at": iso(row.ended_at),
    }


def whole(row: Backfill) -> dict[str, Any]:
    """With what became of its runs."""
    states = backfills.states_of(row)
    live = sum(count for state, count in states.items() if state not in FINAL)
    return {
        **shape(row),
        "done": row.position - live,
        "live": live,
        "states": dict(states),
    }


class BeginBackfill(APIView):
    """POST schedules/{id}/backfill/: {from, to, concurrency?, order?, params?, rerun?,
    dry_run?}."""

    def post(self, request: Any, uid: str) -> Response:
        schedule = schedules.find(uid)
        wish = backfills.parse_wish(request.data)
        if wish.dry_run:
            found = backfills.look(schedule, wish)
            ends = found.keys[:1] + found.keys[-1:]
            answer = {
                "count": len(found.keys),
                "first": f"{schedule.uid}@{ends[0]}" if ends else None,
                "last": f"{schedule.uid}@{ends[-1]}" if ends else None,
                "already_run": found.already_run,
                "planned": found.planned,
            }
            return Response(answer)
        made = backfills.create(schedule, wish, actor=request.actor, now=now())
        return Response(whole(made), status=201)


class Backfills(APIView):
    """GET backfills/: newest first."""

    def get(self, request: Request) -> Response:
        query = Query(request, allowed=("schedule", "state"))
        rows = Backfill.objects.select_related("schedule__agent")
        if (schedule := query.text("schedule")) is not None:
            rows = rows.filter(schedule__uid=schedule)
        if states := query.choices("state", ("running", "done", "cancelled")):
            rows = rows.filter(state__in=states)
        found, cursor = paginate(rows, query, ["-id"])
        return Response(page([shape(row) for row in found], cursor))


class OneBackfill(APIView):
    def get(self, request: Request, uid: str) -> Response:
        Query(request)
        return Response(whole(backfills.find(uid)))


class CancelBackfill(APIView):
    def post(self, request: Any, uid: str) -> Response:
        fields_of(request.data, allowed=())
        ended = backfills.cancel(uid, actor=request.actor, now=now())
        return Response(whole(ended))


routes: list[URLPattern] = [
    path("schedules/<str:uid>/backfill/", BeginBackfill.as_view(), name="backfill"),
    path("backfills/", Backfills.as_view(), name="backfills"),
    path("backfills/<str:uid>/", OneBackfill.as_view(), name="one-backfill"),
    path("backfills/<str:uid>/cancel/", CancelBackfill.as_view(), name="cancel-fill"),
]
