"""What the leader looks after at each heartbeat."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.db import OperationalError

from scheduling import agent_scheduler, lease
from tests.conftest import NOON

pytestmark = pytest.mark.django_db


@pytest.fixture
def token() -> int:
    held = lease.acquire("me", ttl_s=60)
    assert held is not None
    return held


def test_a_chore_that_breaks_stops_none_behind_it(
    token: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[datetime] = []

    def breaks(*, now: datetime) -> None:
        raise ValueError("a row nobody thought of")

    def goes_on(*, now: datetime) -> None:
        done.append(now)

    monkeypatch.setattr(agent_scheduler, "CHORES", (breaks, goes_on))
    agent_scheduler.housekeep(token, now=NOON)
    assert done == [NOON]
    assert "a chore of the leader failed" in caplog.text


def test_a_database_that_is_away_is_no_fault_of_a_chore(
    token: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*, now: datetime) -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(agent_scheduler, "CHORES", (away,))
    with pytest.raises(OperationalError):
        agent_scheduler.housekeep(token, now=NOON)
