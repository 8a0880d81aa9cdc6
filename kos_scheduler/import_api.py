"""Looking at a definition of another system before it becomes an agent, over HTTP."""

from __future__ import annotations

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.http import fields_of, page
from kos_scheduler.compose_import import FIELD, services_of


class Import(APIView):
    """POST agents/import/: {compose} -> registrations to look at; stores nothing."""

    def post(self, request: Request) -> Response:
        body = fields_of(request.data, allowed=[FIELD], required=[FIELD])
        return Response(page(services_of(body[FIELD]), None))


routes = [path("agents/import/", Import.as_view())]
