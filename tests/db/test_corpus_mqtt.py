"""The corpus's messages: whatever comes by the broker, nothing breaks, what is no value
is counted, and no run starts unless a condition says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from scheduling.models import Occurrence
from scheduling.sensor_models import Reading, Sensor
from tests.corpus.world import CASES
from tests.db.test_condition_schedules import NOW, Watcher

pytestmark = pytest.mark.django_db
TOPIC = "sensors/home/heat"
LATER = NOW + timedelta(seconds=10)


@pytest.fixture
def watcher(editor: Any, agent: Any) -> Watcher:
    shape = {"name": "heat", "source": "mqtt", "topic": TOPIC, "path": "value"}
    made = editor.post("/api/v1/sensors/", {**shape, "type": "number"}, "json")
    assert made.status_code == 201
    clocked = {**shape, "name": "clocked", "topic": f"{TOPIC}/clocked", "at_path": "at"}
    assert editor.post("/api/v1/sensors/", clocked, "json").status_code == 201
    for when in ("sensors.heat > 30", "sensors.clocked > 30"):
        rule = {"when": when, "cooldown": "500ms"}
        schedule = {"agent": agent.agent_id, "condition": rule}
        assert editor.post("/api/v1/schedules/", schedule, "json").status_code == 201
    watcher = Watcher()
    at = {"value": 20, "at": NOW.isoformat()}
    for topic in (TOPIC, f"{TOPIC}/clocked"):
        send(watcher, json.dumps(at).encode(), topic=topic, at=NOW)
    watcher.write()
    return watcher


def send(
    watcher: Watcher, payload: bytes, *, topic: str = TOPIC, at: Any = LATER, **how: Any
) -> None:
    watcher.intake.message(topic, payload, retained=how.get("retained", False), now=at)


def told(value: float, at: Any) -> bytes:
    return json.dumps({"value": value, "at": at.isoformat()}).encode()


def flaps(count: int, every_s: float) -> Callable[[Watcher], None]:
    def play(watcher: Watcher) -> None:
        for n in range(count):
            value = b'{"value": %d}' % (31 if n % 2 else 29)
            send(watcher, value, at=LATER + timedelta(seconds=n * every_s))

    return play


def ahead(watcher: Watcher) -> None:
    late = told(31, LATER + timedelta(hours=1))
    send(watcher, late, topic=f"{TOPIC}/clocked")


def replayed(watcher: Watcher) -> None:
    watcher.intake.connected()
    old = told(31, NOW - timedelta(days=1))
    send(watcher, old, topic=f"{TOPIC}/clocked", retained=True)


def payload(raw: bytes) -> Callable[[Watcher], None]:
    return lambda watcher: send(watcher, raw)


def topic(name: str) -> Callable[[Watcher], None]:
    return lambda watcher: send(watcher, b'{"value": 31}', topic=name)


# what is sent, how many messages are rejected, and how many runs it may start
PLAYED: dict[str, tuple[Callable[[Watcher], None], int, int]] = {
    "MQTT001": (payload(b"not JSON"), 1, 0),
    "MQTT003": (payload(b'{"value":1e999}'), 1, 0),
    "MQTT004": (payload(b'{"value":"12"}'), 1, 0),
    "MQTT005": (payload(b'{"value":true}'), 1, 0),
    "MQTT006": (payload(b"{}"), 1, 0),
    "MQTT009": (payload(b"[" * 50_000 + b"]" * 50_000), 1, 0),
    "MQTT010": (ahead, 1, 0),
    "MQTT011": (replayed, 1, 0),
    "MQTT013": (flaps(10_000, 0.0001), 0, 2),
    "MQTT014": (topic("sensors/+/heat"), 0, 0),
    "MQTT015": (topic("sensors/../admin"), 0, 0),
    "MQTT016": (topic("sensors/home/\0heat"), 0, 0),
    "MQTT017": (topic("s" * 65_535), 0, 0),
    "MQTT018": (topic("sensors/home/cold"), 0, 0),
    "MQTT019": (topic("sensors/other/heat"), 0, 0),
    "MQTT024": (flaps(200, 0.01), 0, 4),
}


@pytest.mark.parametrize(
    "case", [c for c in CASES if c["surface"] == "mqtt"], ids=lambda c: str(c["id"])
)
def test_a_message_breaks_nothing_and_is_counted(
    watcher: Watcher, case: dict[str, Any], tally: Callable[[str, str], None]
) -> None:
    play, rejected, firings = PLAYED[case["id"]]
    play(watcher)
    watcher.write(LATER)
    rows = list(Sensor.objects.order_by("name"))
    assert [row.name for row in rows] == ["clocked", "heat"]
    assert sum(row.rejected for row in rows) == rejected
    assert Occurrence.objects.count() == firings
    if not firings:
        assert Reading.objects.count() == 2
    send(watcher, b'{"value": 21}', at=LATER + timedelta(minutes=1))
    watcher.write(LATER)
    assert Sensor.objects.get(name="heat").value == 21, "it goes on"
    tally("corpus", "messages counted and ignored")
