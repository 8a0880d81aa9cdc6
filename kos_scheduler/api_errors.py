"""The one table from errors to HTTP answers, and the one shape of them:
{"code", "detail", "fields"?}."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from redis.exceptions import RedisError
from rest_framework import exceptions
from rest_framework.response import Response

from agents.errors import KosError, TooMany
from agents.http import orjson_response

logger = logging.getLogger(__name__)

STATUS_BY_CODE = {
    "invalid": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "already_exists": 409,
    "not_allowed_now": 409,
    "changed_meanwhile": 409,
    "too_large": 413,
    "unsupported_media_type": 415,
    "no_such_range": 416,
    "refused": 422,
    "too_many": 429,
    "error": 500,
    "unavailable": 503,
}
CODE_BY_STATUS = {
    400: "invalid",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "invalid",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many",
    503: "unavailable",
}
BUSY_RETRY_S = 2  # a locked or restarting database is usually back by then

Fields = Mapping[str, list[str]]


def body_of(code: str, detail: str, fields: Fields | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"code": code, "detail": detail}
    return {**body, "fields": dict(fields)} if fields else body


def answer(
    code: str,
    detail: str,
    fields: Fields | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """An error as a plain response, for middleware and Django's own handlers."""
    response = orjson_response(body_of(code, detail, fields), STATUS_BY_CODE[code])
    for name, value in {**standing_headers(code), **(headers or {})}.items():
        response[name] = value
    return response


def standing_headers(code: str) -> dict[str, str]:
    if code == "unauthorized":
        return {"WWW-Authenticate": 'Bearer realm="kos"'}
    if code == "unavailable":
        return {"Retry-After": str(BUSY_RETRY_S)}
    return {}


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's exception handler. None lets an error of ours become a 500."""
    told = translated(error)
    if told is None:
        return None
    code, detail, fields, headers = told
    more = error.more if isinstance(error, KosError) else {}
    return Response(
        {**body_of(code, detail, fields), **more},
        status=STATUS_BY_CODE[code],
        headers={**standing_headers(code), **headers},
    )


Told = tuple[str, str, Fields, dict[str, str]]


def translated(error: Exception) -> Told | None:
    """(code, detail, fields, headers) of an error people caused or can wait out."""
    match error:
        case TooMany():
            wait = {"Retry-After": str(error.retry_after_s)}
            return error.code, str(error), error.fields, wait
        case KosError():
            return error.code, str(error), error.fields, {}
        case exceptions.APIException():
            return of_drf(error)
        case Http404():
            return "not_found", str(error) or "there is no such thing", {}, {}
        case PermissionDenied():
            return "forbidden", str(error) or "not allowed", {}, {}
        case RequestDataTooBig():
            return "too_large", "the request body is too large", {}, {}
        case OperationalError() | InterfaceError() if is_passing(error):
            logger.warning("database not available: %s", error)
            return "unavailable", "the database is busy or not there", {}, {}
        case RedisError():
            logger.warning("Redis not available: %s", error)
            return "unavailable", "Redis is not there", {}, {}
    return None


def is_passing(error: Exception) -> bool:
    """Locked, full, restarting: worth a second try. A missing column is our fault."""
    code = getattr(error.__cause__, "sqlite_errorcode", None)
    return code is None or code & 0xFF != sqlite3.SQLITE_ERROR


def of_drf(error: exceptions.APIException) -> Told:
    code = CODE_BY_STATUS.get(error.status_code, "invalid")
    if isinstance(error, exceptions.Throttled):
        wait_s = getattr(error, "wait", None) or 1
        wait = {"Retry-After": str(round(wait_s))}
        return code, str(error.detail), {}, wait
    if isinstance(error.detail, Mapping):
        fields = {str(k): texts(v) for k, v in error.detail.items()}
        first = next(iter(fields), "")
        return code, f"{first}: {fields[first][0]}" if first else code, fields, {}
    if isinstance(error, exceptions.MethodNotAllowed):
        return code, str(error.detail), {}, {}
    return code, " ".join(texts(error.detail)), {}, {}


def texts(detail: object) -> list[str]:
    """DRF's nested details as a flat list of sentences."""
    if isinstance(detail, Mapping):
        return [f"{k}: {t}" for k, v in detail.items() for t in texts(v)]
    if isinstance(detail, list | tuple):
        return [t for one in detail for t in texts(one)] or ["invalid"]
    return [str(detail)]
