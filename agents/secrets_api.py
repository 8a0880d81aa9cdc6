"""Secrets over HTTP: names and times. A value goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from agents import secret_store
from agents.http import Query, fields_of, iso, page, paginate
from agents.models import Secret


def shown(secret: Secret) -> dict[str, Any]:
    return {
        "name": secret.name,
        "created_at": iso(secret.created_at),
        "created_by": secret.created_by,
        "changed_at": iso(secret.changed_at),
        "changed_by": secret.changed_by,
        "last_used_at": iso(secret.last_used_at),
    }


class Secrets(APIView):
    def get(self, request: Request) -> Response:
        query = Query(request)
        found, following = paginate(Secret.objects.all(), query, ["name"])
        return Response(page([shown(one) for one in found], following))


class OneSecret(APIView):
    def put(self, request: Request, name: str) -> Response:
        body = fields_of(request.data, allowed=["value"], required=["value"])
        actor = str(getattr(request, "actor", ""))
        secret, created = secret_store.put(name, body["value"], actor=actor, now=now())
        return Response(shown(secret), 201 if created else 200)

    def delete(self, request: Request, name: str) -> Response:
        actor = str(getattr(request, "actor", ""))
        secret_store.delete(name, actor=actor, now=now())
        return Response(status=204)


routes = [
    path("secrets/", Secrets.as_view()),
    path("secrets/<str:name>/", OneSecret.as_view()),
]
