"""What several of these tests start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.models import Node
from scheduling import durations, planned, runs
from scheduling.models import Schedule
from tests.conftest import NOON
from tests.db.log_fixtures import Log
from tests.db.schedule_fixtures import plan


@pytest.fixture
def log(db, agent, settings, tmp_path: Path, viewer) -> Log:
    settings.VAR = tmp_path
    run = runs.request_run(agent, actor="user:test", now=NOON)
    type(run).objects.filter(pk=run.pk).update(started_at=NOON)
    return Log(run, viewer)


@pytest.fixture
def daily(agent: Any) -> Schedule:
    return plan(agent, cron="0 13 * * *")


@pytest.fixture
def no_memory_of_other_tests() -> None:
    durations.forget()
    planned._walks.clear()


@pytest.fixture
def node() -> Node:
    return Node.objects.create(
        name="n1",
        cpu_millis=4000,
        memory_bytes=8 * 10**9,
        heartbeat_at=NOON,
        environments=["subprocess"],
    )
