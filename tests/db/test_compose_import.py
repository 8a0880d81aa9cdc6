"""A compose service becomes a registration to look at; nothing is stored."""

from __future__ import annotations

from typing import Any

import pytest

from agents.models import Agent

pytestmark = pytest.mark.django_db

COMPOSE = """
services:
  mail-triage:
    image: ghcr.io/acme/triage:1.4
    entrypoint: ["python", "-m", "triage"]
    command: --folder "in box"
    environment:
      LEVEL: debug
      STRICT: true
      TOKEN:
    volumes:
      - /srv/mail:/mail:ro
      - cache:/cache
    mem_limit: 512m
    cpus: 0.5
    restart: unless-stopped
    stop_grace_period: 20s
    user: "1000"
    healthcheck:
      test: ["CMD", "true"]
"""


def imported(client: Any, text: Any, status: int = 200) -> Any:
    body = {"compose": text}
    answer = client.post(
        "/api/v1/agents/import/", body, content_type="application/json"
    )
    assert answer.status_code == status, answer.content
    return answer.json()


def test_a_service_becomes_a_registration_that_fits(viewer) -> None:
    (found,) = imported(viewer, COMPOSE)["items"]
    assert found["faults"] == {}
    assert found["registration"] == {
        "agent_id": "mail-triage",
        "exec_env": "docker",
        "entry_point": "python",
        "args": ["-m", "triage", "--folder", "in box"],
        "docker": {
            "image": "ghcr.io/acme/triage:1.4",
            "user": "1000",
            "mounts": [{"source": "/srv/mail", "target": "/mail", "read_only": True}],
        },
        "env": {"LEVEL": "debug", "STRICT": "true"},
        "memory": "512MiB",
        "cpu": 0.5,
        "kind": "persistent",
        "restart": "always",
        "grace_period": "20s",
    }
    assert not Agent.objects.filter(agent_id="mail-triage").exists()


def test_what_is_not_taken_over_is_told(viewer) -> None:
    (found,) = imported(viewer, COMPOSE)["items"]
    told = " ".join(found["notes"])
    for word in ("cache:/cache", "TOKEN", "healthcheck"):
        assert word in told


def test_it_can_be_registered_as_it_stands(viewer, editor) -> None:
    (found,) = imported(viewer, "image: busybox\ncommand: echo hi")["items"]
    registration = {**found["registration"], "agent_id": "said"}
    answer = editor.post(
        "/api/v1/agents/", registration, content_type="application/json"
    )
    assert answer.status_code == 201, answer.content


def test_a_service_without_a_command_says_what_to_add(viewer) -> None:
    (found,) = imported(viewer, "web:\n  image: nginx")["items"]
    assert "entry_point" in found["faults"]
    assert "write the program" in found["notes"][0]


@pytest.mark.parametrize(
    "text",
    [
        *("", 7, "- a\n- b", "services: {}", "services:\n  a: 3"),
        *("a: &x {image: b}\nc: *x", "image: [", "x" * 100_000),
    ],
)
def test_what_is_no_compose_file_is_refused_by_name(viewer, text: Any) -> None:
    assert "compose" in imported(viewer, text, 400)["fields"]


@pytest.mark.parametrize(
    "body",
    [
        *("mem_limit: lots", "command: 'echo \"'", "command: {a: 1}", "cpus: many"),
        *("volumes: 7", "deploy: {resources: {reservations: {devices: 3}}}"),
        *("environment: 9\nuser: [1]", "restart: [3]"),
    ],
)
def test_odd_values_of_a_service_are_faults_of_it(viewer, body: str) -> None:
    found = imported(viewer, f"image: busybox\n{body}")
    assert len(found["items"]) == 1
