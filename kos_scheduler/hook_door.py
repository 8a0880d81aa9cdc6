"""Where webhooks come in: no session and no token, the signature is the proof.

Whoever cannot sign learns nothing: an unknown hook, a wrong signature, an old
timestamp and a hook that is switched off are answered alike.
"""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.timezone import now  # noqa: TID251 - entry point
from django.views.decorators.csrf import csrf_exempt

from agents import live_config
from agents.errors import Invalid
from agents.http import orjson_response
from kos_scheduler import rates, strict_json
from kos_scheduler.api_errors import answer
from kos_scheduler.rates import Rate
from scheduling import inbound
from scheduling.standard_webhooks import NotSigned

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
WRONG = Rate("hook-wrong", limit=120, window_s=60)  # of one address: cannot sign


@csrf_exempt
def receive(request: HttpRequest, uid: str) -> HttpResponse:
    """POST hooks/{uid}/: 202 {accepted, id, fired}, and the same for a replay."""
    at = now()
    address = request.META.get("REMOTE_ADDR", "")
    if wait_s := rates.wait_s(WRONG, address, now_s=at.timestamp()):
        return too_many("too many messages that were not signed", wait_s)
    headers = {name: request.headers.get(name, "") for name in HEADERS}
    try:
        hook = inbound.verified(uid, headers, request.body, now=at)
    except NotSigned:
        rates.count(WRONG, address, now_s=at.timestamp())
        return answer("unauthorized", "the message is not signed as it must be")
    calls = live_config.current().events.hook_calls_per_minute
    rate = Rate("hook", limit=calls, window_s=60)
    if wait_s := rates.wait_s(rate, hook.uid, now_s=at.timestamp()):
        return too_many(f"more than {calls} messages a minute", wait_s)
    rates.count(rate, hook.uid, now_s=at.timestamp())
    try:
        body = request.body
        payload = strict_json.parse(body) if body.strip() else {}
        delivery = inbound.accept(
            hook, headers["webhook-id"], payload, size=len(body), now=at
        )
    except Invalid as error:
        return answer("invalid", str(error), error.fields or None)
    told = {"accepted": True, "id": delivery.message_id, "fired": delivery.fired}
    return orjson_response(told, 202)


def too_many(said: str, wait_s: int) -> HttpResponse:
    return answer("too_many", said, headers={"Retry-After": str(wait_s)})


routes = [path("hooks/<str:uid>/", receive)]
