"""The calendar's grids over HTTP: days with their runs, and a year of days."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - views read the clock
from rest_framework.views import APIView

from agents.http import Query, orjson_response, wrong
from scheduling.day_grid import day_grid
from scheduling.schedule_input import zones
from scheduling.timeline import Asked
from scheduling.timeline_api import MOST_Q_CHARS, window
from scheduling.year_days import year_days, year_now

DEFAULT_ITEMS, MOST_ITEMS = 500, 2000
DEFAULT_SINGLY, MOST_SINGLY = 12, 500  # runs of an agent on one day, one by one
FIRST_YEAR, LAST_YEAR = 1971, 2999


def zone_of(query: Query) -> ZoneInfo:
    name = query.text("timezone") or "UTC"
    if name not in zones():
        raise wrong("timezone", 'expected the name of a zone, e.g. "Europe/Berlin"')
    return ZoneInfo(name)


def words_of(query: Query) -> str:
    q = query.text("q") or ""
    if len(q) > MOST_Q_CHARS:
        raise wrong("q", f"longer than {MOST_Q_CHARS} characters")
    return q


class GridView(APIView):
    def get(self, request: Any) -> HttpResponse:
        names = ["from", "to", "timezone", "q", "max_items", "singly"]
        query = Query(request, allowed=names)
        at = now()
        start, end = window(query, at)
        most = query.integer("max_items", DEFAULT_ITEMS, minimum=1, maximum=MOST_ITEMS)
        singly = query.integer("singly", DEFAULT_SINGLY, minimum=1, maximum=MOST_SINGLY)
        asked = Asked(start, end, "agent", words_of(query), most or DEFAULT_ITEMS)
        zone = zone_of(query)
        return orjson_response(day_grid(asked, zone, singly or DEFAULT_SINGLY, at))


class DaysView(APIView):
    def get(self, request: Any) -> HttpResponse:
        query = Query(request, allowed=["year", "timezone", "q"])
        at, zone = now(), zone_of(query)
        year = query.integer("year", minimum=FIRST_YEAR, maximum=LAST_YEAR)
        return orjson_response(
            year_days(year or year_now(zone, at), zone, words_of(query), at)
        )


routes = [
    path("timeline/grid/", GridView.as_view(), name="timeline-grid"),
    path("timeline/days/", DaysView.as_view(), name="timeline-days"),
]
