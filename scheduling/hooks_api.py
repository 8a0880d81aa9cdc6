"""Hooks over HTTP, for those who keep them: make, rotate, switch off, look, try.

What calls a hook comes in by another door, kos_scheduler/hook_door.py.
"""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import orjson
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.http import Query, fields_of, iso, page, paginate, wrong
from agents.quantities import QuantityError, parse_duration
from scheduling import inbound
from scheduling.webhook_models import Hook, HookDelivery

LONGEST_OVERLAP_S = 30 * 86_400.0  # both secrets hold for at most so long


def shown(hook: Hook) -> dict[str, Any]:
    return {
        "id": hook.uid,
        "name": hook.name,
        "url": f"/api/v1/hooks/{hook.uid}/",
        "enabled": hook.enabled,
        "received": hook.received,
        "refused": hook.refused,
        "last_received_at": iso(hook.last_received_at),
        "last_refused_at": iso(hook.last_refused_at),
        "last_refusal": hook.last_refusal or None,
        "old_secret_until": iso(hook.previous_until),
        "schedules": [row.uid for row in inbound.schedules_of(hook)],
        "created_at": iso(hook.created_at),
        "created_by": hook.created_by,
    }


def delivery_shown(one: HookDelivery) -> dict[str, Any]:
    return {
        "message_id": one.message_id,
        "received_at": iso(one.received_at),
        "bytes": one.size,
        "fired": one.fired,
        "replays": one.replays,
    }


class Hooks(APIView):
    """GET hooks/; POST hooks/ {name} answers with the secret, this once."""

    def get(self, request: Any) -> Response:
        found, cursor = paginate(Hook.objects.all(), Query(request), ["name"])
        return Response(page([shown(one) for one in found], cursor))

    def post(self, request: Any) -> Response:
        body = fields_of(request.data, allowed=["name"], required=["name"])
        hook, secret = inbound.create(body["name"], actor=request.actor, now=now())
        return Response({**shown(hook), "secret": secret}, 201)


class HookSettings(APIView):
    def get(self, request: Any, uid: str) -> Response:
        Query(request)
        return Response(shown(inbound.find(uid)))

    def patch(self, request: Any, uid: str) -> Response:
        body = fields_of(request.data, allowed=["enabled"], required=["enabled"])
        enabled = body["enabled"]
        if not isinstance(enabled, bool):
            raise wrong("enabled", "expected true or false")
        hook = inbound.switch(uid, enabled, actor=request.actor, now=now())
        return Response(shown(hook))

    def delete(self, request: Any, uid: str) -> Response:
        inbound.delete(uid, actor=request.actor, now=now())
        return Response(status=204)


class RotateHook(APIView):
    """POST {keep_old?}: a new secret; the old one holds a day longer, or as said."""

    def post(self, request: Any, uid: str) -> Response:
        body = fields_of(request.data, allowed=["keep_old"])
        keep = body.get("keep_old", inbound.OLD_SECRET_FOR_S)
        try:
            keep_s = parse_duration(keep, least_s=0, most_s=LONGEST_OVERLAP_S)
        except QuantityError as error:
            raise wrong("keep_old", str(error)) from None
        hook, secret = inbound.rotate(
            uid, actor=request.actor, now=now(), keep_old_s=keep_s
        )
        return Response({**shown(hook), "secret": secret})


class TestHook(APIView):
    """POST {body?}: as if a signed message with this body had come."""

    def post(self, request: Any, uid: str) -> Response:
        given = fields_of(request.data, allowed=["body"])
        payload = given.get("body", {})
        size = len(orjson.dumps(payload))
        message = f"test-{uuid4().hex}"
        delivery = inbound.accept(
            inbound.find(uid), message, payload, size=size, now=now()
        )
        return Response(delivery_shown(delivery), 202)


class HookDeliveries(APIView):
    def get(self, request: Any, uid: str) -> Response:
        rows = HookDelivery.objects.filter(hook=inbound.find(uid))
        found, cursor = paginate(rows, Query(request), ["-id"])
        return Response(page([delivery_shown(one) for one in found], cursor))


routes = [
    path("hooks/", Hooks.as_view()),
    path("hooks/<str:uid>/settings/", HookSettings.as_view()),
    path("hooks/<str:uid>/rotate/", RotateHook.as_view()),
    path("hooks/<str:uid>/test/", TestHook.as_view()),
    path("hooks/<str:uid>/deliveries/", HookDeliveries.as_view()),
]
