"""Agents and their versions: register, change, roll back, enable, retire, find."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from agents import agent_registry
from agents.allowed import Rules
from agents.errors import (
    AlreadyExists,
    ChangedMeanwhile,
    Forbidden,
    Invalid,
    KosError,
    NotAllowedNow,
    NotFound,
)
from agents.models import Agent, AgentVersion, Event
from scheduling import runs, schedules
from tests.conftest import NOON

BY = {"actor": "user:test", "now": NOON}
ADMIN = {**BY, "may_unsandboxed": True}
EDITOR = {**BY, "may_unsandboxed": False}
PLAIN = {"exec_env": "subprocess", "entry_point": "/bin/true"}
BOXED = {"exec_env": "sandbox", "entry_point": "/bin/true"}

pytestmark = pytest.mark.django_db


def kinds() -> list[str]:
    return list(Event.objects.order_by("pk").values_list("kind", flat=True))


def test_registering_makes_one_version_and_one_event() -> None:
    agent = agent_registry.register({"agent_id": "a", **PLAIN}, **ADMIN)
    assert agent.current.number == 1
    assert agent.current.created_by == "user:test"
    event = Event.objects.get()
    assert (event.kind, event.subject) == ("agent.registered", "agent:a")
    assert event.actor == "user:test"


def test_the_same_definition_again_changes_nothing(make_agent) -> None:
    agent = make_agent("a", tags=["x"])
    agent_registry.replace(agent, {"agent_id": "a", **PLAIN, "tags": ["x"]}, **ADMIN)
    agent_registry.change(agent, {"tags": ["x"]}, **ADMIN)
    assert agent.versions.count() == 1
    assert kinds() == ["agent.registered"]


def test_a_version_of_before_is_the_same_though_it_lacks_later_keys(make_agent) -> None:
    agent = make_agent("a")
    old = dict(agent.current.spec)
    for key in ("readiness", "liveness", "watchdog_s"):
        del old[key]
    AgentVersion.objects.filter(pk=agent.current_id).update(spec=old)
    agent = agent_registry.resolve("a")
    agent_registry.replace(agent, {"agent_id": "a", **PLAIN}, **ADMIN)
    assert agent.versions.count() == 1
    agent_registry.replace(agent, {"agent_id": "a", **PLAIN, "watchdog": 5}, **ADMIN)
    assert agent.versions.count() == 2


def test_a_change_is_a_further_version_and_the_old_one_stays_as_it_was(
    make_agent,
) -> None:
    agent = make_agent("a", memory="1GB")
    changed = agent_registry.change(agent, {"memory": "2GB", "cpu": 1}, **ADMIN)
    sizes = changed.versions.order_by("number").values_list(
        "spec__memory_bytes", flat=True
    )
    assert list(sizes) == [10**9, 2 * 10**9]
    assert changed.spec["assumed"] == []
    assert kinds() == ["agent.registered", "agent.changed"]


def test_null_takes_a_key_back_to_its_default(make_agent) -> None:
    agent = make_agent("a", memory="1GB", timeout="5m")
    changed = agent_registry.change(agent, {"memory": None, "timeout": None}, **ADMIN)
    assert changed.spec["assumed"] == ["cpu", "memory"]
    assert changed.spec["timeout_s"] is None


def test_the_columns_of_the_list_follow_the_definition(make_agent) -> None:
    changed = agent_registry.change(
        make_agent("a"), {"priority": "high", "kind": "persistent"}, **ADMIN
    )
    stored = Agent.objects.get(pk=changed.pk)
    assert (stored.priority, stored.kind) == (3, "persistent")


def test_an_id_cannot_be_changed(make_agent) -> None:
    with pytest.raises(Invalid, match="cannot change"):
        agent_registry.change(make_agent("a"), {"agent_id": "b"}, **ADMIN)


def test_who_looked_at_an_older_version_is_told(make_agent) -> None:
    agent = make_agent("a")
    agent_registry.change(agent, {"cpu": 1}, **ADMIN)
    with pytest.raises(ChangedMeanwhile, match="is at version 2, not 1"):
        agent_registry.change(agent, {"cpu": 2}, base_version=1, **ADMIN)


def test_two_changes_from_the_same_stale_row_are_both_kept(make_agent) -> None:
    mine, theirs = make_agent("a"), Agent.objects.get()
    agent_registry.change(mine, {"cpu": 1}, **ADMIN)
    agent_registry.change(theirs, {"gpu": 2}, **ADMIN)
    spec = agent_registry.resolve("a").spec
    assert (spec["cpu_millis"], spec["gpus"]) == (1000, 2)


def test_a_rollback_is_a_further_version_with_the_old_definition(make_agent) -> None:
    agent = agent_registry.change(make_agent("a"), {"tags": ["new"]}, **ADMIN)
    back = agent_registry.rollback(agent, 1, **ADMIN)
    assert (back.current.number, back.tags) == (3, [])
    assert back.current.note == "rolled back to version 1"
    assert kinds()[-1] == "agent.rolled_back"


def test_a_rollback_to_nowhere_or_to_the_current_version_changes_nothing(
    make_agent,
) -> None:
    agent = make_agent("a")
    agent_registry.rollback(agent, 1, **ADMIN)
    with pytest.raises(NotFound, match="no version 7"):
        agent_registry.rollback(agent, 7, **ADMIN)
    assert AgentVersion.objects.count() == 1


@pytest.mark.parametrize("twin", ["Worker", "worker", "WORKER"])
def test_ids_that_differ_only_in_case_are_one(make_agent, twin: str) -> None:
    make_agent("worker")
    with pytest.raises(AlreadyExists) as refused:
        make_agent(twin)
    assert "agent_id" in refused.value.fields
    assert Agent.objects.count() == 1


def test_enabling_is_no_version_and_is_told_once(make_agent) -> None:
    agent = make_agent("a")
    for _ in range(2):
        agent_registry.set_enabled(agent, False, **BY)
    agent_registry.change(agent, {"enabled": True}, **ADMIN)
    assert kinds() == ["agent.registered", "agent.disabled", "agent.enabled"]
    assert agent.versions.count() == 1


def test_a_change_leaves_a_disabled_agent_disabled(make_agent) -> None:
    agent = agent_registry.set_enabled(make_agent("a"), False, **BY)
    assert not agent_registry.change(agent, {"cpu": 1}, **ADMIN).enabled


# --- who may ----------------------------------------------------------------------


@pytest.mark.parametrize("exec_env", ["subprocess", "systemd"])
def test_only_an_admin_defines_agents_without_a_sandbox(db, exec_env: str) -> None:
    raw = {"agent_id": "a", **PLAIN, "exec_env": exec_env}
    with pytest.raises(Forbidden) as refused:
        agent_registry.register(raw, **EDITOR)
    assert "exec_env" in refused.value.fields
    assert not Agent.objects.exists()


def test_an_editor_may_not_change_or_bring_back_an_unsandboxed_agent(
    make_agent,
) -> None:
    agent = make_agent("a")
    boxed = agent_registry.change(agent, {"exec_env": "sandbox"}, **ADMIN)
    agent_registry.change(boxed, {"cpu": 1}, **EDITOR)
    with pytest.raises(Forbidden):
        agent_registry.rollback(boxed, 1, **EDITOR)
    with pytest.raises(Forbidden):
        agent_registry.change(boxed, {"exec_env": "subprocess"}, **EDITOR)


def test_an_agent_runs_only_as_a_user_of_the_list(db) -> None:
    raw = {"agent_id": "a", **PLAIN, "run_as": "backup"}
    with pytest.raises(Forbidden, match="as nobody here, not as backup"):
        agent_registry.register(raw, **ADMIN)
    allowed = Rules(run_as_users=("backup",))
    assert agent_registry.register(raw, rules=allowed, **ADMIN).spec["run_as"]


def test_a_program_of_the_host_stays_under_the_allowed_folders(db) -> None:
    rules = Rules(entry_roots=("/opt/agents",))
    for path in ("/bin/true", "true", "/opt/agents2/x"):
        raw = {"agent_id": "a", "exec_env": "subprocess", "entry_point": path}
        with pytest.raises(Invalid, match="must be under /opt/agents"):
            agent_registry.register(raw, rules=rules, **ADMIN)
    raw["entry_point"] = "/opt/agents/x"
    agent_registry.register(raw, rules=rules, **ADMIN)


def test_a_folder_of_this_machine_is_no_program(db, tmp_path) -> None:
    raw = {"agent_id": "a", "exec_env": "subprocess", "entry_point": str(tmp_path)}
    with pytest.raises(Invalid, match="is a folder"):
        agent_registry.register(raw, **ADMIN)


# --- depends_on -------------------------------------------------------------------


def test_a_dependency_on_nobody_is_refused(make_agent) -> None:
    with pytest.raises(Invalid, match="no agent ghost to depend on"):
        make_agent("a", depends_on=["ghost"])


def test_a_dependency_that_closes_a_circle_is_refused_with_the_circle(
    make_agent,
) -> None:
    a = make_agent("a")
    make_agent("b", depends_on=["a"])
    make_agent("c", depends_on=["b"])
    with pytest.raises(Invalid, match="a → c → b → a") as refused:
        agent_registry.change(a, {"depends_on": ["c"]}, **ADMIN)
    assert "depends_on" in refused.value.fields
    assert agent_registry.resolve("a").spec["depends_on"] == []


# --- retire -----------------------------------------------------------------------


def test_an_agent_with_a_live_run_is_not_retired(make_agent) -> None:
    agent = make_agent("a")
    run = runs.request_run(agent, **BY)
    with pytest.raises(NotAllowedNow, match="1 run that"):
        agent_registry.retire(agent, **BY)
    runs.stop(run, **BY)
    assert agent_registry.retire(agent, **BY).retired_at == NOON


def test_a_retired_agent_is_gone_but_its_history_stays(make_agent) -> None:
    agent_registry.retire(make_agent("a"), **BY)
    with pytest.raises(NotFound):
        agent_registry.resolve("a")
    assert agent_registry.resolve("a", retired_too=True).versions.count() == 1
    assert list(agent_registry.find()) == []
    assert kinds() == ["agent.registered", "agent.retired"]


def test_a_retired_id_comes_back_with_its_history(make_agent) -> None:
    agent_registry.retire(make_agent("a"), **BY)
    again = make_agent("a", tags=["second"])
    assert (again.current.number, again.tags, again.enabled) == (2, ["second"], True)
    assert agent_registry.resolve("a").pk == again.pk


def test_a_retired_agent_cannot_be_changed(make_agent) -> None:
    agent = agent_registry.retire(make_agent("a"), **BY)
    with pytest.raises(NotAllowedNow, match="is retired"):
        agent_registry.change(agent, {"cpu": 1}, **ADMIN)


def test_who_keeps_something_for_an_agent_hears_of_its_retiring(make_agent) -> None:
    heard: list[Any] = []

    def listen(sender: Any, agent: Agent, **about: Any) -> None:
        heard.append((agent.agent_id, about["actor"], about["now"]))

    agent_registry.retiring.connect(listen)
    try:
        agent_registry.retire(make_agent("a"), **BY)
    finally:
        agent_registry.retiring.disconnect(listen)
    assert heard == [("a", "user:test", NOON)]


def test_the_schedules_of_a_retired_agent_end_with_it(make_agent) -> None:
    agent = make_agent("a")
    schedules.create(agent, {"cron": "0 9 * * *"}, **BY)
    agent_registry.retire(agent, **BY)
    assert agent.schedules.get().ended_at == NOON
    assert agent.schedules.get().next_due_at is None


# --- find -------------------------------------------------------------------------


def test_agents_are_found_by_what_they_can_do(make_agent) -> None:
    make_agent("a", capabilities=["ocr", "vision"], tags=["nightly"])
    make_agent("b", capabilities=["ocr2"], kind="persistent")

    def found(**by: Any) -> list[str]:
        return [agent.agent_id for agent in agent_registry.find(**by)]

    assert found(capability="ocr") == ["a"]
    assert found(capability="OCR") == []
    assert found(tag="nightly") == ["a"]
    assert found(kind="persistent") == ["b"]
    assert found(text="A") == ["a"]
    assert found(capability='%" OR 1=1 --') == []


@pytest.mark.parametrize("agent_id", ["", "../x", "a\0b", "\ud800", "x" * 5000])
def test_an_id_that_cannot_be_is_simply_not_found(db, agent_id: str) -> None:
    with pytest.raises(NotFound):
        agent_registry.resolve(agent_id)


# --- at once ----------------------------------------------------------------------


def attempt(change: Any) -> str:
    try:
        change()
    except KosError as refusal:
        return refusal.code
    finally:
        connection.close()
    return "done"


@pytest.mark.django_db(transaction=True)
def test_of_twenty_who_register_one_id_at_once_one_wins() -> None:
    def register() -> None:
        agent_registry.register({"agent_id": "race", **BOXED}, **EDITOR)

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(attempt, [register] * 20))
    assert sorted(outcomes) == ["already_exists"] * 19 + ["done"]
    assert AgentVersion.objects.count() == Agent.objects.count() == 1
    assert kinds() == ["agent.registered"]


@pytest.mark.django_db(transaction=True)
def test_two_edits_at_once_cannot_close_a_circle_between_them(make_agent) -> None:
    agents = {name: make_agent(name, **BOXED) for name in "ab"}

    def depend(name: str, other: str) -> Any:
        return lambda: agent_registry.change(
            agents[name], {"depends_on": [other]}, **EDITOR
        )

    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(attempt, [depend("a", "b"), depend("b", "a")]))
    assert sorted(outcomes) == ["done", "invalid"]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_heard_of_a_change_that_was_rolled_back(make_agent) -> None:
    agent = make_agent("a")
    later = {**ADMIN, "now": NOON + timedelta(hours=1)}
    with transaction.atomic():
        agent_registry.change(agent, {"cpu": 1}, **later)
        transaction.set_rollback(True)
    assert kinds() == ["agent.registered"]
    assert agent_registry.resolve("a").current.number == 1
