"""The cases about sessions, roles and headers: one function each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rest_framework.test import APIClient

from scheduling.run_state import RunState
from tests.corpus.expand import BASES
from tests.corpus.world import API, World

SOUND = {**BASES["agent"], "agent_id": "twin"}
AGENTS = f"{API}/agents/"


def strict(world: World) -> APIClient:
    """A signed-in browser whose CSRF is checked."""
    signed_in = world.client_of("admin")
    client = APIClient(enforce_csrf_checks=True)
    client.cookies = signed_in.cookies
    return client


def no_csrf(world: World) -> Any:
    assert (
        world.client_of("admin").post(AGENTS, SOUND, format="json").status_code == 201
    )
    return strict(world).post(AGENTS, {**SOUND, "agent_id": "x"}, format="json")


def wrong_origin(world: World) -> Any:
    evil = "https://evil.example"
    return world.client_of("admin").post(AGENTS, SOUND, format="json", HTTP_ORIGIN=evil)


def override(world: World) -> Any:
    name = world.optimizer().agent_id
    return world.client_of("admin").post(
        f"{AGENTS}{name}/", {}, format="json", HTTP_X_HTTP_METHOD_OVERRIDE="DELETE"
    )


def foreign_host(world: World) -> Any:
    return APIClient().get("/", HTTP_HOST="evil.example")


def script_next(world: World) -> Any:
    answer = APIClient().get("/login/?next=javascript:alert(1)")
    assert "javascript:" not in answer.headers.get("Location", "")
    return answer


def fifty(**by: Any) -> Callable[[World], Any]:
    def attempts(world: World) -> Any:
        for n in range(50):
            data = {"username": by.get("user", "admin").format(n=n), "password": "x"}
            headers = {k: v.format(n=n) for k, v in by.items() if k.startswith("HTTP")}
            answer = APIClient().post("/login/", data, format="multipart", **headers)
        assert int(answer["Retry-After"]) > 0
        return answer

    return attempts


def get_as(role: str, path: str) -> Callable[[World], Any]:
    def ask(world: World) -> Any:
        return (world.client_of(role) if role else APIClient()).get(path)

    return ask


def start_as_viewer(world: World) -> Any:
    path = f"{AGENTS}{world.optimizer().agent_id}/start/"
    assert world.client_of("operator").post(path).status_code == 202
    return world.client_of("viewer").post(path)


def patch_as_operator(world: World) -> Any:
    path = f"{AGENTS}{world.optimizer().agent_id}/"
    change = {"tags": ["x"]}
    patched = world.client_of("editor").patch(path, change, format="json")
    assert patched.status_code == 200, patched.content
    return world.client_of("operator").patch(path, change, format="json")


def foreign_calendar(world: World) -> Any:
    """A calendar is changed by PUT."""
    path, change = f"{API}/calendars/holidays/", {"dates": ["2027-01-01"]}
    holidays = {"name": "holidays", **change}
    made = world.client_of("editor").post(f"{API}/calendars/", holidays, format="json")
    assert made.status_code == 201
    return world.client_of("operator").put(path, change, format="json")


def delete_audit(world: World) -> Any:
    world.run(RunState.QUEUED)
    assert world.client_of("admin").get(f"{API}/audit/").status_code == 200
    return world.client_of("admin").delete(f"{API}/audit/")


def odd_paths(world: World) -> Any:
    for path in (
        f"{API}/agents/configs/",
        "//api//v1/agents/",
        f"{API}/agents/;x/",
        "/API/V1/agents/",
    ):
        answer = APIClient().post(path, SOUND, format="json")
        assert answer.status_code in (401, 403, 404), path
    return answer


def trace(world: World) -> Any:
    return APIClient().generic("TRACE", "/")


def foreign_options(world: World) -> Any:
    answer = APIClient().options(AGENTS, HTTP_ORIGIN="https://evil.example")
    assert not [h for h in answer.headers if h.startswith("Access-Control")]
    return answer


DOORS: dict[str, Callable[[World], Any]] = {
    "SR001": no_csrf,
    "SR002": wrong_origin,
    "SR003": override,
    "SR004": foreign_host,
    "SR007": script_next,
    "SR008": fifty(user="admin"),
    "SR009": fifty(user="user{n}"),
    "SR010": fifty(HTTP_X_FORWARDED_FOR="1.2.3.{n}"),
    "SR019": get_as("operator", f"{API}/secrets/hook-key/"),
    "SR020": foreign_calendar,
    "SR011": get_as("viewer", "/admin/"),
    "SR012": get_as("viewer", "/admin/django_rq/dashboard/"),
    "SR013": get_as("", "/metrics"),
    "SR014": get_as("", AGENTS),
    "SR015": start_as_viewer,
    "SR016": patch_as_operator,
    "SR021": delete_audit,
    "SR023": odd_paths,
    "SR024": trace,
    "SR025": foreign_options,
}
