"""The outermost layer: what a request may look like at all, and how answers leave.

Size is refused while bytes arrive, before anything is kept; a method override, a
foreign origin and TRACE never reach a view; every answer carries the same headers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from kos_scheduler.api_errors import answer

logger = logging.getLogger(__name__)

OVERRIDES = (
    "HTTP_X_HTTP_METHOD_OVERRIDE",
    "HTTP_X_HTTP_METHOD",
    "HTTP_X_METHOD_OVERRIDE",
)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# The registry's admin pages use Alpine, which evaluates expressions and sets styles.
ADMIN_POLICY = PAGE_POLICY.replace(
    "script-src 'self'", "script-src 'self' 'unsafe-eval'"
).replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
API_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "camera=(), geolocation=(), payment=(), usb=()",
}
MACHINE_PATHS = ("/api/", "/metrics")


class EdgeMiddleware:
    """First in the list: refuses malformed requests, dresses every answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = refused(request) or self.get_response(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Content-Security-Policy", policy(request.path))
        if request.path.startswith(MACHINE_PATHS):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def policy(path: str) -> str:
    if path.startswith(MACHINE_PATHS):
        return API_POLICY
    return ADMIN_POLICY if path.startswith("/admin/") else PAGE_POLICY


def refused(request: HttpRequest) -> HttpResponseBase | None:
    """The answer to a request that goes no further, or None."""
    if request.method not in METHODS:
        allow = {"Allow": ", ".join(sorted(METHODS))}
        return answer("method_not_allowed", "no such method", headers=allow)
    if any(name in request.META for name in OVERRIDES):
        return answer("invalid", "a method override is not accepted")
    if declared_length(request.META) > settings.KOS_MAX_BODY_BYTES:
        return answer("too_large", body_limit())
    if "\0" in request.path:
        return answer("invalid", "the path contains a NUL character")
    if is_foreign(request):
        return answer("forbidden", "another site may not do this")
    return None


def body_limit() -> str:
    return f"a body may have {settings.KOS_MAX_BODY_BYTES} bytes"


def declared_length(meta: dict[str, Any]) -> int:
    text = str(meta.get("CONTENT_LENGTH") or "0")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def is_foreign(request: HttpRequest) -> bool:
    """Whether a browser says that another site's page sends this change."""
    origin: str | None = request.META.get("HTTP_ORIGIN")
    if origin is None or request.method in ("GET", "HEAD"):
        return False
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return False
    host: str = request.META.get("HTTP_HOST", "")
    return urlsplit(origin).netloc != host


class BodyTooLarge(Exception):
    """More bytes than allowed have arrived."""


class BodyCap:
    """ASGI: counts a request's bytes as they come and answers 413 beyond the cap."""

    def __init__(self, app: Any, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        seen, started = 0, False

        async def counted() -> Any:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                raise BodyTooLarge
            return message

        async def watched(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, counted, watched)
        except BodyTooLarge:
            if not started:
                await refuse_body(send)


async def refuse_body(send: Any) -> None:
    response = answer("too_large", body_limit(), headers={"Connection": "close"})
    headers = [(k.lower().encode(), v.encode()) for k, v in response.items()]
    start = {"type": "http.response.start", "status": 413, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": response.content})
