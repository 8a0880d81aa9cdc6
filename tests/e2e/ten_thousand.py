"""Puts ten thousand past runs of forty agents into the store KOS_VAR names.

Written as rows, in a process of its own: this is about drawing them, not making them.
"""

from __future__ import annotations

import os
import random
from datetime import timedelta

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kos_scheduler.settings")
django.setup()

from django.db import transaction  # noqa: E402 - needs the settings
from django.utils import timezone  # noqa: E402

from agents.agent_registry import register  # noqa: E402
from agents.models import Agent, Node  # noqa: E402
from scheduling.models import Run, new_uid  # noqa: E402
from scheduling.run_state import RunState  # noqa: E402

AGENTS, RUNS, WINDOW = 40, 10_000, timedelta(hours=5)
ENDS = (RunState.SUCCEEDED,) * 9 + (RunState.FAILED,)


def main() -> None:
    now = timezone.now()
    node = Node.objects.first()
    chance = random.Random(7)
    with transaction.atomic():
        agents = [agent_number(n, now) for n in range(AGENTS)]
        Run.objects.bulk_create(
            [past_run(agents[n % AGENTS], node, now, chance) for n in range(RUNS)],
            batch_size=500,
        )


def agent_number(n: int, now: object) -> Agent:
    wanted = {
        "agent_id": f"many_{n:02}",
        "exec_env": "subprocess",
        "entry_point": "/bin/true",
    }
    return register(wanted, actor="user:test", now=now, may_unsandboxed=True)


def past_run(
    agent: Agent, node: Node | None, now: object, chance: random.Random
) -> Run:
    start = now - WINDOW * chance.random()
    end = start + timedelta(seconds=chance.uniform(5, 240))
    uid = new_uid()
    return Run(
        uid=uid,
        agent=agent,
        version=agent.current,
        state=chance.choice(ENDS) if end < now else RunState.SUCCEEDED,
        state_since=min(end, now),
        priority=agent.priority,
        occurrence_key=uid,
        requested_by="user:test",
        exec_env=agent.exec_env,
        cpu_millis=100,
        memory_bytes=1,
        due_at=start,
        queued_at=start,
        admitted_at=start,
        started_at=start,
        ended_at=min(end, now),
        node=node,
        exit_code=0,
    )


main()
