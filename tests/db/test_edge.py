"""What a request may look like at all: size, shape, strings, headers, twice sent."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from redis.exceptions import ConnectionError as RedisDown
from rest_framework.exceptions import Throttled

from agents.errors import Invalid, TooMany
from kos_scheduler import api_errors, strict_json
from kos_scheduler.edge import BodyCap
from kos_scheduler.models import ApiToken, IdempotentAnswer
from tests.conftest import NOON

pytestmark = pytest.mark.django_db
TOKENS = "/api/v1/tokens/"
JSON = "application/json"


def post(client: Any, body: bytes | str, content_type: str = JSON, **more: Any) -> Any:
    return client.generic("POST", TOKENS, body, content_type=content_type, **more)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name":"a\\u0000b"}', "name"),
        (b'{"name":"h\\ud800"}', "name"),
        (b'{"name":{"deep":["x\\udfff"]}}', "name"),
        (b'{"name":{"k\\u0000":1}}', "name"),
        (b'{"role":NaN}', "role"),
        (b'{"role":-Infinity}', "role"),
        (b'{"role":1e999}', "role"),
        (b'{"role":123456789012345678901234567890}', "role"),
        (b'{"role":1,"role":2}', "role"),
        (b'{"role":{"a":1,"a":2}}', "role"),
        (b'{"role":' + b"[" * 40 + b"]" * 40 + b"}", "role"),
        (b'{"role":[' + b"1," * 60_000 + b"1]}", "role"),
        (b'{"bad\\u0000key":1}', "bad\\0key"),
        (b'{"bad\\ud800key":1}', "bad\\ud800key"),
    ],
)
def test_a_value_that_would_poison_a_store_is_refused_by_name(
    admin: Any, body: bytes, field: str
) -> None:
    answer = post(admin, body)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"x"',
        b"null",
        b"{",
        b'{"a":1,}',
        b"\xff\xfe",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"9" * 10_000,
        b"\x00",
        b"\xef\xbb\xbf{}",
    ],
)
def test_a_body_that_is_no_json_object_is_a_plain_400(admin: Any, body: bytes) -> None:
    answer = post(admin, body)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert "Traceback" not in answer.content.decode()


def test_a_whole_pair_of_surrogates_is_one_character() -> None:
    assert strict_json.parse(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_nested_values_come_out_as_they_went_in() -> None:
    value = {"a": [1, 2.5, None, True, {"b": "c"}], "": {}}
    assert strict_json.parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "application/xml",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json; charset=zlib_codec",
        "application/json; charset=utf-16",
    ],
)
def test_only_json_in_utf8_is_taken(admin: Any, content_type: str) -> None:
    answer = post(admin, b'{"name":"a"}', content_type)
    assert (answer.status_code, answer.json()["code"]) == (
        415,
        "unsupported_media_type",
    )


def test_a_body_over_the_cap_is_413(admin: Any, settings: Any) -> None:
    answer = post(admin, b"x" * (settings.KOS_MAX_BODY_BYTES + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


async def test_a_body_without_a_length_is_counted_as_it_comes() -> None:
    sent: list[dict[str, Any]] = []
    pulled = 0

    async def endless() -> dict[str, Any]:
        nonlocal pulled
        pulled += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    async def reads_all(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await BodyCap(reads_all, 10_000)({"type": "http"}, endless, send)
    assert (sent[0]["status"], pulled) == (413, 11)


@pytest.mark.parametrize(
    "header",
    [
        "HTTP_X_HTTP_METHOD_OVERRIDE",
        "HTTP_X_HTTP_METHOD",
        "HTTP_X_METHOD_OVERRIDE",
    ],
)
def test_a_method_override_is_refused(admin: Any, header: str) -> None:
    assert post(admin, b'{"name":"a"}', **{header: "DELETE"}).status_code == 400
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "X" * 100])
def test_other_methods_are_405(method: str) -> None:
    assert Client().generic(method, "/").status_code == 405


def test_a_foreign_host_is_400() -> None:
    assert Client().get("/", HTTP_HOST="evil.example").status_code == 400


@pytest.mark.parametrize("path", ["/", "/login/", "/api/v1/me/", "/nowhere", "/admin/"])
def test_every_answer_is_dressed(path: str, admin: Any) -> None:
    for client in (Client(), admin):
        headers = client.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "same-origin"
        policy = headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "default-src 'none'" in policy
        if not path.startswith("/admin/"):
            assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/nowhere/", 404),
        ("/api/v1/me", 404),
        ("/api/v1/me/?x=1", 400),
        ("/api/v1/me/?a=%ff", 400),
        ("/api/v1/me/?a=%00", 400),
        ("/api/v1/me/%00", 400),
        ("//api//v1/me/", 404),
        ("/api/v1/me/;x/", 404),
        ("/API/V1/me/", 404),
        ("/api/v1/" + "a/" * 4000, 404),
    ],
)
def test_a_path_or_query_we_do_not_know_is_refused_in_json(
    viewer: Any, path: str, status: int
) -> None:
    answer = viewer.get(path)
    assert answer.status_code == status
    if path.startswith("/api/"):
        assert set(answer.json()) >= {"code", "detail"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Invalid("x", {"a": ["b"]}), 400, "invalid"),
        (TooMany("x", retry_after_s=7), 429, "too_many"),
        (Throttled(3), 429, "too_many"),
        (OperationalError("database is locked"), 503, "unavailable"),
        (RedisDown("gone"), 503, "unavailable"),
    ],
)
def test_an_error_has_one_status_and_one_shape(
    error: Exception, status: int, code: str
) -> None:
    response = api_errors.handle(error, {})
    assert response is not None
    assert (response.status_code, response.data["code"]) == (status, code)
    if status in (429, 503):
        assert int(response.headers["Retry-After"]) > 0


def test_a_fault_of_ours_is_left_to_be_a_500() -> None:
    assert api_errors.handle(KeyError("x"), {}) is None


def test_a_locked_database_is_503_and_a_missing_column_a_fault_of_ours() -> None:
    with pytest.raises(OperationalError) as caught, connection.cursor() as cursor:
        cursor.execute("SELECT nothing_of_that_name FROM agents_agent")
    assert api_errors.handle(caught.value, {}) is None
    locked = OperationalError("database is locked")
    locked.__cause__ = sqlite3.OperationalError()
    locked.__cause__.sqlite_errorcode = sqlite3.SQLITE_BUSY
    response = api_errors.handle(locked, {})
    assert response is not None
    assert response.status_code == 503


def test_a_fault_tells_programs_nothing_of_its_inside(
    viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: Any) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr("agents.live_config.describe", breaks)
    viewer.raise_request_exception = False
    answer = viewer.get("/api/v1/config/")
    assert (answer.status_code, answer.json()["code"]) == (500, "error")
    assert "secret" not in answer.content.decode()


# --- Idempotency-Key


def test_the_same_body_twice_is_done_once_and_answered_alike(admin: Any) -> None:
    first = admin.post(TOKENS, {"name": "a"}, HTTP_IDEMPOTENCY_KEY="k1")
    again = admin.post(TOKENS, {"name": "a"}, HTTP_IDEMPOTENCY_KEY="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again["Idempotent-Replay"] == "true"
    assert ApiToken.objects.count() == 1


def test_another_body_under_the_same_key_is_409(admin: Any) -> None:
    admin.post(TOKENS, {"name": "a"}, HTTP_IDEMPOTENCY_KEY="k1")
    answer = admin.post(TOKENS, {"name": "b"}, HTTP_IDEMPOTENCY_KEY="k1")
    assert answer.status_code == 409
    assert ApiToken.objects.count() == 1


def test_a_key_is_its_callers_own(admin: Any, client_of: Any, user_of: Any) -> None:
    other = user_of("admin2")
    other.is_superuser = True
    other.save()
    admin.post(TOKENS, {"name": "a"}, HTTP_IDEMPOTENCY_KEY="k1")
    second = client_of("admin2").post(TOKENS, {"name": "a"}, HTTP_IDEMPOTENCY_KEY="k1")
    assert second.status_code == 201
    assert ApiToken.objects.count() == 2


def test_what_was_refused_may_be_sent_again_put_right(admin: Any) -> None:
    assert (
        admin.post(TOKENS, {"name": ""}, HTTP_IDEMPOTENCY_KEY="k1").status_code == 400
    )
    assert (
        admin.post(TOKENS, {"name": "a"}, HTTP_IDEMPOTENCY_KEY="k1").status_code == 201
    )


def test_a_key_lives_a_day(admin: Any) -> None:
    admin.post(TOKENS, {"name": "a"}, HTTP_IDEMPOTENCY_KEY="k1")
    IdempotentAnswer.objects.update(made_at=NOON.replace(year=2020))
    again = admin.post(TOKENS, {"name": "a"}, HTTP_IDEMPOTENCY_KEY="k1")
    assert "Idempotent-Replay" not in again
    assert ApiToken.objects.count() == 2


@pytest.mark.parametrize("key", ["", "k" * 256, "k" * 10_240, "k\u00e9", "a\tb"])
def test_a_key_that_is_not_short_printable_text_is_400(admin: Any, key: str) -> None:
    answer = admin.post(TOKENS, {"name": "a"}, HTTP_IDEMPOTENCY_KEY=key)
    assert answer.status_code == 400
    assert not ApiToken.objects.exists()


def test_a_viewers_key_does_not_open_what_a_viewer_may_not(viewer: Any) -> None:
    answer = viewer.post(TOKENS, {"name": "a"}, HTTP_IDEMPOTENCY_KEY="k1")
    assert answer.status_code == 403
    assert not IdempotentAnswer.objects.exists()
