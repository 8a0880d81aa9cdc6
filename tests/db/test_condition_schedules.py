"""Schedules with a condition: made, previewed and tried over HTTP, and written by the
store as one: a firing, its state and the values behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agents.models import Node
from scheduling import firing, lease, runs
from scheduling.conditions import facts, rules, store
from scheduling.conditions.engine import Engine
from scheduling.conditions.intake import Intake
from scheduling.models import Occurrence, Run, Schedule
from scheduling.sensor_models import Reading, Sensor

SCHEDULES = "/api/v1/schedules/"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def sensor(editor: Any) -> Callable[..., Any]:
    def make(name: str = "temperature", **more: Any) -> Any:
        shape = {"name": name, "source": "rest", "type": "number", **more}
        answer = editor.post("/api/v1/sensors/", shape, format="json")
        assert answer.status_code == 201, answer.content
        return answer.json()

    return make


@pytest.fixture
def schedule(editor: Any, agent: Any) -> Callable[..., Any]:
    def make(condition: Any, status: int = 201, **more: Any) -> Any:
        shape = {"agent": agent.agent_id, "condition": condition, **more}
        answer = editor.post(SCHEDULES, shape, format="json")
        assert answer.status_code == status, answer.content
        return answer.json()

    return make


def put(client: Any, value: Any, name: str = "temperature") -> None:
    answer = client.post(f"/api/v1/sensors/{name}/value/", {"value": value}, "json")
    assert answer.status_code == 200, answer.content


class Watcher:
    """A worker's engine and its way to the database, without loop and clock."""

    def __init__(self, holder: str = "one") -> None:
        self.engine = Engine()
        self.intake = Intake(self.engine)
        self.token = lease.acquire(holder, ttl_s=60, name=store.LEASE) or 0
        self.know()

    def know(self, now: datetime = NOW) -> None:
        loaded = store.load()
        self.rest = loaded.rest
        self.intake.know(loaded.specs, loaded.names)
        self.engine.facts = store.facts_for(loaded.definitions, now)
        self.faults = self.engine.watch(
            loaded.definitions, loaded.held, loaded.kinds, now
        )

    def catch_up(self, now: datetime = NOW) -> None:
        seen = {pk: last for pk, (_, last) in self.rest.items()}
        for one in store.arrived(seen):
            name = self.rest[one.sensor_id][0]
            self.rest[one.sensor_id] = (name, one.reading)
            self.intake.replay(
                one.sensor_id, name, one.came, reading=one.reading, now=now
            )

    def write(self, now: datetime = NOW) -> None:
        news, newborn = self.intake.take()
        store.write(
            self.engine.take(), news, newborn, token=self.token, keep=10, now=now
        )


def test_a_condition_reads_as_it_was_made(
    sensor: Any, schedule: Any, viewer: Any
) -> None:
    sensor()
    rule = {"when": "sensors.temperature > 30", "hold": "30s", "cooldown": "10m"}
    made = schedule(rule)
    assert made["kind"] == "condition"
    assert made["condition"] == {
        "when": "sensors.temperature > 30",
        "hold": 30,
        "cooldown": 600,
    }
    assert made["rule_text"] == (
        "When temperature > 30 for 30 seconds, at most once in 10 minutes"
    )
    assert made["next_due_at"] is None
    assert viewer.get(f"{SCHEDULES}{made['id']}/").json() == made


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("sensors.temprature > 30", "did you mean temperature"),
        ("sensors.temperature >", "Syntax error"),
        ("sensors.rooms > 3", "a sensor for each of its topics"),
        ('agents["ghost"].running > 0', "there is no agent"),
        ('nodes["ghost"].up', "there is no node"),
        ("sensors.temperature", "true or false"),
        ({"when": "sensors.temperature > 1", "reset_when": "sensors.x < 1"}, "sensor"),
        (True, "expected"),
        ([], "expected"),
    ],
)
def test_a_condition_that_cannot_be_asked_is_refused(
    sensor: Any, schedule: Any, editor: Any, condition: Any, said: str
) -> None:
    sensor()
    sensor("rooms", source="mqtt", topic="rooms/+/t", per_topic=True)
    refused = schedule(condition, status=400)
    assert said in refused["fields"]["condition"][0]
    assert not Schedule.objects.exists()
    previewed = editor.post(f"{SCHEDULES}preview/", {"condition": condition}, "json")
    assert previewed.status_code == 400
    tried = editor.post("/api/v1/conditions/test/", {"condition": condition}, "json")
    assert tried.status_code == 400
    assert "condition" in tried.json()["fields"]


def test_a_condition_can_be_changed_and_checked_again(
    sensor: Any, schedule: Any, editor: Any
) -> None:
    sensor()
    made = schedule("sensors.temperature > 30")
    path = f"{SCHEDULES}{made['id']}/"
    changed = editor.patch(path, {"condition": "sensors.temperature > 40"}, "json")
    assert changed.json()["condition"] == {"when": "sensors.temperature > 40"}
    broken = editor.patch(path, {"condition": "sensors.nope > 40"}, "json")
    assert broken.status_code == 400


def test_a_sensor_in_a_condition_stays(sensor: Any, schedule: Any, editor: Any) -> None:
    sensor()
    schedule("sensors.temperature > 30")
    path = "/api/v1/sensors/temperature/"
    assert editor.delete(path).status_code == 409
    assert editor.patch(path, {"type": "text"}, "json").status_code == 409
    assert editor.patch(path, {"unit": "°C"}, "json").status_code == 200


def test_a_preview_tells_what_it_comes_to_now(
    sensor: Any, editor: Any, operator: Any
) -> None:
    sensor()
    shape = {"condition": "sensors.temperature > 30"}
    told = editor.post(f"{SCHEDULES}preview/", shape, "json").json()
    assert told["firings"] == []
    assert "unknown" in told["notes"][0]
    put(operator, 31.5)
    told = editor.post(f"{SCHEDULES}preview/", shape, "json").json()
    assert told["human"] == "When temperature > 30"
    assert told["notes"][0] == "It is true now: sensors.temperature is 31.5."


def test_a_condition_can_be_tried_with_other_values(
    sensor: Any, operator: Any, viewer: Any
) -> None:
    sensor()
    put(operator, 20)

    def ask(**more: Any) -> Any:
        body = {"condition": "sensors.temperature > 30", **more}
        return viewer.post("/api/v1/conditions/test/", body, "json")

    assert ask().json()["level"] is False
    tried = ask(values={"temperature": 31}).json()
    assert (tried["level"], tried["error"]) == (True, None)
    assert tried["used"] == {"sensors.temperature": 31}
    for values in ({"temperature": "hot"}, {"other": 1}, [1], "x"):
        refused = ask(values=values)
        assert refused.status_code == 400, values
        assert "values" in refused.json()["fields"]
    assert Sensor.objects.get().value == 20


def test_a_value_by_http_fires_the_schedule(
    sensor: Any, schedule: Any, operator: Any
) -> None:
    sensor()
    made = schedule("sensors.temperature > 30", params={"room": "kitchen"})
    watcher = Watcher()
    for value in (20, 31, 20, 32):
        put(operator, value)
    watcher.catch_up()
    watcher.write()
    assert Occurrence.objects.count() == 2
    assert firing.fire_due(now=NOW + timedelta(seconds=1), limit=10) == 1  # overlap
    run = Run.objects.get()
    assert run.params == {"room": "kitchen", "trigger": {"sensors.temperature": 31.0}}
    first = Occurrence.objects.order_by("id").first()
    assert first is not None
    assert first.key.startswith("edge-2026")
    state = Schedule.objects.get(uid=made["id"]).trigger_state
    assert (state["level"], state["armed"], state["waits"]) == (True, False, None)


def test_what_came_while_nobody_watched_is_not_lost(
    sensor: Any, schedule: Any, operator: Any
) -> None:
    sensor()
    schedule("sensors.temperature > 30")
    watcher = Watcher()
    put(operator, 20)
    watcher.catch_up()
    watcher.write()
    put(operator, 31)
    put(operator, 20)
    later = Watcher()
    later.catch_up()
    later.write()
    assert Occurrence.objects.count() == 1
    again = Watcher()
    again.catch_up()
    again.write()
    assert Occurrence.objects.count() == 1


def test_a_worker_that_lost_its_lease_writes_nothing(
    sensor: Any, schedule: Any, operator: Any
) -> None:
    sensor()
    schedule("sensors.temperature > 30")
    first = Watcher("one")
    for value in (20, 31):
        put(operator, value)
    first.catch_up()
    lease.release("one", store.LEASE)
    second = Watcher("two")
    with pytest.raises(lease.Superseded):
        first.write()
    second.catch_up()
    second.write()
    assert Occurrence.objects.count() == 1


def test_messages_are_stored_with_their_history(editor: Any, sensor: Any) -> None:
    sensor("meter", source="mqtt", topic="meter/+", path="w")
    watcher = Watcher()
    for n in range(50):
        at = NOW + timedelta(seconds=n)
        watcher.intake.message("meter/a", b'{"w": %d}' % n, retained=False, now=at)
        if n % 10 == 9:
            watcher.intake.message("meter/a", b"broken", retained=False, now=at)
            watcher.write(at)
    row = Sensor.objects.get()
    assert (row.value, row.previous, row.received, row.rejected) == (49, 48, 55, 5)
    assert row.last_error == "not JSON"
    kept = list(Reading.objects.order_by("id").values_list("value", flat=True))
    assert kept == list(range(40, 50))


def test_a_filter_brings_forth_a_sensor_for_each_topic(
    editor: Any, sensor: Any
) -> None:
    sensor("t", source="mqtt", topic="rooms/+/t", per_topic=True, unit="°C")
    watcher = Watcher()
    watcher.intake.message("rooms/kitchen/t", b"20", retained=False, now=NOW)
    watcher.write()
    late = NOW + timedelta(seconds=1)
    watcher.intake.message("rooms/kitchen/t", b"21", retained=False, now=late)
    watcher.write(late)
    watcher.know(late)
    watcher.intake.settle(late)
    watcher.write(late)
    listed = editor.get("/api/v1/sensors/?parent=t").json()["items"]
    told = [(s["name"], s["value"], s["unit"]) for s in listed]
    assert told == [("t_kitchen", 21, "°C")]
    assert editor.delete("/api/v1/sensors/t/").status_code == 204
    assert not Sensor.objects.exists()


def test_facts_tell_of_agents_nodes_and_runs(make_agent: Any) -> None:
    agent = make_agent("worker")
    Node.objects.create(name="n1", cpu_millis=2000, memory_bytes=2**30)
    condition = rules.read(
        'agents["worker"].last_state == "queued" && runs.queued > 0 '
        '&& nodes["n1"].up && runs.running >= 0 && runs.failed_last_hour == 0'
    )
    runs.request_run(agent, actor="user:test", now=NOW)
    found = facts.read(rules.all_references(condition), NOW + timedelta(seconds=5))
    assert found["agents"]["worker"] == {
        "running": 0,
        "queued": 1,
        "last_state": "queued",
        "since_s": 5.0,
    }
    assert found["runs.queued"] == 1
    assert found["nodes"]["n1"]["up"] is True
