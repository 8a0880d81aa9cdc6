"""A bench whose programs run in containers, by the same argv as everywhere."""

from __future__ import annotations

import contextlib
from typing import Any

from agents.executors.base import Container, LaunchSpec, Mount
from agents.executors.docker import DockerExecutor
from tests.executors.docker_daemon import IMAGE
from tests.executors.harness import WITHIN_S, Bench
from tests.waiting import wait_for

USR = Mount("/usr", "/usr")


class DockerBench(Bench):
    """`image` and `container` may be given in place of the host's own programs."""

    def spec(
        self, *argv: str, uid: str = "", token: int = 1, **more: Any
    ) -> LaunchSpec:
        more.setdefault("environment", "docker")
        more.setdefault("container", Container(IMAGE, pull="never"))
        more.setdefault("mounts", (USR,))
        return super().spec(*argv, uid=uid, token=token, **more)


def end_all(executor: DockerExecutor) -> None:
    """End what a test left running, and see that nothing of it stays."""
    for uid in executor.alive():
        executor.stop(uid, grace_s=0)
    wait_for(lambda: not executor.alive(), timeout_s=WITHIN_S)
    node = executor.node
    wait_for(lambda: not executor.engine.listed(node), timeout_s=WITHIN_S)
    with contextlib.suppress(Exception):
        executor.close()
