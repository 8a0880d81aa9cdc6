"""Schedules and the calendar over HTTP. Views find, ask one service, and answer."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.http import Query, fields_of, instant, page, paginate
from scheduling import bulk, bulk_input, moves, previews, schedules, triggered, undo
from scheduling.bulk_input import note_of
from scheduling.models import Schedule
from scheduling.move_input import parse_bulk, parse_wish
from scheduling.schedule_input import params_of
from scheduling.schedule_shapes import shape

EDITORS = ("editor", "admin")  # may change schedules, not only single occurrences


def may_edit(request: Any) -> bool:
    return request.kos_role in EDITORS


class Schedules(APIView):
    """GET schedules/ lists those that have not ended; POST makes one."""

    def get(self, request: Request) -> Response:
        query = Query(request, allowed=("agent", "ended"))
        rows = Schedule.objects.select_related("agent", "split_from")
        rows = rows.filter(ended_at__isnull=not query.boolean("ended", False))
        if (agent := query.text("agent")) is not None:
            rows = rows.filter(agent__agent_id=agent)
        found, cursor = paginate(rows, query, ["-id"])
        return Response(page([shape(s) for s in found], cursor))

    def post(self, request: Any) -> Response:
        made = schedules.create(None, request.data, actor=request.actor, now=now())
        return Response(shape(made), status=201)


class ScheduleDetail(APIView):
    def get(self, request: Request, uid: str) -> Response:
        return Response(shape(schedules.find(uid)))

    def patch(self, request: Any, uid: str) -> Response:
        changed, token = schedules.change(
            schedules.find(uid), request.data, actor=request.actor, now=now()
        )
        return Response({**shape(changed), "undo_token": token})

    def delete(self, request: Any, uid: str) -> Response:
        found = schedules.find(uid)
        token = schedules.end(found, actor=request.actor, now=now())
        return Response({"undo_token": token})


class Pause(APIView):
    def post(self, request: Any, uid: str) -> Response:
        given = fields_of(request.data, allowed=("note", "until"))
        until = given.get("until")
        paused = schedules.pause(
            schedules.find(uid),
            actor=request.actor,
            now=now(),
            note=note_of(given.get("note")),
            until=None if until is None else instant(until, field="until"),
        )
        return Response(shape(paused))


class Resume(APIView):
    def post(self, request: Any, uid: str) -> Response:
        fields_of(request.data, allowed=())
        found = schedules.find(uid)
        resumed = schedules.resume(found, actor=request.actor, now=now())
        return Response(shape(resumed))


class Fire(APIView):
    """POST schedules/{id}/fire/ {params?}: as if what it waits for had happened."""

    def post(self, request: Any, uid: str) -> Response:
        given = fields_of(request.data, allowed=("params",))
        found = schedules.find(uid)
        params = None
        if given.get("params") is not None:
            params = params_of(given["params"])
        key = triggered.fire_by_hand(found, params, actor=request.actor, now=now())
        return Response({"occurrence": key}, 202)


class PreviewSaved(APIView):
    """GET schedules/{id}/preview/?count=&after= of a stored schedule."""

    def get(self, request: Request, uid: str) -> Response:
        query = Query(request, allowed=("count", "after"))
        count = previews.count_of(query.integer("count"))
        after = query.instant("after", now())
        found = previews.preview(schedules.find(uid), after=after or now(), count=count)
        return Response(previews.shape(found))


class PreviewUnsaved(APIView):
    """POST schedules/preview/ with a schedule that is not stored, after and count."""

    def post(self, request: Request) -> Response:
        raw, after, count = previews.parse_request(request.data, now())
        found = previews.preview_unsaved(raw, after=after, count=count, now=now())
        return Response(previews.shape(found))


class Move(APIView):
    """POST occurrences/{id}/move/: drag and drop, or only what it would do."""

    def post(self, request: Any, occurrence_id: str) -> Response:
        answer = moves.move(
            occurrence_id,
            parse_wish(request.data),
            actor=request.actor,
            now=now(),
            may_edit=may_edit(request),
        )
        return Response(answer)


class UndoChange(APIView):
    def post(self, request: Any, token: str) -> Response:
        fields_of(request.data, allowed=())
        restored = undo.undo_all(
            token, actor=request.actor, now=now(), may_edit=may_edit(request)
        )
        shapes = [shape(row) for row in restored]
        return Response({**shapes[0], "undone": len(shapes), "schedules": shapes})


class BulkMove(APIView):
    def post(self, request: Any) -> Response:
        ids, shift_s = parse_bulk(request.data)
        done = moves.shift_many(ids, shift_s, actor=request.actor, now=now())
        return Response(done)


class BulkSchedules(APIView):
    """POST bulk/schedules/: shift, pause, resume or re-prioritise many, or none."""

    def post(self, request: Any) -> Response:
        done = bulk.act(
            bulk_input.parse(request.data),
            actor=request.actor,
            now=now(),
            may_edit=may_edit(request),
        )
        return Response(done)


routes: list[URLPattern] = [
    path("schedules/", Schedules.as_view()),
    path("schedules/preview/", PreviewUnsaved.as_view()),
    path("schedules/<str:uid>/", ScheduleDetail.as_view()),
    path("schedules/<str:uid>/pause/", Pause.as_view()),
    path("schedules/<str:uid>/resume/", Resume.as_view()),
    path("schedules/<str:uid>/fire/", Fire.as_view()),
    path("schedules/<str:uid>/preview/", PreviewSaved.as_view()),
    path("occurrences/<str:occurrence_id>/move/", Move.as_view()),
    path("undo/<str:token>/", UndoChange.as_view()),
    path("bulk/move/", BulkMove.as_view()),
    path("bulk/schedules/", BulkSchedules.as_view()),
]
