"""Saved views: each person's own, and what they share."""

from __future__ import annotations

from typing import Any

import pytest

from scheduling import saved_views
from scheduling.feed_models import SavedView

pytestmark = pytest.mark.django_db
URL = "/api/v1/views/"
NIGHTS = {"name": "nights", "path": "/schedule", "query": "group=node&zoom=24h"}


def save(client: Any, **changed: Any) -> dict[str, Any]:
    answer = client.post(URL, {**NIGHTS, **changed}, format="json")
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def names(client: Any, query: str = "") -> list[str]:
    return [one["name"] for one in client.get(URL + query).json()["items"]]


def test_a_view_is_kept_changed_and_deleted(viewer: Any) -> None:
    made = save(viewer, query="?group=node")
    assert (made["query"], made["mine"]) == ("group=node", True)
    one = f"{URL}{made['id']}/"
    changed = viewer.patch(one, {"name": "days", "query": ""}, format="json").json()
    assert (changed["name"], changed["path"]) == ("days", "/schedule")
    assert viewer.delete(one).status_code == 204
    assert names(viewer) == []


def test_others_see_only_what_is_shared_and_change_nothing(
    viewer: Any, editor: Any
) -> None:
    save(viewer)
    shared = save(viewer, name="for all", shared=True)
    [seen] = editor.get(URL).json()["items"]
    assert (seen["name"], seen["mine"], seen["owner"]) == ("for all", False, "viewer")
    one = f"{URL}{shared['id']}/"
    assert editor.patch(one, {"name": "x"}, format="json").status_code == 404
    assert editor.delete(one).status_code == 404


def test_a_page_asks_for_its_own_views(viewer: Any) -> None:
    save(viewer)
    save(viewer, name="failed", path="/runs")
    assert names(viewer, "?path=/runs") == ["failed"]


def test_a_name_is_taken_once_by_each_person(viewer: Any, editor: Any) -> None:
    save(viewer)
    save(editor)
    assert viewer.post(URL, NIGHTS, format="json").status_code == 409
    assert SavedView.objects.count() == 2


def test_a_person_keeps_a_bounded_number(viewer: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(saved_views, "MOST_VIEWS", 1)
    save(viewer)
    answer = viewer.post(URL, {**NIGHTS, "name": "b"}, format="json")
    assert answer.status_code == 409


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", 7),
        ("path", "schedule"),
        ("path", "//evil.example"),
        ("path", "/a//b"),
        ("path", "javascript:alert(1)"),
        ("path", None),
        ("query", "x" * 2001),
        ("query", "a\nb"),
        ("query", 1),
        ("shared", "yes"),
        ("owner", "user:anna"),
    ],
)
def test_a_view_that_cannot_be_is_refused_by_its_field(
    viewer: Any, field: str, value: Any
) -> None:
    answer = viewer.post(URL, {**NIGHTS, field: value}, format="json")
    assert answer.status_code == 400
    assert field in answer.json()["fields"]
    assert not SavedView.objects.exists()
