from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.timezone import now

from agents import live_config, machine, redis
from monitor import resource_manager
from scheduling import agent_control, node_process, nodes
from scheduling.local_executors import executors_for
from scheduling.rq import queues
from scheduling.rq.job import SignedJob, SignedSerializer
from scheduling.rq.worker import Launcher


class Command(BaseCommand):
    help = (
        "Run agents on this machine: launch, watch, stop (SIGTERM leaves them running)."
    )

    last: resource_manager.Sample | None = None

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", help="this node's name (default: the host's)")

    def handle(self, *, name: str | None, **options: Any) -> None:
        name = name or settings.KOS.nodes.name or machine.node_name()
        self.join(name, now())
        executors = executors_for(
            settings.VAR / "node" / name,
            mount_roots=live_config.current().paths.mount_roots,
        )
        process = node_process.NodeProcess(name, executors, [self.sample])
        node_process.install(process)
        node_process.end_with_any_thread()
        process.start()
        self.stdout.write(f"node {name} is running")
        launcher(name).work(logging_level="WARNING")
        process.stop()
        self.stdout.write(f"node {name} has stopped; its agents go on")

    def join(self, name: str, at: datetime) -> None:
        found = {
            **machine.facts(),
            "gpus": resource_manager.detect_capacity()[2],
        }
        if nodes.register(name, now=at, facts=found):
            agent_control.start_at_boot(now=at)

    def sample(self, name: str, at: datetime) -> None:
        self.last = resource_manager.sampler_step(name, self.last, now=at)


def launcher(name: str) -> Launcher:
    return Launcher(
        [queues.queue(queues.launch_queue(name))],
        connection=redis.blocking_connection(),
        serializer=SignedSerializer,
        job_class=SignedJob,
    )
