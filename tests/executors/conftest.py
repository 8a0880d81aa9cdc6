from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors import executor_class
from agents.executors.docker import DockerExecutor
from agents.executors.process import ProcessExecutor
from tests.executors import docker_daemon
from tests.executors.docker_bench import DockerBench, end_all
from tests.executors.docker_daemon import Daemon
from tests.executors.harness import Bench, clean_up


@pytest.fixture(scope="session")
def dockerd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A Docker engine with images, for all tests of the session."""
    docker_daemon.need()
    daemon = Daemon(tmp_path_factory.mktemp("docker"))
    daemon.start()
    docker_daemon.make_images(daemon, tmp_path_factory.mktemp("images"))
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
    yield DockerBench(executor, tmp_path / "runs")
    end_all(executor)


@pytest.fixture(params=["fake", "subprocess", "docker"])
def any_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each kind of executor: what holds here holds for all of them."""
    if request.param == "fake":
        yield Bench(executor_class("fake")(), tmp_path / "runs")
        return
    if request.param == "docker":
        yield request.getfixturevalue("docker_bench")
        return
    executor = ProcessExecutor(tmp_path / "node")
    executor.ensure()
    yield Bench(executor, tmp_path / "runs")
    clean_up(executor)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Real programs in the process executor."""
    executor = ProcessExecutor(tmp_path / "node")
    executor.ensure()
    yield Bench(executor, tmp_path / "runs")
    clean_up(executor)
