"""Changing the configuration of a running system, and what it leaves behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from agents import live_config
from agents.models import ConfigOverride, Event
from tests.conftest import NOON

CONFIG = "/api/v1/config/"
pytestmark = pytest.mark.django_db(transaction=True)


def key(answer: Any, name: str) -> dict[str, Any]:
    return next(item for item in answer.json()["items"] if item["key"] == name)


def test_every_key_tells_its_value_and_where_that_comes_from(viewer: Any) -> None:
    answer = viewer.get(CONFIG)
    assert answer.status_code == 200
    assert key(answer, "max_memory_usage")["value"] == "85%"
    assert key(answer, "max_memory_usage")["source"] == "file"
    assert key(answer, "nodes.down_after")["source"] == "default"


def test_a_change_is_in_force_at_once_and_has_its_event(admin: Any) -> None:
    answer = admin.patch(CONFIG, {"max_concurrent_agents": 3})
    assert key(answer, "max_concurrent_agents")["source"] == "override"
    assert live_config.current().max_concurrent_agents == 3
    event = Event.objects.get(kind="config.changed")
    assert (event.actor, event.data) == (
        "user:admin",
        {"key": "max_concurrent_agents", "before": 12, "after": 3},
    )


def test_null_takes_an_override_back(admin: Any) -> None:
    admin.patch(CONFIG, {"heartbeat_interval": 9})
    answer = admin.patch(CONFIG, {"heartbeat_interval": None})
    assert key(answer, "heartbeat_interval")["value"] == 5
    assert not ConfigOverride.objects.exists()


def test_a_wrong_key_changes_nothing_and_all_faults_are_named(admin: Any) -> None:
    wrong = {"max_concurrent_agents": 3, "scheduler_mode": "x", "heartbeat_interval": 0}
    answer = admin.patch(CONFIG, wrong)
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == {"scheduler_mode", "heartbeat_interval"}
    assert not ConfigOverride.objects.exists()


@pytest.mark.parametrize("body", [{}, [], "x", {"max_concurent_agents": 1}])
def test_a_body_without_a_known_key_is_refused(admin: Any, body: Any) -> None:
    assert admin.patch(CONFIG, body).status_code == 400


def test_setting_what_already_is_leaves_no_event() -> None:
    live_config.set_override("max_concurrent_agents", 12, actor="user:t", now=NOON)
    assert not Event.objects.exists()


def test_a_whole_file_replaces_all_overrides(admin: Any) -> None:
    admin.patch(CONFIG, {"nodes.down_after": 99})
    file = "max_concurrent_agents: 7\nscheduler_mode: fifo\n"
    answer = admin.put(CONFIG, file, content_type="application/yaml")
    assert answer.status_code == 200
    config = live_config.current()
    assert (config.max_concurrent_agents, config.scheduler_mode) == (7, "fifo")
    assert config.nodes.down_after_s == 30


def test_a_wrong_file_is_refused_whole(admin: Any) -> None:
    file = "max_concurrent_agents: 7\nscheduler_mode: [priority]\n"
    answer = admin.put(CONFIG, file, content_type="application/yaml")
    assert (answer.status_code, list(answer.json()["fields"])) == (
        400,
        ["scheduler_mode"],
    )
    assert live_config.current().max_concurrent_agents == 12


def test_a_file_is_not_taken_as_json(admin: Any) -> None:
    assert admin.put(CONFIG, {"max_concurrent_agents": 7}).status_code == 400


def test_an_override_that_no_longer_fits_is_left_out(caplog: Any) -> None:
    ConfigOverride.objects.create(key="gone.key", value=1, set_at=NOON, set_by="u")
    assert live_config.current().max_concurrent_agents == 12
    assert "gone.key" in caplog.text


def test_another_processs_change_is_seen_after_the_cache_ends() -> None:
    live_config.current(100.0)
    ConfigOverride.objects.create(
        key="max_concurrent_agents", value=2, set_at=NOON, set_by="u"
    )
    assert live_config.current(100.9).max_concurrent_agents == 12
    assert live_config.current(101.1).max_concurrent_agents == 2


def test_check_config_exits_2_and_names_line_key_and_values(
    tmp_path: Path, capsys: Any
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("\nscheduler_mode: fast\n")
    with pytest.raises(SystemExit) as ended:
        call_command("check_config", file)
    said = capsys.readouterr().err
    assert ended.value.code == 2
    assert "c.yaml: line 2: scheduler_mode: expected one of fifo" in said
