"""Voice over HTTP: an utterance in, what will happen out, and its confirmation."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - entry point
from rest_framework.response import Response
from rest_framework.views import APIView

from agents.http import fields_of, wrong
from scheduling import voice_acts
from scheduling.schedule_input import zones


class Voice(APIView):
    """POST voice/ {text, timezone?} tells what will happen, with a token; POST voice/
    {confirm: token} does it. {text, confirm: true} starts or stops at once."""

    def post(self, request: Any) -> Response:
        given = fields_of(request.data, allowed=("text", "confirm", "timezone"))
        text, token = given.get("text"), given.get("confirm")
        who = voice_acts.Speaker(request.actor, request.kos_role, zone_of(given))
        moment = now()
        if isinstance(token, str):
            return Response(voice_acts.confirm(token, who, now=moment))
        if token not in (None, False, True):
            raise wrong("confirm", "expected the token of an answer, or true")
        if not isinstance(text, str) or not text.strip():
            raise wrong("text", "expected what was said")
        understood = voice_acts.hear(text, who, now=moment)
        told = voice_acts.answer(understood, who, now=moment, at_once=token is True)
        return Response(told)


def zone_of(given: dict[str, Any]) -> ZoneInfo:
    name = given.get("timezone") or settings.TIME_ZONE
    if not isinstance(name, str) or name not in zones():
        raise wrong("timezone", 'expected a zone such as "Europe/Berlin"')
    return ZoneInfo(name)


routes = [path("voice/", Voice.as_view())]
