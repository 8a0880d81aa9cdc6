"""Sensors by HTTP: made, fed, read, changed and deleted; what does not fit is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agents.models import Event
from scheduling.sensor_models import Reading, Sensor

SENSORS = "/api/v1/sensors/"


@pytest.fixture
def sensor(editor: Any) -> Callable[..., Any]:
    """A sensor by its HTTP shape; what is not said: a number that comes by HTTP."""

    def make(name: str = "temperature", **more: Any) -> Any:
        shape = {"name": name, "source": "rest", "type": "number", **more}
        answer = editor.post(SENSORS, shape, format="json")
        assert answer.status_code == 201, answer.content
        return answer.json()

    return make


def put(client: Any, value: Any, name: str = "temperature", **more: Any) -> Any:
    body = {"value": value, **more}
    return client.post(f"{SENSORS}{name}/value/", body, format="json")


def test_a_sensor_reads_as_it_was_made(sensor: Any, viewer: Any) -> None:
    shape = {
        "topic": "home/+/temperature",
        "path": "data.values[0].c",
        "at_path": "time",
        "unit": "°C",
        "stale_after": "5m",
    }
    made = sensor("indoors", source="mqtt", **shape)
    assert made["quality"] == "none"
    found = viewer.get(f"{SENSORS}indoors/").json()
    assert found == made
    assert {k: found[k] for k in shape} == {**shape, "stale_after": 300}
    assert [s["name"] for s in viewer.get(SENSORS).json()["items"]] == ["indoors"]
    assert Event.objects.filter(kind="sensor.created").count() == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Room 1"),
        ("name", "in"),
        ("name", "x" * 65),
        ("source", "smoke"),
        ("type", "int"),
        ("topic", "home/a+/x"),
        ("topic", "home/#/x"),
        ("topic", "a\0b"),
        ("topic", ""),
        ("path", "a..b"),
        ("path", "a[b]"),
        ("at_path", "]"),
        ("unit", "x" * 33),
        ("unit", "a\u200bb"),
        ("stale_after", "soon"),
        ("stale_after", 0),
        ("per_topic", True),
        ("enabled", "yes"),
        ("colour", "red"),
    ],
)
def test_what_does_not_fit_is_named(editor: Any, field: str, value: Any) -> None:
    shape = {"name": "a", "source": "mqtt", "topic": "home/a", "type": "number"}
    answer = editor.post(SENSORS, {**shape, field: value}, format="json")
    assert answer.status_code == 400, answer.content
    assert field in answer.json()["fields"]
    assert not Sensor.objects.exists()


def test_a_name_is_given_once(sensor: Any, editor: Any) -> None:
    sensor()
    shape = {"name": "temperature", "source": "rest", "type": "text"}
    assert editor.post(SENSORS, shape, format="json").status_code == 409


def test_a_value_becomes_the_current_one(sensor: Any, operator: Any) -> None:
    sensor(unit="°C")
    put(operator, 20)
    answer = put(operator, 21.5)
    assert answer.status_code == 200
    told = answer.json()
    assert (told["value"], told["previous"], told["quality"]) == (21.5, 20, "good")
    history = operator.get(f"{SENSORS}temperature/readings/").json()["items"]
    assert [r["value"] for r in history] == [21.5, 20]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("number", "12"),
        ("number", True),
        ("number", None),
        ("number", 10**400),
        ("boolean", 1),
        ("boolean", "true"),
        ("text", 1),
        ("text", "a\0"),
        ("text", "x" * 1001),
    ],
)
def test_a_value_of_the_wrong_type_is_refused(
    sensor: Any, operator: Any, kind: str, value: Any
) -> None:
    sensor(type=kind)
    answer = put(operator, value)
    assert answer.status_code == 400, answer.content
    assert "value" in answer.json()["fields"]
    assert not Reading.objects.exists()
    assert Sensor.objects.get().at is None


def test_no_value_goes_back_in_time_or_ahead_of_it(sensor: Any, operator: Any) -> None:
    sensor()
    assert put(operator, 1, at="2026-11-01T12:00:00Z").status_code == 200
    for at in ("2026-11-01T11:59:59Z", "2999-01-01T00:00:00Z", "yesterday"):
        answer = put(operator, 2, at=at)
        assert answer.status_code == 400, at
        assert "at" in answer.json()["fields"]
    assert Reading.objects.count() == 1
    assert put(operator, 3, at="2026-11-01T12:00:01Z").json()["value"] == 3


def test_the_same_value_of_the_same_time_is_one_reading(
    sensor: Any, operator: Any
) -> None:
    sensor()
    for _ in range(3):
        assert put(operator, 1, at="2026-11-01T12:00:00Z").status_code == 200
    assert Reading.objects.count() == 1


def test_a_value_goes_stale(sensor: Any, operator: Any) -> None:
    sensor(stale_after="1m")
    assert put(operator, 1).json()["quality"] == "good"
    sensor("old", stale_after="1m")
    told = put(operator, 1, name="old", at="2020-01-01T00:00:00Z").json()
    assert told["quality"] == "stale"


def test_a_viewer_gives_no_values(sensor: Any, viewer: Any) -> None:
    sensor()
    assert put(viewer, 1).status_code == 403


def test_a_sensor_by_mqtt_takes_no_value_by_http(sensor: Any, operator: Any) -> None:
    sensor(source="mqtt", topic="a/b")
    assert put(operator, 1).status_code == 409


def test_readings_are_a_ring(sensor: Any, operator: Any, admin: Any) -> None:
    change = {"sensors.readings": 10}
    assert admin.patch("/api/v1/config/", change, format="json").status_code == 200
    sensor()
    for n in range(30):
        assert put(operator, n).status_code == 200
    assert 10 <= Reading.objects.count() <= 11
    assert operator.get(f"{SENSORS}temperature/").json()["value"] == 29


def test_another_type_forgets_the_value(
    sensor: Any, editor: Any, operator: Any
) -> None:
    sensor()
    put(operator, 5)
    changed = editor.patch(
        f"{SENSORS}temperature/", {"type": "text"}, format="json"
    ).json()
    assert (changed["type"], changed["value"], changed["version"]) == ("text", None, 2)
    assert not Reading.objects.exists()


def test_a_sensor_keeps_its_name(sensor: Any, editor: Any) -> None:
    sensor()
    answer = editor.patch(f"{SENSORS}temperature/", {"name": "x"}, format="json")
    assert answer.status_code == 400


def test_a_deleted_sensor_is_gone(sensor: Any, editor: Any, operator: Any) -> None:
    sensor()
    put(operator, 5)
    assert editor.delete(f"{SENSORS}temperature/").status_code == 204
    assert editor.get(f"{SENSORS}temperature/").status_code == 404
    assert not Reading.objects.exists()


def test_without_a_broker_the_connection_tells_so(viewer: Any) -> None:
    told = viewer.get("/api/v1/mqtt/").json()
    assert (told["url"], told["connected"]) == (None, False)
