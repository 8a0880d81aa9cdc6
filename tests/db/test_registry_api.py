"""The registry over HTTP: shapes, statuses, pages, and who may do what."""

from __future__ import annotations

from typing import Any

import pytest

from agents import listing
from agents.models import Agent, Event, Node
from tests.conftest import NOON
from tests.unit.test_registration import SAMPLE

URL = "/api/v1/agents/"
PLAIN = {"agent_id": "a", "exec_env": "subprocess", "entry_point": "/bin/true"}
BOXED = {**PLAIN, "exec_env": "sandbox"}


def test_the_seeds_sample_is_created_as_it_stands(editor) -> None:
    answer = editor.post(URL, SAMPLE)
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert made["definition"] == {**SAMPLE, "enabled": True}
    assert made["spec"]["docker"]["image"] == "kos/prompt_optimizer"
    assert (made["version"], made["versions"], made["priority"]) == (1, 1, "high")
    assert Event.objects.get(kind="agent.registered").actor == "user:editor"


def test_what_was_made_is_listed_and_read(editor, viewer) -> None:
    editor.post(URL, SAMPLE)
    listed = viewer.get(URL).json()
    assert (listed["total"], listed["next"]) == (1, None)
    one = viewer.get(f"{URL}prompt_optimizer/").json()
    assert listed["items"][0].items() <= one.items()


def test_a_taken_id_is_a_conflict_naming_the_field(editor) -> None:
    editor.post(URL, SAMPLE)
    again = editor.post(URL, {**SAMPLE, "agent_id": "PROMPT_OPTIMIZER"})
    assert (again.status_code, again.json()["code"]) == (409, "already_exists")
    assert "agent_id" in again.json()["fields"]
    assert Agent.objects.count() == 1


def test_a_refusal_names_each_field_at_fault_and_stores_nothing(editor) -> None:
    answer = editor.post(URL, {**SAMPLE, "memory": "4Gb", "cpu": 0})
    assert answer.status_code == 400
    assert answer.json()["fields"].keys() == {"memory", "cpu"}
    assert not Agent.objects.exists()


def test_an_editor_defines_sandboxed_agents_and_an_admin_all(editor, admin) -> None:
    refused = editor.post(URL, PLAIN)
    assert (refused.status_code, list(refused.json()["fields"])) == (403, ["exec_env"])
    assert editor.post(URL, BOXED).status_code == 201
    assert admin.post(URL, {**PLAIN, "agent_id": "b"}).status_code == 201


def test_a_sandbox_sees_only_what_it_may_be_shown(editor, admin) -> None:
    def told(who: Any, **sandbox: Any) -> list[str]:
        answer = who.post(URL, {**BOXED, "sandbox": sandbox})
        assert answer.status_code == 403, answer.json()
        return list(answer.json()["fields"])

    mounts = [{"source": "/srv/data", "target": "/data"}]
    assert told(editor, network="host") == ["sandbox.network"]
    assert told(admin, mounts=mounts) == ["sandbox.mounts.0.source"]
    shares = {**BOXED, "sandbox": {"network": "host"}, "ports": {"web": 8080}}
    assert admin.post(URL, shares).status_code == 201


@pytest.mark.parametrize("body", [[], "x", 5, True])
def test_a_body_that_is_not_an_object_is_refused(editor, body: Any) -> None:
    editor.post(URL, BOXED)
    assert editor.post(URL, body).status_code == 400
    assert editor.patch(f"{URL}a/", body).status_code == 400
    assert editor.post(f"{URL}a/rollback/", body).status_code == 400


def test_a_patch_changes_the_keys_it_names(editor) -> None:
    editor.post(URL, {**BOXED, "tags": ["x"]})
    changed = editor.patch(f"{URL}a/", {"cpu": 0.5}).json()
    assert (changed["cpu_millis"], changed["tags"], changed["version"]) == (
        500,
        ["x"],
        2,
    )


def test_a_patch_of_a_version_that_is_no_longer_current_is_a_conflict(editor) -> None:
    editor.post(URL, BOXED)
    editor.patch(f"{URL}a/", {"cpu": 1, "base_version": 1})
    stale = editor.patch(f"{URL}a/", {"cpu": 2, "base_version": 1})
    assert (stale.status_code, stale.json()["code"]) == (409, "changed_meanwhile")


@pytest.mark.parametrize("version", [True, 0, -1, "1", 1.5, [1]])
def test_a_version_is_a_plain_number(editor, version: Any) -> None:
    editor.post(URL, BOXED)
    for answer in (
        editor.post(f"{URL}a/rollback/", {"version": version}),
        editor.patch(f"{URL}a/", {"base_version": version}),
    ):
        assert answer.status_code == 400


def test_versions_are_listed_newest_first_and_can_be_brought_back(editor) -> None:
    editor.post(URL, BOXED)
    editor.patch(f"{URL}a/", {"tags": ["x"]})
    back = editor.post(f"{URL}a/rollback/", {"version": 1})
    assert (back.status_code, back.json()["tags"]) == (200, [])
    listed = editor.get(f"{URL}a/versions/").json()
    assert [v["number"] for v in listed["items"]] == [3, 2, 1]
    assert [v["current"] for v in listed["items"]] == [True, False, False]
    assert listed["items"][1]["definition"]["tags"] == ["x"]


def test_a_retired_agent_leaves_the_list_but_can_still_be_read(editor) -> None:
    editor.post(URL, BOXED)
    assert editor.delete(f"{URL}a/").status_code == 204
    assert editor.get(URL).json()["items"] == []
    assert editor.get(f"{URL}a/").json()["retired_at"]
    assert editor.delete(f"{URL}a/").status_code == 404


def test_pages_follow_one_another_without_gaps(editor) -> None:
    for number in range(5):
        editor.post(URL, {**BOXED, "agent_id": f"a{number}"})
    seen, cursor = [], ""
    while cursor is not None:
        answer = editor.get(URL, {"limit": 2, "cursor": cursor}).json()
        seen += [row["agent_id"] for row in answer["items"]]
        cursor = answer["next"]
    assert seen == [f"a{n}" for n in range(5)]


@pytest.mark.parametrize(
    "query",
    [
        "unknown=1",
        "limit=-1",
        "limit=x",
        "enabled=maybe",
        "kind=x",
        "cursor=x",
        "q=%00",
    ],
)
def test_a_filter_that_is_not_understood_is_refused(viewer, query: str) -> None:
    assert viewer.get(f"{URL}?{query}").status_code == 400


def test_filters_narrow_the_list(editor) -> None:
    editor.post(URL, {**BOXED, "capabilities": ["ocr"], "kind": "persistent"})
    editor.post(URL, {**BOXED, "agent_id": "b", "enabled": False})

    def ids(**query: str) -> list[str]:
        return [row["agent_id"] for row in editor.get(URL, query).json()["items"]]

    assert ids(capability="ocr") == ids(kind="persistent") == ids(q="A") == ["a"]
    assert ids(enabled="false") == ["b"]
    assert ids(exec_env="docker") == []


def test_others_add_their_columns_to_each_row(editor, monkeypatch) -> None:
    def live(agents: list[Agent]) -> dict[int, dict[str, Any]]:
        return {agent.pk: {"status": "sleeping"} for agent in agents}

    monkeypatch.setattr(listing, "extra_columns", [live])
    editor.post(URL, BOXED)
    assert editor.get(URL).json()["items"][0]["status"] == "sleeping"


def test_a_pasted_command_is_taken_apart(viewer) -> None:
    answer = viewer.post(f"{URL}parse-command/", {"command": "python x.py --a 'b c'"})
    assert answer.json() == {
        "entry_point": "python",
        "args": ["x.py", "--a", "b c"],
        "env": {},
        "note": "",
    }


@pytest.mark.parametrize("command", ["", "  ", "a 'b", "A=1", 5, None, ["x"], "a\0b"])
def test_a_command_that_is_none_is_refused(viewer, command: Any) -> None:
    answer = viewer.post(f"{URL}parse-command/", {"command": command})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["command"])


def node(**about: Any) -> Node:
    capacity = {"cpu_millis": 2000, "memory_bytes": 8 * 10**9, "gpus": 0}
    return Node.objects.create(
        name="n1", environments=["subprocess"], heartbeat_at=NOON, **capacity, **about
    )


def test_environments_say_what_is_missing_and_how_to_get_it(viewer) -> None:
    node()
    told = {env["name"]: env for env in viewer.get("/api/v1/environments/").json()}
    assert told.keys() == {"subprocess", "docker", "systemd", "sandbox"}
    assert told["subprocess"]["available"]
    assert not told["docker"]["available"]
    assert told["docker"]["reason"] == "no node that is up offers docker"
    assert told["docker"]["install"]


def test_warnings_tell_what_will_not_work(admin) -> None:
    node()
    raw = {**PLAIN, "cpu": 4, "gpu": 1, "cascades": ["b"]}
    told = " ".join(admin.post(URL, raw).json()["warnings"])
    assert "largest node known has 2 cores and 0 GPUs" in told
    assert "cascades to b, which is not registered" in told
    assert "assumed: memory 128MB" in told


def test_a_circle_of_cascades_is_a_warning_not_a_refusal(admin) -> None:
    admin.post(URL, {**PLAIN, "cascades": ["b"]})
    answer = admin.post(URL, {**PLAIN, "agent_id": "b", "cascades": ["a"]})
    assert answer.status_code == 201
    assert any("circle: b → a → b" in said for said in answer.json()["warnings"])
