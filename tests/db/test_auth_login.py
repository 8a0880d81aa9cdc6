"""Logging in: the limits on guessing, and where one lands afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import redis as redis_py
from django.conf import LazySettings
from django.test import Client

from agents import redis
from agents.models import Event
from kos_scheduler import rates
from kos_scheduler.rates import Rate
from tests.conftest import PASSWORD

pytestmark = pytest.mark.django_db


def attempt(name: str = "viewer", password: str = "wrong", **headers: str) -> Any:
    data = {"username": name, "password": password}
    return Client().post("/login/", data, **headers)


def test_the_right_password_comes_in_and_is_recorded(user_of: Any) -> None:
    user_of("viewer")
    client = Client()
    answer = client.post("/login/", {"username": "viewer", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert Event.objects.get(kind="auth.login").actor == "user:viewer"
    assert client.post("/logout/").status_code == 302
    assert client.get("/api/v1/me/").status_code == 401


def test_the_session_is_renewed_at_log_in(user_of: Any) -> None:
    user_of("viewer")
    client = Client()
    client.cookies["kos_session"] = "fixed-by-an-attacker"
    client.post("/login/", {"username": "viewer", "password": PASSWORD})
    cookie = client.cookies["kos_session"]
    assert cookie.value != "fixed-by-an-attacker"
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


def test_guessing_one_users_password_is_limited_with_retry_after(user_of: Any) -> None:
    user_of("viewer")
    statuses = [attempt().status_code for _ in range(50)]
    assert statuses == [401] * 10 + [429] * 40
    answer = attempt(password=PASSWORD)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 301


def test_trying_many_names_from_one_address_is_limited() -> None:
    statuses = [attempt(name=f"user{n}").status_code for n in range(50)]
    assert statuses == [401] * 30 + [429] * 20


def test_a_made_up_forwarding_header_does_not_help() -> None:
    statuses = [
        attempt(HTTP_X_FORWARDED_FOR=f"1.2.3.{n}").status_code for n in range(50)
    ]
    assert statuses.count(429) == 40


def test_another_address_may_still_come_in(user_of: Any) -> None:
    user_of("viewer")
    for n in range(40):
        attempt(name=f"user{n}")
    assert attempt(password=PASSWORD).status_code == 429
    assert attempt(password=PASSWORD, REMOTE_ADDR="10.0.0.9").status_code == 302


def test_success_forgets_the_wrong_ones_of_the_user(user_of: Any) -> None:
    user_of("viewer")
    for _ in range(9):
        attempt()
    assert attempt(password=PASSWORD).status_code == 302
    assert attempt().status_code == 401


def test_without_redis_attempts_are_counted_in_the_process(
    settings: LazySettings,
) -> None:
    settings.REDIS_URL = "unix:///nowhere/valkey.sock"
    redis.connection.cache_clear()
    try:
        with pytest.raises(redis_py.ConnectionError):
            redis.connection().ping()
        statuses = [attempt().status_code for _ in range(12)]
    finally:
        redis.connection.cache_clear()
    assert statuses == [401] * 10 + [429] * 2


def test_a_window_ends_by_itself() -> None:
    counts, rate = rates.LocalCounts(), Rate("t", limit=1, window_s=60)
    counts.add("k", rate.window_s, 1000.0)
    assert counts.read("k", 1059.0) == (1, 1.0)
    assert counts.read("k", 1060.0) == (0, 0.0)


@pytest.mark.parametrize(
    "target",
    ["javascript:alert(1)", "//evil.example", "https://evil.example/", "\\\\evil", ""],
)
def test_next_never_leaves_this_site(user_of: Any, target: str) -> None:
    user_of("viewer")
    data = {"username": "viewer", "password": PASSWORD, "next": target}
    answer = Client().post("/login/", data)
    assert (answer.status_code, answer["Location"]) == (302, "/")


def test_next_comes_back_to_the_page_asked_for(user_of: Any) -> None:
    user_of("viewer")
    data = {"username": "viewer", "password": PASSWORD, "next": "/agents?q=a"}
    assert Client().post("/login/", data)["Location"] == "/agents?q=a"


def test_the_page_is_whole_without_scripts_or_inline_styles() -> None:
    page = Client().get("/login/?next=javascript:alert(1)")
    text = page.content.decode()
    assert page.status_code == 200
    assert "<script" not in text
    assert "style=" not in text
    assert "javascript:" not in text.replace('value="javascript:alert(1)"', "")
