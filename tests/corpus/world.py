"""What the corpus's cases act upon: people, an agent, a schedule, runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection
from rest_framework.test import APIClient

from agents import agent_registry
from agents.models import Agent
from scheduling import runs
from scheduling.models import Occurrence, Run, Schedule
from scheduling.run_state import RunState
from tests.conftest import NOON
from tests.corpus.expand import BASES, expand

CASES = json.loads(Path(__file__).with_name("bad_inputs_open.json").read_text())
JSON = "application/json"
API = "/api/v1"
# operators of the corpus register agents; here the least role that may is the editor
ROLE_HERE = {("agent_registration", "operator"): "editor"}
OURS = ("agents", "scheduling", "kos_scheduler")
NOT_DOMAIN = {"Lease", "Seal"}


@dataclass
class World:
    client_of: Callable[[str], APIClient]
    before: dict[str, int] = field(default_factory=dict)  # rows as the case found them

    def send(self, method: str, path: str, case: dict[str, Any]) -> Any:
        """The case's payload, byte for byte, with its headers."""
        headers = {
            "HTTP_" + name.upper().replace("-", "_"): value
            for name, value in case.get("headers", {}).items()
            if name != "Content-Type"
        }
        kind = case.get("headers", {}).get("Content-Type", JSON)
        body = b"" if case["payload"] is None else expand(case["payload"])
        client = self.client(case)
        self.before = stored()
        return client.generic(method, path, body, content_type=kind, **headers)

    def client(self, case: dict[str, Any]) -> APIClient:
        role = ROLE_HERE.get((case["surface"], case["auth"]), case["auth"])
        client = APIClient() if role == "anon" else self.client_of(role)
        client.raise_request_exception = False
        return client

    def optimizer(self) -> Agent:
        """The agent most cases lean on."""
        found = Agent.objects.filter(agent_id="prompt_optimizer").first()
        return found or self.agent("prompt_optimizer")

    def agent(self, agent_id: str, **more: Any) -> Agent:
        raw = {**BASES["agent"], "agent_id": agent_id, **more}
        return agent_registry.register(
            raw, actor="user:test", now=NOON, may_unsandboxed=True
        )

    def run(self, state: RunState, agent: Agent | None = None) -> Run:
        """A run that has come to this state the way runs do."""
        run = runs.request_run(agent or self.optimizer(), actor="user:test", now=NOON)
        way = {
            RunState.QUEUED: [],
            RunState.RUNNING: ["admitted", "starting", "running"],
            RunState.SUCCEEDED: ["admitted", "starting", "running", "succeeded"],
        }[state]
        for step in way:
            run = runs.move(run, RunState(step), actor="test", now=NOON)
        return run

    def occurrence(self, state: RunState) -> str:
        """The id of an occurrence that has become a run in this state."""
        uid = self.schedule()
        run = self.run(state)
        key = NOON.strftime("%Y%m%dT%H%M%SZ")
        occurrence = Occurrence.objects.create(
            schedule=Schedule.objects.get(uid=uid),
            key=key,
            nominal_at=NOON,
            due_at=NOON,
            state="run",
            decided_at=NOON,
        )
        Run.objects.filter(pk=run.pk).update(occurrence=occurrence)
        return f"{uid}@{key}"

    def schedule(self) -> str:
        self.optimizer()
        body = json.dumps({**BASES["schedule"], "cron": "0 * * * *"})
        answer = self.client_of("editor").post(
            f"{API}/schedules/", body, content_type=JSON
        )
        assert answer.status_code == 201, answer.content
        return str(answer.json()["id"])

    def dependent(self) -> tuple[str, str]:
        """An occurrence still to come, and an instant before what it depends on."""
        self.agent("first")
        self.agent("second", depends_on=["first"])
        due = (datetime.now(UTC) + timedelta(days=1)).replace(minute=0, second=0)
        ids = []
        for name, hours in (("first", 0), ("second", 1)):
            at = (due + timedelta(hours=hours)).replace(microsecond=0)
            body = json.dumps({"agent": name, "run_at": at.isoformat()})
            answer = self.client_of("editor").post(
                f"{API}/schedules/", body, content_type=JSON
            )
            assert answer.status_code == 201, answer.content
            ids.append(f"{answer.json()['id']}@{at:%Y%m%dT%H%M%SZ}")
        return ids[-1], (due - timedelta(hours=1)).isoformat()

    def planned(self) -> tuple[str, datetime]:
        """An occurrence still to come: its id and its instant."""
        uid = self.schedule()
        preview = self.client_of("viewer").get(
            f"{API}/schedules/{uid}/preview/?count=3"
        )
        text = preview.json()["firings"][-1]
        at = datetime.fromisoformat(text).astimezone(UTC)
        return f"{uid}@{at:%Y%m%dT%H%M%SZ}", at


def stored() -> dict[str, int]:
    """How many rows of each kind there are."""
    models = [m for app in OURS for m in apps.get_app_config(app).get_models()]
    tables = [m._meta.db_table for m in models if m.__name__ not in NOT_DOMAIN]
    counts = ", ".join(f"(SELECT count(*) FROM {table})" for table in tables)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {counts}")
        return dict(zip(tables, cursor.fetchone(), strict=True))


def later(at: datetime, **much: float) -> str:
    return f"{at + timedelta(**much):%Y-%m-%dT%H:%M:%SZ}"
