from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.utils.timezone import now

from agents import gpus, live_config, machine, redis
from monitor import resource_manager
from monitor.log_keeper import LogKeeper
from monitor.usage_keeper import UsageKeeper
from scheduling import (
    agent_control,
    node_history,
    node_process,
    nodes,
    taints,
    this_node,
)
from scheduling.local_executors import executors_for
from scheduling.rq import queues
from scheduling.rq.job import SignedJob, SignedSerializer
from scheduling.rq.worker import Launcher


class Command(BaseCommand):
    help = (
        "Run agents on this machine: launch, watch, stop (SIGTERM leaves them running)."
    )

    last: resource_manager.Sample | None = None
    history: node_history.Keeper

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", help="this node's name (default: the host's)")

    def handle(self, *, name: str | None, **options: Any) -> None:
        name = name or settings.KOS.nodes.name or machine.node_name()
        self.join(name, now())
        executors = executors_for(
            settings.VAR / "node" / name,
            mount_roots=live_config.current().paths.mount_roots,
            publish_on=live_config.current().nodes.address,
        )
        self.history = node_history.Keeper()
        process = node_process.NodeProcess(name, executors, [self.sample])
        node_process.install(process)
        node_process.end_with_any_thread()
        keepers = (LogKeeper(name), UsageKeeper(name, process.here.of.get))
        process.start()
        for keeper in keepers:
            keeper.start()
        self.stdout.write(f"node {name} is running")
        launcher(name).work(logging_level="WARNING")
        for keeper in keepers:
            keeper.stop()
        process.stop()
        self.stdout.write(f"node {name} has stopped; its agents go on")

    def join(self, name: str, at: datetime) -> None:
        config = live_config.current().nodes
        declared = (*config.devices, *settings.KOS_GPUS)
        devices = gpus.inventory(resource_manager.gpus(), declared)
        this_node.install(devices, address=config.address)
        found = {
            **machine.facts(),
            "gpus": gpus.places(devices),
            "devices": devices,
            "address": config.address,
        }
        if config.labels:
            found["labels"] = labelled(config.labels)
        if config.bandwidth_bps:
            found["bandwidth_bps"] = config.bandwidth_bps
        booted = nodes.register(name, now=at, facts=found)
        taints.announce(name, config.taints)
        if booted:
            agent_control.start_at_boot(now=at)

    def sample(self, name: str, at: datetime) -> None:
        self.last = resource_manager.sampler_step(name, self.last, now=at)
        self.history.take(name, self.last.usage, now=at)


def labelled(words: Sequence[str]) -> dict[str, str | bool]:
    """ "disk=ssd" is {"disk": "ssd"}, "avx512" is {"avx512": true}."""
    pairs = (word.partition("=") for word in words)
    return {name: value or True for name, _, value in pairs}


def launcher(name: str) -> Launcher:
    return Launcher(
        [queues.queue(queues.launch_queue(name))],
        connection=redis.blocking_connection(),
        serializer=SignedSerializer,
        job_class=SignedJob,
    )
