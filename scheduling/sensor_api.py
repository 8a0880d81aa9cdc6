"""Sensors and conditions over HTTP. Views find, ask one service, and answer."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.http import Query, fields_of, instant, iso, orjson_response, page, paginate
from scheduling import mqtt_state, sensors
from scheduling.conditions import check
from scheduling.sensor_models import SOURCES, Reading, Sensor


class Sensors(APIView):
    """GET sensors/ lists them by name; POST makes one."""

    def get(self, request: Request) -> Response:
        query = Query(request, allowed=("source", "parent"))
        rows = Sensor.objects.select_related("parent")
        if source := query.choice("source", SOURCES):
            rows = rows.filter(source=source)
        if parent := query.text("parent"):
            rows = rows.filter(parent__name=parent)
        found, cursor = paginate(rows, query, ["name"])
        at = now()
        return Response(page([sensors.shape(s, at) for s in found], cursor))

    def post(self, request: Any) -> Response:
        made = sensors.create(request.data, actor=request.actor, now=now())
        return Response(sensors.shape(made, now()), status=201)


class OneSensor(APIView):
    def get(self, request: Request, name: str) -> Response:
        Query(request)
        return Response(sensors.shape(sensors.find(name), now()))

    def patch(self, request: Any, name: str) -> Response:
        found = sensors.find(name)
        changed = sensors.change(found, request.data, actor=request.actor, now=now())
        return Response(sensors.shape(changed, now()))

    def delete(self, request: Any, name: str) -> Response:
        sensors.delete(sensors.find(name), actor=request.actor, now=now())
        return Response(status=204)


class SensorValue(APIView):
    """POST sensors/{name}/value/: {value, at?}."""

    def post(self, request: Any, name: str) -> Response:
        given = fields_of(request.data, allowed=("value", "at"), required=("value",))
        at = given.get("at")
        moment = now()
        changed = sensors.set_value(
            sensors.find(name),
            given["value"],
            at=None if at is None else instant(at, field="at"),
            now=moment,
        )
        return Response(sensors.shape(changed, moment))


class Readings(APIView):
    """GET sensors/{name}/readings/: the newest first."""

    def get(self, request: Request, name: str) -> HttpResponse:
        query = Query(request)
        rows = Reading.objects.filter(sensor=sensors.find(name))
        columns = rows.values("id", "at", "value", "retained")
        found, cursor = paginate(columns, query, ["-id"])
        items = [
            {"at": iso(r["at"]), "value": r["value"], "retained": r["retained"]}
            for r in found
        ]
        return orjson_response(page(items, cursor))


class Broker(APIView):
    """GET mqtt/: whether the broker is reached."""

    def get(self, request: Request) -> Response:
        Query(request)
        return Response(mqtt_state.read())


class TestCondition(APIView):
    """POST conditions/test/: {condition, values?} -> {level, used, error, human}."""

    def post(self, request: Request) -> Response:
        given = fields_of(
            request.data, allowed=("condition", "values"), required=("condition",)
        )
        return Response(check.dry_run(given, now=now()))


routes: list[URLPattern] = [
    path("sensors/", Sensors.as_view()),
    path("sensors/<str:name>/", OneSensor.as_view()),
    path("sensors/<str:name>/value/", SensorValue.as_view()),
    path("sensors/<str:name>/readings/", Readings.as_view()),
    path("mqtt/", Broker.as_view()),
    path("conditions/test/", TestCondition.as_view()),
]
