"""`manage.py apply`: a fleet file is planned, shown and made so, once."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils.timezone import now

from agents import agent_registry
from agents.models import Agent, AgentVersion
from scheduling import runs, schedules
from scheduling.models import Schedule
from tests.conftest import NOON

pytestmark = pytest.mark.django_db

FLEET = """
agents:
  - agent_id: reporter
    exec_env: subprocess
    entry_point: ${PYTHON}
    args: ["${FLEET_DIR}/report.py", "$${HOME}", "${VAR}"]
    priority: high
    depends_on: [watcher]
  - agent_id: watcher
    exec_env: subprocess
    entry_point: /bin/true
    kind: persistent
schedules:
  - agent: reporter
    cron: "0 9 * * MON-FRI"
    timezone: Europe/Berlin
  - agent: reporter
    interval: 15m
    overlap: buffer_one
  - agent: reporter
    run_at: in 20m
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Any:
    """Write the text as a fleet file and apply it; what was printed comes back."""

    def apply(text: str = FLEET, *options: str) -> str:
        path, out = tmp_path / "fleet.yaml", StringIO()
        path.write_text(text)
        call_command("apply", str(path), *options, stdout=out)
        return out.getvalue()

    return apply


def test_a_fleet_is_made_in_the_order_of_its_dependencies(fleet, tmp_path) -> None:
    said = fleet()
    assert said.splitlines()[:2] == [
        "create    agent watcher",
        "create    agent reporter",
    ]
    assert said.splitlines()[-1].startswith("done: 5 create, 0 change, 0 unchanged")
    args = agent_registry.resolve("reporter").spec["args"]
    assert args[:2] == [f"{tmp_path}/report.py", "${HOME}"]
    rules = set(Schedule.objects.values_list("kind", "overlap"))
    assert rules == {("cron", "skip"), ("interval", "buffer_one"), ("run_at", "skip")}


def test_a_relative_one_off_is_due_that_much_later(fleet) -> None:
    before = now()
    fleet()
    due = Schedule.objects.get(kind="run_at").next_due_at
    wait = due - before
    assert timedelta(minutes=19, seconds=58) < wait < timedelta(minutes=21)


def test_a_second_time_there_is_nothing_to_do(fleet) -> None:
    fleet()
    said = fleet()
    assert said.splitlines()[-1] == (
        "done: 0 create, 0 change, 5 unchanged, 0 retire, 0 end"
    )
    assert (AgentVersion.objects.count(), Schedule.objects.count()) == (2, 3)


def test_a_dry_run_shows_the_plan_and_makes_nothing(fleet) -> None:
    said = fleet(FLEET, "--dry-run")
    assert "create    agent watcher" in said
    assert "would be: 5 create" in said
    assert not Agent.objects.exists()


def test_only_what_was_changed_in_the_file_changes(fleet) -> None:
    fleet()
    said = fleet(
        FLEET.replace("priority: high", "priority: low").replace(
            "overlap: buffer_one", "overlap: allow_all"
        )
    )
    assert "change    agent reporter: priority" in said
    assert "change    schedule of reporter: every 900 s (overlap)" in said
    assert agent_registry.resolve("reporter").current.number == 2
    assert Schedule.objects.get(kind="interval").overlap == "allow_all"
    assert Schedule.objects.count() == 3


def test_a_key_taken_out_of_the_file_goes_back_to_its_default(fleet) -> None:
    fleet()
    fleet(FLEET.replace("    overlap: buffer_one\n", ""))
    assert Schedule.objects.get(kind="interval").overlap == "skip"


def test_what_a_person_disabled_stays_disabled(fleet) -> None:
    fleet()
    agent = agent_registry.resolve("watcher")
    agent_registry.set_enabled(agent, False, actor="user:anna", now=NOON)
    fleet()
    assert not agent_registry.resolve("watcher").enabled


def test_prune_retires_only_what_apply_has_made(fleet, make_agent) -> None:
    make_agent("somebody_elses")
    fleet()
    smaller = FLEET.split("schedules:")[0].replace("    depends_on: [watcher]\n", "")
    smaller = smaller.split("  - agent_id: watcher")[0]
    assert "0 retire" in fleet(smaller)
    said = fleet(smaller, "--prune")
    assert "retire    agent watcher" in said
    assert said.count("end       schedule of reporter") == 3
    left = {agent.agent_id for agent in agent_registry.find()}
    assert left == {"reporter", "somebody_elses"}
    assert not Schedule.objects.filter(ended_at=None).exists()


def test_a_retired_agent_comes_back_when_it_is_in_the_file(fleet) -> None:
    fleet()
    agent = agent_registry.resolve("watcher")
    agent_registry.retire(agent, actor="user:anna", now=NOON)
    assert "create    agent watcher" in fleet()
    assert agent_registry.resolve("watcher").current.number == 2


def test_a_one_off_that_is_over_is_not_planned_again(fleet) -> None:
    fleet()
    one_off = Schedule.objects.get(kind="run_at")
    schedules.end(one_off, actor="user:anna", now=now())
    assert "5 unchanged" in fleet()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents: [", "fleet.yaml: line 1: not YAML"),
        ("agents: []\nagents: []", "already stands on line 1"),
        ("a: &x 1", "anchors"),
        ("[]", "expected the keys agents and schedules"),
        ("nodes: []", "nodes: expected only the keys"),
        ("agents: {}", "fleet.yaml:1: agents must be a list"),
        ("agents: [x]", "agents[1]: expected keys and values"),
        ("agents:\n- agent_id: a", "agents[1] (a): exec_env: is required"),
        (
            "agents:\n- {agent_id: a, exec_env: subprocess, entry_point: '${X}'}",
            "unknown variable 'X'",
        ),
        (
            "schedules:\n- {agent: ghost, cron: '* * * * *'}",
            "there is no agent 'ghost'",
        ),
        (
            FLEET.replace("0 9 * * MON-FRI", "0 99 * * *"),
            "schedules[1] (reporter): cron",
        ),
        (FLEET.replace("in 20m", "in a while"), "schedules[3] (reporter): run_at"),
        (FLEET.replace("agent_id: watcher", "agent_id: Reporter"), "is also at"),
        (
            FLEET.replace("kind: persistent", "depends_on: [reporter]"),
            "forms a circle",
        ),
    ],
)
def test_a_fault_names_file_and_entry_and_nothing_is_made(fleet, text, said) -> None:
    with pytest.raises(CommandError) as refused:
        fleet(text)
    assert said in str(refused.value)
    assert not Agent.objects.exists()


def test_all_faults_are_listed_at_once(fleet) -> None:
    with pytest.raises(CommandError) as refused:
        fleet(FLEET.replace("priority: high", "priority: hi").replace("15m", "0s"))
    assert len(str(refused.value).splitlines()) >= 2


def test_a_step_that_fails_takes_back_all_of_them(fleet) -> None:
    fleet()
    watcher = agent_registry.resolve("watcher")
    runs.request_run(watcher, actor="user:anna", now=NOON)
    smaller = FLEET.replace("depends_on: [watcher]", "tags: [x]").split(
        "  - agent_id: watcher"
    )[0]
    with pytest.raises(CommandError, match="nothing was applied: retire watcher"):
        fleet(smaller, "--prune")
    assert agent_registry.resolve("reporter").current.number == 1


def test_a_file_that_is_not_there_is_told_by_its_name(db) -> None:
    with pytest.raises(CommandError, match=r"/no/such\.yaml: No such file"):
        call_command("apply", "/no/such.yaml")
