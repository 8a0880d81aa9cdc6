"""What the page of settings asks for: a change tried and taken back, tokens that end,
how the parts are, the demo fleet; and the journal as the page of audit reads it.
"""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import live_config, sealing
from agents.config_keys import KEYS
from agents.config_words import ABOUT
from agents.http import iso
from agents.journal import Entry, record_many
from agents.models import Agent, ConfigOverride, Event
from kos_scheduler import tokens
from kos_scheduler.models import ApiToken
from monitor import audit
from scheduling.models import Schedule
from tests.conftest import NOON

API = "/api/v1/"
pytestmark = pytest.mark.django_db


# -- the configuration ----------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
def test_every_key_says_what_it_is_for(key: str) -> None:
    assert ABOUT[key][0].isupper()


def test_a_dry_run_of_a_change_tells_it_and_changes_nothing(admin: Any) -> None:
    body = {"max_concurrent_agents": 3, "heartbeat_interval": 5}
    told = admin.patch(f"{API}config/?dry_run=true", body).json()
    change = {"key": "max_concurrent_agents", "before": 12, "after": 3}
    assert told["changed"] == [{**change, "needs_restart": False}]
    assert not ConfigOverride.objects.exists()
    assert not Event.objects.exists()


def test_a_dry_run_refuses_what_the_change_would(admin: Any) -> None:
    wrong = {"scheduler_mode": "x"}
    refused = admin.patch(f"{API}config/?dry_run=true", wrong)
    assert (refused.status_code, list(refused.json()["fields"])) == (
        400,
        ["scheduler_mode"],
    )


def test_a_change_answers_with_what_takes_it_back(admin: Any) -> None:
    admin.patch(f"{API}config/", {"max_concurrent_agents": 7})
    changed = {"max_concurrent_agents": 3, "nodes.down_after": 99}
    undo = admin.patch(f"{API}config/", changed).json()["undo"]
    assert undo == {"max_concurrent_agents": 7, "nodes.down_after": None}
    admin.patch(f"{API}config/", undo)
    assert live_config.overrides() == {"max_concurrent_agents": 7}
    data = Event.objects.filter(kind="config.changed").order_by("id").last().data  # type: ignore[union-attr]
    assert {data["before"], data["after"]} <= {3, 7, 99, 30}


# -- tokens ------------------------


def test_a_token_ends_by_itself(admin: Any) -> None:
    soon = iso(timezone.now() + timedelta(hours=1))
    made = admin.post(f"{API}tokens/", {"name": "ci", "expires_at": soon}).json()
    assert made["expires_at"] == soon
    assert tokens.find(made["token"], now=timezone.now()) is not None
    later = timezone.now() + timedelta(hours=2)
    assert tokens.find(made["token"], now=later) is None
    assert "token" not in admin.get(f"{API}tokens/").json()["items"][0]


def test_a_token_cannot_have_ended_before_it_is_made(admin: Any) -> None:
    body = {"name": "ci", "expires_at": "2020-01-01T00:00:00Z"}
    refused = admin.post(f"{API}tokens/", body)
    assert (refused.status_code, list(refused.json()["fields"])) == (
        400,
        ["expires_at"],
    )
    assert not ApiToken.objects.exists()


# -- the parts, and the demo fleet ------------------------


def test_the_parts_say_what_they_lack(viewer: Any, admin: Any) -> None:
    told = viewer.get(f"{API}about/").json()
    parts = {part["name"]: part for part in told["parts"]}
    assert parts["Scheduler"]["state"] == "bad"
    assert parts["Nodes"]["text"] == "no node has joined yet"
    assert parts["Valkey"]["state"] == "good"
    assert "paths" not in told
    assert "paths" in admin.get(f"{API}about/").json()


def test_the_demo_fleet_comes_into_an_empty_registry_alone(
    admin: Any, editor: Any
) -> None:
    assert editor.post(f"{API}demo/", {}).status_code == 403
    loaded = admin.post(f"{API}demo/", {})
    assert loaded.status_code == 201
    assert Agent.objects.count() == loaded.json()["agents"] == 10
    assert Schedule.objects.count() == loaded.json()["schedules"]
    assert admin.post(f"{API}demo/", {}).status_code == 409


# -- the journal ------------------------


@pytest.fixture
def journal(settings: Any, tmp_path: Path) -> None:
    settings.VAR = tmp_path
    record_many(
        [
            Entry("agent.registered", "agent:mail", "user:anna", NOON),
            Entry("config.changed", "config:x", "token:ci", NOON, {"before": 1}),
            Entry("agent.enabled", "agent:mail", "user:bob", NOON, {"via": "admin"}),
            Entry("run.queued", "run:1", "scheduler", NOON + timedelta(hours=1)),
            Entry("agent.registered", "agent:=cmd", "voice:hall", NOON),
        ]
    )
    sealing.seal_pending(NOON, sealing.sealing_key())
    sealing.write_head(sealing.head_path())


def seqs(client: Any, query: str) -> list[int]:
    return [e["seq"] for e in client.get(f"{API}audit/?{query}").json()["items"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("actor=anna", [1]),
        ("kind=agent.", [1, 3, 5]),
        ("object=config", [2]),
        ("subject=agent:mail", [1, 3]),
        ("way=page", [1]),
        ("way=admin", [3]),
        ("way=api", [2]),
        ("way=voice", [5]),
        ("way=system", [4]),
        ("q=MAIL", [1, 3]),
        ("from=2026-11-23T12:30:00Z", [4]),
        ("to=2026-11-23T12:30:00Z&order=newest&limit=2", [5, 3]),
    ],
)
def test_the_journal_is_filtered(
    viewer: Any, journal: None, query: str, found: list[int]
) -> None:
    assert seqs(viewer, query) == found


def test_a_page_looks_through_so_much_and_goes_on(
    viewer: Any, journal: None, monkeypatch: Any
) -> None:
    monkeypatch.setattr("monitor.audit_list.SPAN", 2)
    for order, step, found in (("newest", "before", [1]), ("oldest", "since", [1])):
        seen, at = [], ""
        for _ in range(6):
            path = f"{API}audit/?actor=anna&order={order}{at}"
            page = viewer.get(path).json()
            seen += [entry["seq"] for entry in page["items"]]
            if page["next"] is None:
                break
            at = f"&{step}={page['next']}"
        assert (order, seen, page["next"]) == (order, found, None)


def test_the_way_is_told_and_a_change_in_the_admin_is_known(
    viewer: Any, admin: Any, make_agent: Any
) -> None:
    agent = make_agent()
    form = {"action": "disable", "_selected_action": [agent.pk]}
    answer = admin.post("/admin/agents/agent/", form, format="multipart")
    assert answer.status_code == 302, answer.content
    admin.patch(f"{API}config/", {"max_concurrent_agents": 3})
    sealing.seal_pending(NOON, sealing.sealing_key())
    told = viewer.get(f"{API}audit/?order=newest").json()["items"]
    ways = {entry["kind"]: entry["way"] for entry in told}
    assert ways["config.changed"] == "page"
    assert ways["agent.disabled"] == "admin"


def test_what_is_filtered_is_exported_whole(viewer: Any, journal: None) -> None:
    answer = viewer.get(f"{API}audit/export/?format=csv&kind=agent.")
    text = b"".join(answer.streaming_content).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["seq"] for row in rows] == ["1", "3", "5"]
    assert rows[1]["data"] == '{"via":"admin"}'
    answer = viewer.get(f"{API}audit/export/?format=json&kind=agent.")
    assert b"".join(answer.streaming_content).count(b'"seq"') == 3
    assert "audit.json" in answer["Content-Disposition"]


def test_nothing_in_the_export_is_computed_by_a_spreadsheet(
    viewer: Any, journal: None
) -> None:
    record_many([Entry("a.b", "=1+1", "@x", NOON)])
    sealing.seal_pending(NOON, sealing.sealing_key())
    answer = viewer.get(f"{API}audit/export/?kind=a.b")
    text = b"".join(answer.streaming_content).decode()
    assert "'=1+1" in text
    assert "'@x" in text


def test_the_chain_is_verified_part_by_part(
    viewer: Any, journal: None, monkeypatch: Any
) -> None:
    record_many([Entry("a.b", "a:1", "x", NOON)])
    sealing.seal_pending(NOON, sealing.sealing_key())
    sealing.write_head(sealing.head_path())
    monkeypatch.setattr(audit, "PART_EVENTS", 1)
    first = viewer.get(f"{API}audit/verify/?after=0").json()
    assert (first["events"], first["next"], first["last"]) == (5, 5, 6)
    second = viewer.get(f"{API}audit/verify/?after=5").json()
    assert (second["events"], second["next"], second["ok"]) == (1, None, True)
    Event.objects.filter(seq=6).update(actor="nobody")
    assert viewer.get(f"{API}audit/verify/?after=0").json()["ok"]
    broken = viewer.get(f"{API}audit/verify/?after=5").json()
    assert broken["findings"][0]["fault"] == "changed"


def test_a_changed_schedule_leaves_what_it_was_and_is(editor: Any, agent: Any) -> None:
    made = editor.post(f"{API}schedules/", {"agent": "worker", "cron": "0 9 * * *"})
    path = f"{API}schedules/{made.json()['id']}/"
    assert editor.patch(path, {"cron": "0 10 * * *"}).status_code == 200
    data = Event.objects.get(kind="schedule.changed").data
    assert data["before"] == {"cron": "0 9 * * *"}
    assert data["after"] == {"cron": "0 10 * * *"}
