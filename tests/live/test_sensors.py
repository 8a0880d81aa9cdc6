"""Sensors over a real broker and a running product: conditions fire what they should,
once, with their hold and cool-down, over restarts of the broker and of the worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.sensors import COOLDOWN_S, play
from tests.live.broker import Mosquitto, running_broker
from tests.live.harness import Product, running_product
from tests.waiting import wait_for

TOPIC = "home/kitchen/temperature"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with running_broker(tmp_path_factory.mktemp("mq")) as started:
        yield started


@pytest.fixture(scope="module")
def product(
    tmp_path_factory: pytest.TempPathFactory, broker: Mosquitto
) -> Iterator[Product]:
    with running_product(tmp_path_factory.mktemp("p")) as started:
        change = {"mqtt.url": broker.url}
        started.api("PATCH", "config/", change).expect(200)
        started.register("fan", "/bin/echo", "on")
        yield started


def sensor(product: Product, name: str, **shape: Any) -> None:
    made = {"name": name, "source": "mqtt", "type": "number", **shape}
    product.post("sensors/", made)


def condition(product: Product, when: Any) -> str:
    made = {"agent": "fan", "condition": when, "overlap": "allow_all"}
    return str(product.post("schedules/", made)["id"])


def level(product: Product, schedule: str) -> Any:
    state = product.get(f"schedules/{schedule}/")["trigger_state"]
    return None if state is None else state["level"]


def fired(product: Product, schedule: str) -> list[Any]:
    return list(product.get(f"runs/?schedule={schedule}")["items"])


def value(product: Product, name: str) -> Any:
    return product.get(f"sensors/{name}/")["value"]


def sees(product: Product, name: str, wanted: Any) -> None:
    wait_for(lambda: value(product, name) == wanted, timeout_s=20, every_s=0.1)


def is_level(product: Product, schedule: str, wanted: bool | None) -> None:
    wait_for(lambda: level(product, schedule) is wanted, timeout_s=20, every_s=0.1)


def ready(product: Product) -> None:
    """The worker is connected and subscribes."""
    wait_for(lambda: product.get("mqtt/")["connected"], timeout_s=30, every_s=0.1)


def test_a_hold_and_a_cool_down_over_mqtt(product: Product, broker: Mosquitto) -> None:
    sensor(product, "temperature", topic=TOPIC, path="celsius")
    rule = {"when": "sensors.temperature > 30", "hold": "2s", "cooldown": "4s"}
    schedule = condition(product, rule)
    ready(product)
    with broker.client() as client:

        def at(celsius: float) -> None:
            client.send(TOPIC, {"celsius": celsius})
            sees(product, "temperature", celsius)

        wait_for(lambda: (at(20), level(product, schedule) is False)[1], timeout_s=20)
        at(31)
        at(25)  # before two seconds are over
        assert fired(product, schedule) == []
        at(32)
        wait_for(lambda: fired(product, schedule), timeout_s=20)
        at(20)
        at(33)  # in the cool-down
        assert len(fired(product, schedule)) == 1
        wait_for(lambda: len(fired(product, schedule)) == 2, timeout_s=20)
    second, first = fired(product, schedule)
    run = product.wait_for_end(first["uid"])
    assert run["state"] == "succeeded"
    assert run["params"] == {"trigger": {"sensors.temperature": 32.0}}
    state = product.get(f"schedules/{schedule}/")["trigger_state"]
    assert state["fired_at"] is not None
    gap = instant(second["due_at"]) - instant(first["due_at"])
    assert 4.0 <= gap < 5.5, gap


def instant(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


def test_a_retained_value_and_a_new_connection_fire_nothing(
    product: Product, broker: Mosquitto
) -> None:
    topic = "yard/gate"
    with broker.client() as client:
        client.send(topic, True, retain=True)
    sensor(product, "gate", topic=topic, type="boolean")
    schedule = condition(product, "sensors.gate")
    ready(product)
    is_level(product, schedule, True)
    assert product.get("sensors/gate/")["retained"] is True
    with broker.client() as client:
        client.send(topic, False, retain=True)
        is_level(product, schedule, False)
        client.send(topic, True, retain=True)
        wait_for(lambda: len(fired(product, schedule)) == 1, timeout_s=20)
        client.send(topic, False, retain=True)
        is_level(product, schedule, False)
    broker.stop()
    wait_for(lambda: not product.get("mqtt/")["connected"], timeout_s=20)
    broker.start()
    ready(product)
    with broker.client() as client:
        client.send(topic, True)  # the first since, or the retained one was
        sees(product, "gate", True)
        client.send(topic, False)
        is_level(product, schedule, False)
        assert len(fired(product, schedule)) <= 2
        before = len(fired(product, schedule))
        client.send(topic, True)
        wait_for(lambda: len(fired(product, schedule)) == before + 1, timeout_s=20)


def test_a_hold_goes_on_over_the_death_of_the_worker(
    product: Product, broker: Mosquitto
) -> None:
    product.post("sensors/", {"name": "smoke", "source": "rest", "type": "number"})
    schedule = condition(product, {"when": "sensors.smoke > 5", "hold": "6s"})

    def post(number: float) -> None:
        product.post("sensors/smoke/value/", {"value": number}, status=200)

    post(1)
    is_level(product, schedule, False)
    post(9)
    is_level(product, schedule, True)
    since = product.get(f"schedules/{schedule}/")["trigger_state"]["true_since"]
    product.kill("worker")
    wait_for(lambda: fired(product, schedule), timeout_s=30)
    (run,) = fired(product, schedule)
    assert instant(run["due_at"]) - instant(since) >= 6
    post(1)
    is_level(product, schedule, False)
    assert len(fired(product, schedule)) == 1


def test_messages_that_are_no_values_are_counted(
    product: Product, broker: Mosquitto
) -> None:
    sensor(product, "meter", topic="meter/power", path="value", at_path="at")
    sensor(product, "rooms", topic="rooms/+/t", per_topic=True)
    ready(product)
    good = {"value": 1.5, "at": "2026-11-01T00:00:00Z"}
    bad = [
        b"not JSON",
        b'{"value": NaN}',
        b'{"value": 1e999, "at": "2026-11-02T00:00:00Z"}',
        b"[" * 100_000,
        b"\xff\xfe",
        b"",
        b'"' + b"x" * 100_000 + b'"',
        {"value": "12", "at": "2026-11-02T00:00:00Z"},
        {"value": True, "at": "2026-11-02T00:00:00Z"},
        {},
        {"value": 1},
        {"value": 2, "at": "2999-01-01T00:00:00Z"},
        {"value": 2, "at": "2020-01-01T00:00:00Z"},
    ]
    with broker.client() as client:

        def arrives() -> bool:
            client.send("meter/power", good)
            return value(product, "meter") == 1.5

        wait_for(arrives, timeout_s=20, every_s=0.1)
        before = product.get("sensors/meter/")["rejected"]
        for payload in bad:
            client.send("meter/power", payload)
        wait_for(
            lambda: product.get("sensors/meter/")["rejected"] >= before + len(bad),
            timeout_s=20,
        )

        def room_is_seen() -> Any:
            client.send("rooms/Living Room/t", 21)
            return product.get("sensors/?parent=rooms")["items"]

        (room,) = wait_for(room_is_seen, timeout_s=20, every_s=0.1)
        assert (room["name"], room["value"]) == ("rooms_living_room", 21)
        client.send("rooms/Living Room/t", 22)
        sees(product, "rooms_living_room", 22)
    told = product.get("sensors/meter/")
    assert told["value"] == 1.5
    assert told["last_error"]


def test_a_flood_of_messages_fires_every_edge_once_in_flat_memory(
    tmp_path: Path, report: Any
) -> None:
    got = play(tmp_path, seconds=10, rate=1000)
    assert got.sent >= 9_900
    assert len(got.fired) == len(got.edges), "each edge fired, none of them twice"
    for sent, came in zip(got.edges, got.fired, strict=True):
        assert came > sent - 0.05, "and none before it came"
    assert 1 <= len(got.held) <= got.held_due + 1, (len(got.held), got.held_due)
    assert all(b - a >= COOLDOWN_S for a, b in pairwise(got.held))
    assert got.rejected == 0
    assert got.received >= got.sent
    assert got.growth_mb < 8, got.memory_mb
    report(
        f"sensors: {len(got.fired)} of {len(got.edges)} edges of {got.sent} messages"
    )


def test_an_assistant_is_answered_and_its_yes_starts_a_run(
    product: Product, broker: Mosquitto
) -> None:
    product.api("PATCH", "config/", {"mqtt.voice": "operator"}).expect(200)
    with broker.client() as site, broker.heard("hermes/tts/say") as said:

        def told(text: str, contains: str) -> bool:
            """Say it until it was answered so: the worker may not listen yet."""
            body = {"text": text, "siteId": "kitchen", "sessionId": "s"}
            site.send("hermes/asr/textCaptured", body)
            return any(contains in answer["text"] for answer in said())

        wait_for(lambda: told("start the fan", "Confirm?"), timeout_s=20, every_s=1)
        before = len(product.get("runs/?agent=fan")["items"])
        site.send("hermes/asr/textCaptured", {"text": "yes", "siteId": "kitchen"})
        wait_for(
            lambda: len(product.get("runs/?agent=fan")["items"]) > before, timeout_s=20
        )
        wait_for(lambda: told("start the moon", "moon"), timeout_s=20, every_s=1)
    product.api("PATCH", "config/", {"mqtt.voice": "none"}).expect(200)
