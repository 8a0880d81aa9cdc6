"""Calendars over HTTP: named sets of days. Views find, ask the service, and answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from django.urls import URLPattern, path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.errors import NotFound
from agents.http import Query, iso
from scheduling import calendars
from scheduling.calendar_days import BUILT_IN
from scheduling.calendar_models import Calendar


class Calendars(APIView):
    """GET calendars/ lists all, the built-in ones first; POST makes one."""

    def get(self, request: Request) -> Response:
        Query(request)
        uses = calendars.uses()
        items = [built_in(name, uses) for name in BUILT_IN]
        items += [shape(row, uses) for row in Calendar.objects.order_by("name")]
        return Response({"items": items, "next": None})

    def post(self, request: Any) -> Response:
        made = calendars.create(request.data, actor=request.actor, now=now())
        return Response(whole(made), status=201)


class CalendarDetail(APIView):
    def get(self, request: Request, name: str) -> Response:
        Query(request)
        if name in BUILT_IN:
            return Response(built_in(name, calendars.uses()))
        return Response(whole(calendars.find(name)))

    def put(self, request: Any, name: str) -> Response:
        refuse_built_in(name)
        changed = calendars.replace(name, request.data, actor=request.actor, now=now())
        return Response(whole(changed))

    def delete(self, request: Any, name: str) -> Response:
        refuse_built_in(name)
        calendars.delete(name, actor=request.actor, now=now())
        return Response(status=204)


def refuse_built_in(name: str) -> None:
    if name in BUILT_IN:
        raise NotFound(f"{name} is built in; it cannot be changed")


def today() -> date:
    """By the server's zone, which is what people there call today."""
    from django.utils import timezone

    return timezone.localtime(now(), timezone.get_default_timezone()).date()


def built_in(name: str, uses: Mapping[str, int]) -> dict[str, Any]:
    return {
        "name": name,
        "title": BUILT_IN[name],
        "built_in": True,
        "next_days": days(calendars.next_days(name, today())),
        "schedules": uses.get(name, 0),
    }


def shape(row: Calendar, uses: Mapping[str, int]) -> dict[str, Any]:
    return {
        "name": row.name,
        "title": row.title,
        "built_in": False,
        "sizes": calendars.sizes(row.content),
        "next_days": days(calendars.next_days(row.name, today())),
        "schedules": uses.get(row.name, 0),
        "version": row.version,
        "changed_at": iso(row.changed_at),
        "changed_by": row.changed_by,
    }


def whole(row: Calendar) -> dict[str, Any]:
    """With its content, in the form that POST and PUT take."""
    return {**shape(row, calendars.uses()), **calendars.as_sent(row.content)}


def days(found: Iterable[date]) -> list[str]:
    return [day.isoformat() for day in found]


routes: list[URLPattern] = [
    path("calendars/", Calendars.as_view()),
    path("calendars/<str:name>/", CalendarDetail.as_view()),
]
