"""Every key of every body with values of every odd kind: never a fault of ours.

The corpus holds cases people thought of; this holds the rule behind them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from kos_scheduler.config import KEYS
from scheduling.run_state import RunState
from tests.corpus.expand import BASES
from tests.corpus.world import API, World

pytestmark = pytest.mark.django_db
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    2**63 - 1,
    1e300,
    "",
    "x",
    "x" * 5000,
    "\u202e\U0001f600",
    "2027-02-30T00:00:00Z",
    [],
    [None],
    [[]],
    ["x", "x"],
    [{}],
    {},
    {"x": None},
    {"": []},
]
AGENT_KEYS = (
    "agent_id capabilities exec_env entry_point args env docker kind priority tags cpu "
    "gpu memory bandwidth ports requires depends_on cascades hooks timeout retries "
    "restart_backoff restart grace_period secrets results artefacts run_as "
    "enabled base_version"
)
SCHEDULE_KEYS = (
    "agent cron interval run_at timezone calendar start_at end_at jitter exdates "
    "overlap missed catchup_window max_runs params priority dst enabled timeout "
    "base_version after count rrule rule solar condition"
)
SOUND: dict[str, dict[str, Any]] = {
    "agents/": {**BASES["agent"], "agent_id": "odd"},
    "schedules/": BASES["schedule"],
    "schedules/preview/": BASES["schedule"],
    "spawn/": {"agent": "prompt_optimizer"},
    "tokens/": {"name": "odd"},
}


def routes(world: World) -> Iterator[tuple[str, str, str]]:
    """(method, path, keys), with things that exist."""
    occurrence, _ = world.planned()
    schedule = occurrence.partition("@")[0]
    run = world.run(RunState.RUNNING).uid
    yield "POST", "agents/", AGENT_KEYS
    yield "PATCH", "agents/prompt_optimizer/", AGENT_KEYS
    yield "POST", "agents/parse-command/", "command"
    yield "POST", "agents/prompt_optimizer/rollback/", "version"
    yield "POST", "agents/prompt_optimizer/start/", "params priority"
    yield "POST", "schedules/", SCHEDULE_KEYS
    yield "POST", "schedules/preview/", SCHEDULE_KEYS
    yield "PATCH", f"schedules/{schedule}/", SCHEDULE_KEYS
    yield "POST", f"schedules/{schedule}/pause/", "note until"
    yield "POST", f"occurrences/{occurrence}/move/", MOVE_KEYS
    yield "POST", "bulk/move/", "ids shift_s"
    yield "POST", "spawn/", "agent params count priority at"
    yield "POST", f"runs/{run}/signal/", "signal"
    yield "POST", f"runs/{run}/stop/", "grace_s"
    yield "POST", f"runs/{run}/retry/", "x"
    yield "POST", "tokens/", "name role"
    yield "PATCH", "config/", " ".join(KEYS)


MOVE_KEYS = "start end node scope base_version dry_run"


def test_no_value_of_any_key_is_a_fault_of_ours(
    client_of: Callable[[str], Any],
    report: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("CRITICAL", "django.request")
    world = World(client_of)
    client = client_of("admin")
    client.raise_request_exception = False
    faults, sent = [], 0
    for method, path, keys in list(routes(world)):
        for key in keys.split():
            for value in ODD:
                body = {**SOUND.get(path, {}), key: value}
                answer = client.generic(method, f"{API}/{path}", *as_json(body))
                sent += 1
                if answer.status_code >= 500:
                    faults.append((method, path, key, repr(value)[:40]))
    report(f"odd values: {sent} bodies, {len(faults)} server errors")
    assert faults == []
    for path in ("agents/", "schedules/", "runs/", "config/", "audit/", "queue/"):
        assert client.get(f"{API}/{path}").status_code == 200, path


def as_json(body: dict[str, Any]) -> tuple[str, str]:
    return json.dumps(body), "application/json"


def test_no_query_of_any_list_is_a_fault_of_ours(
    client_of: Callable[[str], Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "django.request")
    world = World(client_of)
    uid = world.run(RunState.RUNNING).uid
    client = client_of("admin")
    client.raise_request_exception = False
    faults = []
    for path, keys in QUERIES.items():
        for key in f"{keys} limit cursor".split():
            for value in ODD_TEXT:
                answer = client.get(f"{API}/{path.format(uid=uid)}?{key}={value}")
                if answer.status_code >= 500:
                    faults.append((path, key, value[:40]))
    assert faults == []


QUERIES = {
    "agents/": "capability tag kind exec_env enabled q",
    "agents/prompt_optimizer/versions/": "",
    "schedules/": "agent",
    "runs/": "agent state node schedule root parent started_after started_before",
    "runs/{uid}/logs/": "stream after",
    "timeline/": "from to group q max_items",
    "timeline/grid/": "from to timezone q max_items singly",
    "timeline/days/": "year timezone q",
    "capacity/": "from to step_s",
    "queue/": "",
    "nodes/": "",
    "audit/": "since before order subject",
    "tokens/": "",
}
ODD_TEXT = [
    "",
    "x",
    "-1",
    "0",
    "1" * 30,
    "1e300",
    "NaN",
    "%00",
    "%ff",
    "%F0%9F%98%80",
    "2027-01-01T00:00:00Z",
    "9999-12-31T23:59:59-12:00",
    "x" * 900,
    "a,b,,c",
    "[]",
]
