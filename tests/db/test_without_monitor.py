"""Watching must never stop the work: everything runs with the monitor taken away."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from agents.journal import recorded
from agents.models import Event
from scheduling import runs
from tests.conftest import NOON

ROOT = Path(__file__).resolve().parents[2]
WHOLE_LIFE = """
import sys
sys.modules["monitor"] = None  # from here on importing it fails
import kos_scheduler.settings as chosen
chosen.INSTALLED_APPS.remove("monitor")
import django
django.setup()
from datetime import UTC, datetime
from django.core.management import call_command
from agents import agent_registry, sealing
from agents.executors.base import Ended, Started
from agents.models import Event, Node, NodeLog
from scheduling import agent_scheduler, endings, launch, lease, nodes, runs

call_command("migrate", verbosity=0)
now = datetime.now(UTC)
at_ns = int(now.timestamp() * 1e9)
facts = {"cpu_millis": 2000, "memory_bytes": 10**9, "environments": ["subprocess"]}
nodes.register("n1", now=now, facts=facts)
log = NodeLog.objects.create(node=Node.objects.get(), executor="subprocess")
agent = agent_registry.register(
    {"agent_id": "worker", "exec_env": "subprocess", "entry_point": "/bin/true"},
    actor="user:test", now=now, may_unsandboxed=True,
)
run = runs.request_run(agent, actor="user:test", now=now)
token = lease.acquire("test", ttl_s=60)
assert agent_scheduler.step(token, now=now, per_class=10) == 1
run.refresh_from_db()
launch.begin([(run.pk, run.token)], node="n1", now=now)
happened = [Started(run.uid, run.token, at_ns, {"pid": 1})]
endings.apply(happened, log=log, offset=1, now=now)
happened = [Ended(run.uid, run.token, at_ns, exit_code=0, signal=None)]
endings.apply(happened, log=log, offset=2, now=now)
run.refresh_from_db()
nodes.beat("n1", now=now)
agent_scheduler.housekeep(token, now=now)
agent_scheduler.seal(token, now=now)
node = Node.objects.get()
assert node.usage == {}, "nothing sampled, and nothing needed it"
assert not Event.objects.filter(seq=None).exists()
print(run.state)
"""


def test_a_run_lives_its_whole_life_with_the_monitor_removed(tmp_path) -> None:
    env = {
        **os.environ,
        "KOS_VAR": str(tmp_path),
        "KOS_PROCESS": "scheduler",
        "REDIS_URL": settings.REDIS_URL,
        "DJANGO_SETTINGS_MODULE": "kos_scheduler.settings",
    }
    done = subprocess.run(
        [sys.executable, "-c", WHOLE_LIFE],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "succeeded"


@pytest.mark.django_db
def test_a_listener_that_breaks_stops_nobody(
    agent, django_capture_on_commit_callbacks
) -> None:
    def broken(**_) -> None:
        raise RuntimeError("the monitor is ill")

    recorded.connect(broken)
    try:
        with django_capture_on_commit_callbacks(execute=True):
            run = runs.request_run(agent, actor="user:test", now=NOON)
    finally:
        recorded.disconnect(broken)
    assert Event.objects.filter(subject=f"run:{run.uid}").count() == 1
