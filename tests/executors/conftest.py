from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents.executors import executor_class
from agents.executors.process import ProcessExecutor
from agents.executors.systemd import SystemdExecutor
from tests.executors.docker_bench import docker_bench, dockerd  # noqa: F401
from tests.executors.harness import Bench, clean_up, lacks
from tests.executors.systemd_host import (
    SystemdBench,
    SystemdHost,
    boot_or_skip,
    end_runs,
)

REAL = [
    "subprocess",
    "sandbox",
    "docker",
    "systemd",
]  # every environment that runs real programs


Tally = Callable[[str, str], None]


def held(tmp_path: Path, environment: str = "subprocess") -> Iterator[Bench]:
    """A bench of one of the holder's environments."""
    executor = ProcessExecutor(tmp_path / "node")
    executor.ensure()
    absent = executor.about()["absent"]
    if environment in absent:
        clean_up(executor)
        lacks(environment, absent[environment])
    yield Bench(executor, tmp_path / "runs", environment=environment)
    clean_up(executor)


def faked(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(executor_class("fake")(), tmp_path / "runs", environment="fake")


@pytest.fixture(scope="session")
def systemd_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdHost]:
    """One systemd for all tests: each has an executor, and so units, of its own."""
    host = boot_or_skip(tmp_path_factory.mktemp("systemd") / "host")
    yield host
    host.end()


def in_systemd(host: SystemdHost, tmp_path: Path) -> Iterator[Bench]:
    executor = SystemdExecutor(tmp_path / "node", bus=host.bus)
    executor.ensure()
    yield SystemdBench(host, executor, tmp_path / "runs")
    end_runs(executor)


def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """The bench of an environment; a new one joins here and in REAL."""
    environment = request.param
    if environment == "fake":
        yield from faked(tmp_path)
    elif environment == "docker":
        yield request.getfixturevalue("docker_bench")
    elif environment == "systemd":
        yield from in_systemd(request.getfixturevalue("systemd_host"), tmp_path)
    else:
        yield from held(tmp_path, environment)


@pytest.fixture(params=["fake", *REAL])
def any_bench(
    request: pytest.FixtureRequest, tmp_path: Path, tally: Tally
) -> Iterator[Bench]:
    """Each kind of executor: what holds here holds for all of them."""
    tally("conformance", request.param)
    yield from made(request, tmp_path)


@pytest.fixture(params=REAL)
def real_bench(
    request: pytest.FixtureRequest, tmp_path: Path, tally: Tally
) -> Iterator[Bench]:
    """Each environment that runs real programs."""
    tally("conformance", request.param)
    yield from made(request, tmp_path)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Real programs in the process executor."""
    yield from held(tmp_path)


@pytest.fixture(params=["nsjail", "bwrap"])
def jail(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    """A jail made with each of the tools."""
    monkeypatch.setenv("KOS_JAIL", request.param)
    yield from held(tmp_path, "sandbox")
