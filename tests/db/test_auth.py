"""Who comes in, by which way, and what each role may do."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from rest_framework.test import APIClient

from agents.models import Event
from kos_scheduler import tokens
from kos_scheduler.models import ApiToken
from kos_scheduler.roles import ROLES, allows, written
from tests.conftest import NOON, PASSWORD

pytestmark = pytest.mark.django_db
ME = "/api/v1/me/"


def bearer(role: str = "viewer", name: str = "ci") -> APIClient:
    _, text = tokens.issue(name, role, actor="user:test", now=NOON)
    return with_token(text)


def with_token(text: str) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


def test_a_role_may_do_all_that_the_roles_before_it_may() -> None:
    for place, role in enumerate(ROLES):
        assert [allows(role, needed) for needed in ROLES] == [
            place >= other for other in range(len(ROLES))
        ]
    assert not allows("", "viewer")
    assert not allows("Admin", "viewer")


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("api/v1/agents/<str:agent_id>/start/", "api/v1/agents/{}/start/"),
        ("api/v1/^agents/(?P<pk>[^/.]+)/$", "api/v1/agents/{}/"),
        ("api/v1/^runs/(?P<uid>[0-9a-f]{32})/logs/$", "api/v1/runs/{}/logs/"),
        ("metrics", "metrics"),
    ],
)
def test_a_route_is_looked_up_however_it_is_written(route: str, expected: str) -> None:
    assert written(route) == expected


def test_a_session_and_a_token_say_who_they_are(viewer: Any) -> None:
    assert viewer.get(ME).json()["name"] == "viewer"
    answer = bearer("editor").get(ME).json()
    assert (answer["name"], answer["role"]) == ("ci", "editor")


def test_a_superuser_is_an_admin(django_user_model: Any) -> None:
    root = django_user_model.objects.create_superuser("root", password=PASSWORD)
    client = APIClient()
    client.force_login(root)
    assert client.get(ME).json()["role"] == "admin"


def test_somebody_without_a_role_sees_nothing(stranger: Any) -> None:
    assert stranger.get(ME).status_code == 403
    assert stranger.get("/").status_code == 403


def test_anonymous_programs_get_401_and_people_the_log_in(anonymous: Any) -> None:
    answer = anonymous.get(ME)
    assert (answer.status_code, answer["WWW-Authenticate"]) == (
        401,
        'Bearer realm="kos"',
    )
    assert answer.json()["code"] == "unauthorized"
    page = anonymous.get("/schedule?x=1")
    assert (page.status_code, page["Location"]) == (
        302,
        "/login/?next=/schedule%3Fx%3D1",
    )


@pytest.mark.parametrize(
    "header",
    [
        "Bearer kos_" + "a" * 43,
        "Bearer kos_short",
        "Bearer " + "\u00e9" * 43,
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "",
        "kos_" + "a" * 43,
        "Bearer " + "x" * 100_000,
    ],
)
def test_a_header_that_is_no_token_of_ours_is_401(anonymous: Any, header: str) -> None:
    answer = anonymous.get(ME, HTTP_AUTHORIZATION=header)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


def test_a_wrong_token_is_not_rescued_by_a_session(admin: Any) -> None:
    assert admin.get(ME, HTTP_AUTHORIZATION="Bearer kos_x").status_code == 401


def test_a_token_needs_no_csrf(anonymous: Any) -> None:
    strict = APIClient(enforce_csrf_checks=True)
    _, text = tokens.issue("ci", "admin", actor="user:test", now=NOON)
    strict.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    answer = strict.patch("/api/v1/config/", {"max_concurrent_agents": 3})
    assert answer.status_code == 200


def test_a_session_needs_csrf_for_every_change(user_of: Any) -> None:
    strict = APIClient(enforce_csrf_checks=True)
    strict.force_login(user_of("admin"))
    answer = strict.patch("/api/v1/config/", {"max_concurrent_agents": 3})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "CSRF" in answer.json()["detail"]


def test_a_session_with_its_csrf_token_may_change(user_of: Any) -> None:
    strict = APIClient(enforce_csrf_checks=True)
    strict.get("/login/")
    data = {
        "username": "admin",
        "password": PASSWORD,
        "csrfmiddlewaretoken": strict.cookies["csrftoken"].value,
    }
    user_of("admin")
    assert strict.post("/login/", data, format="multipart").status_code == 302
    answer = strict.patch(
        "/api/v1/config/",
        {"max_concurrent_agents": 3},
        HTTP_X_CSRFTOKEN=strict.cookies["csrftoken"].value,
    )
    assert answer.status_code == 200


def test_a_foreign_origin_may_change_nothing(admin: Any, anonymous: Any) -> None:
    evil = {"HTTP_ORIGIN": "https://evil.example"}
    assert admin.patch("/api/v1/config/", {}, **evil).status_code == 403
    answer = anonymous.options("/api/v1/config/", **evil)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("Access-Control")]


def test_a_change_of_role_ends_the_session(user_of: Any, client_of: Any) -> None:
    client = client_of("editor")
    assert client.get(ME).json()["role"] == "editor"
    user_of("editor").groups.set([Group.objects.get(name="viewer")])
    assert client.get(ME).status_code == 401
    assert client.get(ME).status_code == 401


def test_an_inactive_user_is_out(user_of: Any, client_of: Any) -> None:
    client = client_of("viewer")
    user = user_of("viewer")
    user.is_active = False
    user.save()
    assert client.get(ME).status_code == 401


def test_a_method_nobody_may_use_is_405_with_those_that_are(admin: Any) -> None:
    answer = admin.delete(ME)
    assert (answer.status_code, answer["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_options_tells_the_methods_and_nothing_else(viewer: Any) -> None:
    answer = viewer.options("/api/v1/config/")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["Allow"] == "GET, HEAD, PATCH, PUT, OPTIONS"


# --- tokens


def test_a_token_is_stored_as_a_digest_only() -> None:
    token, text = tokens.issue("ci", "viewer", actor="user:test", now=NOON)
    assert text.startswith("kos_")
    stored = ApiToken.objects.filter(pk=token.pk).values().get()
    assert text not in str(stored)


def test_admins_make_list_and_revoke_tokens(admin: Any) -> None:
    made = admin.post("/api/v1/tokens/", {"name": "ci", "role": "operator"})
    assert made.status_code == 201
    client = with_token(made.json()["token"])
    assert client.get(ME).json()["role"] == "operator"
    listed = admin.get("/api/v1/tokens/").json()["items"]
    assert [(t["name"], "token" in t) for t in listed] == [("ci", False)]
    assert admin.delete(f"/api/v1/tokens/{listed[0]['id']}/").status_code == 204
    assert client.get(ME).status_code == 401
    assert admin.delete(f"/api/v1/tokens/{listed[0]['id']}/").status_code == 404
    kinds = list(Event.objects.order_by("id").values_list("kind", flat=True))
    assert kinds == ["auth.token_issued", "auth.token_revoked"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": ""}, "name"),
        ({"name": "-rf"}, "name"),
        ({"name": 5}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"name": "a", "role": "root"}, "role"),
        ({"name": "a", "role": None}, "role"),
        ({"name": "a", "role": ["admin"]}, "role"),
        ({"name": "a", "scope": "all"}, "scope"),
    ],
)
def test_a_token_that_may_not_be_is_refused(admin: Any, body: Any, field: str) -> None:
    answer = admin.post("/api/v1/tokens/", body)
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    assert not ApiToken.objects.exists()


def test_the_command_prints_the_token_alone_on_the_last_line(capsys: Any) -> None:
    call_command("token", name="script", role="operator")
    text = capsys.readouterr().out.splitlines()[-1]
    assert with_token(text).get(ME).json() == {
        "name": "script",
        "role": "operator",
        "timezone": "UTC",
    }


def test_the_use_of_a_token_is_noted_once_an_hour() -> None:
    _, text = tokens.issue("ci", "viewer", actor="user:test", now=NOON)
    tokens.find(text, now=NOON)
    tokens.find(text, now=NOON.replace(minute=59))
    assert ApiToken.objects.get().last_used_at == NOON
    tokens.find(text, now=NOON.replace(hour=13))
    assert ApiToken.objects.get().last_used_at == NOON.replace(hour=13)


def test_starting_agents_has_a_limit_per_caller(
    operator: Any, editor: Any, admin: Any
) -> None:
    admin.patch("/api/v1/config/", {"security.spawns_per_minute": 3})
    spawn = {"agent": "nobody"}
    statuses = [operator.post("/api/v1/spawn/", spawn).status_code for _ in range(5)]
    assert statuses == [404, 404, 404, 429, 429]
    answer = operator.post("/api/v1/agents/nobody/start/")
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many")
    assert 0 < int(answer["Retry-After"]) <= 61
    assert editor.post("/api/v1/spawn/", spawn).status_code == 404
