"""The names the product was asked for stay findable, each saying what it is."""

from __future__ import annotations

import ast

import pytest

from tests.house.tree import ROOT, parsed

SEED_FILES = [
    "scheduling/agent_scheduler.py",
    "scheduling/task_queue.py",
    "agents/agent_registry.py",
    "monitor/resource_manager.py",
    "monitor/agent_status_monitor.py",
    "agents/agent_lifecycle_hooks.py",
    "scheduling/result_dispatcher.py",
]


@pytest.mark.parametrize("name", SEED_FILES)
def test_a_file_of_the_seed_is_there_and_says_which_part_it_is(name: str) -> None:
    said = ast.get_docstring(parsed(ROOT / name)) or ""
    assert "seed" in said


def test_the_seeds_configuration_file_is_there() -> None:
    assert (ROOT / "kos_scheduler/scheduler_config.yaml").is_file()


def test_the_seeds_view_is_there() -> None:
    views = (ROOT / "frontend/src/schedule").glob("*.svelte")
    assert any("AgentScheduleView" in view.read_text() for view in views)
