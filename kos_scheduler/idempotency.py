"""Idempotency-Key: a POST that creates, sent twice, happens once.

The change and its stored answer are one transaction, so a crash leaves both or
neither, and of two that come at once the second waits for the first and gets its
answer. Refusals are not kept: what was refused may be sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.timezone import now as clock  # noqa: TID251 - entry point

from kos_scheduler.api_errors import answer
from kos_scheduler.edge import body_limit
from kos_scheduler.models import IdempotentAnswer

KEPT = timedelta(hours=24)
MAX_KEY_CHARS = 255


class IdempotencyMiddleware:
    """Last in the list: it calls the view itself, inside the transaction."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        key = request.META.get("HTTP_IDEMPOTENCY_KEY")
        if key is None or request.method != "POST":
            return None
        if not 0 < len(key) <= MAX_KEY_CHARS or not (
            key.isascii() and key.isprintable()
        ):
            said = f"1 to {MAX_KEY_CHARS} printable ASCII characters"
            return answer("invalid", f"Idempotency-Key: expected {said}")
        try:
            body_digest = hashlib.sha256(request.body).hexdigest()
        except RequestDataTooBig:
            return answer("too_large", body_limit())
        digest = key_digest(request, key)
        now = clock()

        def call() -> HttpResponseBase:
            return rendered(view(request, *args, **kwargs))

        return once(digest, body_digest, call, now)


def key_digest(request: HttpRequest, key: str) -> str:
    parts = "\n".join((str(getattr(request, "actor", "")), request.path, key))
    return hashlib.sha256(parts.encode()).hexdigest()


def once(
    digest: str, body_digest: str, call: Callable[[], HttpResponseBase], now: datetime
) -> HttpResponseBase:
    """Call and keep the answer, or give the kept one."""
    IdempotentAnswer.objects.filter(made_at__lt=now - KEPT).delete()
    try:
        with transaction.atomic():
            kept = IdempotentAnswer.objects.create(
                key_digest=digest, body_digest=body_digest, made_at=now
            )
            response = call()
            if response.status_code >= 400:
                transaction.set_rollback(True)
                return response
            keep(kept, response)
            return response
    except IntegrityError:
        earlier = IdempotentAnswer.objects.filter(key_digest=digest).first()
        if earlier is None:
            raise
        return again(earlier, body_digest)


def keep(kept: IdempotentAnswer, response: HttpResponseBase) -> None:
    kept.status = response.status_code
    kept.content_type = response.get("Content-Type", "")
    kept.body = getattr(response, "content", b"")
    kept.save(update_fields=["status", "content_type", "body"])


def again(earlier: IdempotentAnswer, body_digest: str) -> HttpResponse:
    if earlier.body_digest != body_digest:
        return answer(
            "already_exists", "this Idempotency-Key was used with another body"
        )
    response = HttpResponse(
        bytes(earlier.body), status=earlier.status, content_type=earlier.content_type
    )
    response["Idempotent-Replay"] = "true"
    return response


def rendered(response: HttpResponseBase) -> HttpResponseBase:
    """DRF's responses are written late; ours is kept, so it is written now."""
    render = getattr(response, "render", None)
    return render() if callable(render) else response
