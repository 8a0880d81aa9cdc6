from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors import executor_class
from agents.executors.process import ProcessExecutor
from tests.executors.harness import Bench, clean_up

REAL = ["subprocess"]  # every environment that runs real programs


def held(tmp_path: Path, environment: str = "subprocess") -> Iterator[Bench]:
    """A bench of one of the holder's environments."""
    executor = ProcessExecutor(tmp_path / "node")
    executor.ensure()
    yield Bench(executor, tmp_path / "runs", environment=environment)
    clean_up(executor)


def faked(tmp_path: Path) -> Iterator[Bench]:
    yield Bench(executor_class("fake")(), tmp_path / "runs", environment="fake")


def made(environment: str, tmp_path: Path) -> Iterator[Bench]:
    """The bench of an environment; a new one joins here and in REAL."""
    if environment == "fake":
        yield from faked(tmp_path)
    else:
        yield from held(tmp_path, environment)


@pytest.fixture(params=["fake", *REAL])
def any_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each kind of executor: what holds here holds for all of them."""
    yield from made(request.param, tmp_path)


@pytest.fixture(params=REAL)
def real_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each environment that runs real programs."""
    yield from made(request.param, tmp_path)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Real programs in the process executor."""
    yield from held(tmp_path)
