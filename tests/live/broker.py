"""A mosquitto of the test's own, on loopback, and a client that publishes."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from tests.live.harness import free_port
from tests.waiting import wait_for

BINARY = shutil.which("mosquitto") or "/usr/sbin/mosquitto"


class Mosquitto:
    """Keeps retained messages over a restart, as installations do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(exist_ok=True)
        (folder / "mosquitto.conf").write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\n"
            f"persistence true\npersistence_location {folder}/\n"
            "max_queued_messages 100000\nuser root\n"
        )

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        with (self.folder / "mosquitto.out").open("ab") as output:
            self.process = subprocess.Popen(
                [BINARY, "-c", str(self.folder / "mosquitto.conf")],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_for(self.answers)

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    @contextmanager
    def client(self) -> Iterator[Publisher]:
        made = paho.Client(paho.CallbackAPIVersion.VERSION2)
        made.max_queued_messages_set(0)
        made.connect("127.0.0.1", self.port)
        made.loop_start()
        try:
            yield Publisher(made)
        finally:
            made.disconnect()
            made.loop_stop()

    @contextmanager
    def heard(self, topic: str) -> Iterator[Callable[[], list[Any]]]:
        """What comes on the topic from now on, as JSON."""
        found: list[Any] = []
        with self.client() as listener:
            listener.client.on_message = lambda *came: found.append(
                json.loads(came[2].payload)
            )
            _, number = listener.client.subscribe(topic, qos=1)
            assert number is not None
            yield lambda: list(found)


class Publisher:
    def __init__(self, client: paho.Client) -> None:
        self.client = client

    def post(self, topic: str, payload: Any) -> paho.MQTTMessageInfo:
        """Returns at once; as a device that sends a lot does."""
        return self.client.publish(topic, json.dumps(payload).encode(), qos=0)

    def send(self, topic: str, payload: Any, *, retain: bool = False) -> None:
        """Returns when the broker has it."""
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        told = self.client.publish(topic, raw, qos=1, retain=retain)
        told.wait_for_publish(10)


@contextmanager
def running_broker(folder: Path) -> Iterator[Mosquitto]:
    broker = Mosquitto(folder)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()
