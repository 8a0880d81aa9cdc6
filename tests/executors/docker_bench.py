"""A bench whose programs run in containers, by the same argv as everywhere."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.executors.base import Container, LaunchSpec, Mount
from agents.executors.docker import DockerExecutor
from tests.executors.docker_daemon import IMAGE, Daemon, make_images, need
from tests.executors.harness import WITHIN_S, Bench
from tests.waiting import wait_for

USR = Mount("/usr", "/usr")


class DockerBench(Bench):
    """`image` and `container` may be given in place of the host's own programs."""

    def spec(
        self, *argv: str, uid: str = "", token: int = 1, **more: Any
    ) -> LaunchSpec:
        more.setdefault("container", Container(IMAGE, pull="never"))
        more.setdefault("mounts", (USR,))
        return super().spec(*argv, uid=uid, token=token, **more)


@pytest.fixture(scope="session")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A Docker engine with images, for all tests of the session."""
    need()
    daemon = Daemon(tmp_path_factory.mktemp("docker"))
    daemon.start()
    make_images(daemon, tmp_path_factory.mktemp("images"))
    yield daemon
    daemon.clean_up()


@pytest.fixture
def docker_bench(dockerd: Daemon, tmp_path: Path) -> Iterator[DockerBench]:
    """Real containers."""
    roots = ("/usr", str(tmp_path / "shared"))
    executor = DockerExecutor(
        tmp_path / "node", base_url=dockerd.base_url, allowed_roots=roots
    )
    executor.ensure()
    yield DockerBench(executor, tmp_path / "runs", environment="docker")
    end_all(executor)


def end_all(executor: DockerExecutor) -> None:
    """End what a test left running, and see that nothing of it stays. One that let go
    of its folder has left it to another."""
    if executor.is_closed:
        return
    for uid in executor.alive():
        executor.stop(uid, grace_s=0)
    wait_for(lambda: not executor.alive(), timeout_s=WITHIN_S)
    node = executor.node
    wait_for(lambda: not executor.engine.listed(node), timeout_s=WITHIN_S)
    with contextlib.suppress(Exception):
        executor.close()
