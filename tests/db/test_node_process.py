"""The node's process stays whole: a part that fails goes on, or the process ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agents import live_config
from agents.models import Node
from scheduling import nodes
from scheduling.node_process import END_CODE, NodeProcess
from tests.conftest import NOON
from tests.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
DIES = """
import threading
from scheduling.node_process import end_with_any_thread
end_with_any_thread()
threading.Thread(target=lambda: {}["no such key"]).start()
threading.Event().wait()
"""


@pytest.fixture(autouse=True)
def node(db: Any) -> Node:
    facts = {"cpu_millis": 4000, "memory_bytes": 10**10, "environments": []}
    nodes.register("n1", now=NOON, facts=facts)
    live_config.set_override("heartbeat_interval", 1, actor="user:test", now=NOON)
    live_config.forget()
    return Node.objects.get()


@contextmanager
def running(process: NodeProcess) -> Iterator[NodeProcess]:
    process.start()
    try:
        yield process
    finally:
        process.stop()
        process.looker.shutdown()
        process.database.shutdown()


def test_heart_and_eyes_go_on_when_the_configuration_has_to_be_read_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(live_config, "CACHE_S", 0.0)
    beats: list[object] = []
    with running(NodeProcess("n1", [], [lambda *beat: beats.append(beat)])) as process:
        looks = process.here.looks
        wait_for(lambda: len(beats) >= 3, timeout_s=20)
        wait_for(lambda: process.here.looks >= looks + 2, timeout_s=20)
    assert "a part of the node failed" not in caplog.text


def test_a_beat_that_fails_is_not_the_last_one() -> None:
    beats: list[object] = []

    def fails_once(*beat: object) -> None:
        beats.append(beat)
        if len(beats) == 1:
            raise ValueError("a sensor gave nonsense")

    with running(NodeProcess("n1", [], [fails_once])):
        wait_for(lambda: len(beats) >= 2, timeout_s=20)


def test_a_thread_that_dies_ends_the_process_with_a_code_of_its_own() -> None:
    code = "import django; django.setup()\n" + DIES
    ended = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert ended.returncode == END_CODE
