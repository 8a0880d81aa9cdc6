"""The registry in Django's admin, page by page, as the admin and as nobody."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin as django_admin
from django.urls import reverse

from agents import agent_registry, secret_store
from agents.models import Agent, Event, Node, Secret
from scheduling import (
    backfills,
    calendars,
    feeds,
    graph_runs,
    graphs,
    inbound,
    node_history,
    runs,
    saved_views,
    schedules,
    sensors,
    windows,
)
from scheduling.calendar_models import Calendar
from scheduling.models import Delivery, Gap, MissedDeadlines, Occurrence, Run
from tests.conftest import NOON

OURS = [
    model
    for model in django_admin.site._registry
    if model._meta.app_label in ("agents", "scheduling")
]
PLAIN = {"agent_id": "a", "exec_env": "subprocess", "entry_point": "/bin/true"}


WRITTEN = (Agent, Calendar, Secret)  # have a form


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", args=args)


AGENTS, ADD = page("agents_agent_changelist"), page("agents_agent_add")


@pytest.fixture
def a_bit_of_everything(agent: Agent) -> Run:
    by = {"actor": "user:test", "now": NOON}
    agent_registry.change(agent, {"tags": ["<b>"]}, may_unsandboxed=True, **by)
    schedule = schedules.create(agent, {"cron": "0 9 * * *"}, **by)
    run = runs.request_run(agent, params={"a": 1}, **by)
    when = {"from_at": NOON, "to_at": NOON, "recorded_at": NOON}
    Gap.objects.create(schedule=schedule, count=3, outcome="missed", reason="x", **when)
    Occurrence.objects.create(
        schedule=schedule, key="20261123T090000Z", due_at=NOON, state="skipped"
    )
    Delivery.objects.create(run=run, sink="cascade", target="b", created_at=NOON)
    Node.objects.create(name="n", cpu_millis=1, memory_bytes=1)
    shape = {"name": "heat", "source": "rest", "type": "number"}
    sensor = sensors.create(shape, **by)
    sensors.set_value(sensor, 21.5, at=None, now=NOON)
    graph = graphs.create({"name": "g", "nodes": [{"agent": agent.agent_id}]}, **by)
    graph_runs.start(graph, params={}, **by)
    wish = backfills.Wish(NOON - timedelta(days=2), NOON)
    backfills.create(schedule, wish, **by)
    secret_store.put("key", "never-shown", actor="user:test", now=NOON)
    hook, _ = inbound.create("deploy", **by)
    inbound.accept(hook, "msg_1", {}, size=2, now=NOON)
    weekly = {"cron": "0 3 * * SUN", "duration": "2h"}
    windows.create({"name": "w", "kind": "blackout", **weekly}, **by)
    calendars.create({"name": "holidays", "yearly": ["12-25"]}, **by)
    feeds.create({"name": "all"}, **by)
    view = {"name": "mine", "path": "/schedule", "query": "zoom=1d"}
    saved_views.create(view, owner="admin", now=NOON)
    node_history.keep("n", NOON, {"cpu_fraction": 0.5}, now=NOON)
    MissedDeadlines.objects.create(agent=agent, count=1)
    return run


@pytest.mark.parametrize("model", OURS, ids=lambda m: m.__name__)
def test_each_list_is_shown_searched_and_filtered(
    admin, a_bit_of_everything, model
) -> None:
    url = page(f"{model._meta.app_label}_{model._meta.model_name}_changelist")
    for query in ({}, {"q": "worker"}, {"q": "a\"b'c%"}):
        assert admin.get(url, query).status_code == 200
    for chosen in django_admin.site._registry[model].list_filter:
        if isinstance(chosen, type):
            query = {chosen.parameter_name: "all"}
            assert admin.get(url, query).status_code == 200


@pytest.mark.parametrize("model", OURS, ids=lambda m: m.__name__)
def test_each_row_is_shown_and_only_agents_can_be_edited(
    admin, a_bit_of_everything, model
) -> None:
    name = f"{model._meta.app_label}_{model._meta.model_name}"
    row = model.objects.first()
    assert admin.get(page(f"{name}_change", row.pk)).status_code == 200
    may_add = admin.get(page(f"{name}_add")).status_code
    assert may_add == (200 if model in WRITTEN else 403)
    assert admin.post(page(f"{name}_delete", row.pk)).status_code == 403
    if model not in WRITTEN:
        assert admin.post(page(f"{name}_change", row.pk), {}).status_code == 403


def test_there_is_a_page_for_every_part_of_the_registry() -> None:
    names = {model.__name__ for model in OURS}
    assert names >= {
        *("Agent", "Node", "Event", "Schedule", "Occurrence"),
        *("Gap", "Run", "Delivery"),
    }


def post(client: Any, url: str, definition: Any) -> Any:
    text = definition if isinstance(definition, str) else json.dumps(definition)
    versions = {"versions-TOTAL_FORMS": 0, "versions-INITIAL_FORMS": 0}
    return client.post(url, {"definition": text, **versions}, format="multipart")


def test_an_agent_is_added_by_its_definition(admin) -> None:
    answer = post(admin, ADD, {**PLAIN, "memory": "1GB"})
    assert answer.status_code == 302, answer.content
    agent = agent_registry.resolve("a")
    assert agent.spec["memory_bytes"] == 10**9
    assert Event.objects.get(kind="agent.registered").actor == "user:admin"


def test_a_change_makes_a_version_and_shows_the_earlier_ones(admin, agent) -> None:
    url = page("agents_agent_change", agent.pk)
    definition = {**PLAIN, "agent_id": "worker", "tags": ["nightly"]}
    assert post(admin, url, definition).status_code == 302
    assert agent_registry.resolve("worker").current.number == 2
    shown = admin.get(url).content.decode()
    assert "nightly" in shown
    assert "registered" in shown


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ('{"a": 1, "a": 2}', "a is there twice"),
        pytest.param("[" * 50_000, "not JSON", id="deep"),
        ({**PLAIN, "memory": "4Gb"}, "memory: expected an amount"),
        ({**PLAIN, "priorty": "high"}, "did you mean priority"),
        ({**PLAIN, "agent_id": "WORKER"}, "WORKER is registered already"),
        ({**PLAIN, "run_as": "nobody"}, "not as nobody"),
    ],
)
def test_a_definition_at_fault_is_told_beside_the_field(
    admin, agent, definition, said: str
) -> None:
    answer = post(admin, ADD, definition)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert Agent.objects.count() == 1


def act(client: Any, url: str, action: str, *rows: Any) -> str:
    chosen = {"action": action, "_selected_action": [row.pk for row in rows]}
    answer = client.post(url, chosen, format="multipart", follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_agents_are_started_stopped_enabled_and_retired(admin, agent) -> None:
    assert "1 started" in act(admin, AGENTS, "start", agent)
    assert Run.objects.get().requested_by == "user:admin"
    assert "has 1 run that" in act(admin, AGENTS, "retire", agent)
    assert "1 stopped" in act(admin, AGENTS, "stop", agent)
    assert "1 disabled" in act(admin, AGENTS, "disable", agent)
    assert "1 enabled" in act(admin, AGENTS, "enable", agent)
    assert "1 retired" in act(admin, AGENTS, "retire", agent)


def test_a_retired_agent_is_shown_but_not_edited(admin, agent) -> None:
    agent_registry.retire(agent, actor="user:test", now=NOON)
    url = page("agents_agent_change", agent.pk)
    assert "/bin/true" in admin.get(url).content.decode()
    assert post(admin, url, PLAIN).status_code == 403
    assert "worker" not in admin.get(AGENTS).content.decode()
    assert "worker" in admin.get(AGENTS, {"in_use": "retired"}).content.decode()


def test_runs_and_schedules_have_their_actions(admin, a_bit_of_everything) -> None:
    run, schedule = a_bit_of_everything, a_bit_of_everything.agent.schedules.get()
    runs_page = page("scheduling_run_changelist")
    assert "1 held" in act(admin, runs_page, "hold", run)
    assert "1 boosted" in act(admin, runs_page, "boost", run)
    assert "1 released" in act(admin, runs_page, "release", run)
    assert "1 stopped" in act(admin, runs_page, "stop", run)
    assert "1 queued again" in act(admin, runs_page, "retry", run)
    schedules_page = page("scheduling_schedule_changelist")
    assert "1 paused" in act(admin, schedules_page, "pause", schedule)
    assert "paused by" in act(admin, schedules_page, "pause", schedule)
    assert "1 resumed" in act(admin, schedules_page, "resume", schedule)


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
def test_the_admin_is_for_admins(client_of, role: str) -> None:
    assert client_of(role).get(AGENTS).status_code == 403
