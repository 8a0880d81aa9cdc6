from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.executors import executor_class
from agents.executors.process import ProcessExecutor
from tests.executors.harness import Bench, clean_up


@pytest.fixture(params=["fake", "subprocess"])
def any_bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Each kind of executor: what holds here holds for all of them."""
    if request.param == "fake":
        yield Bench(executor_class("fake")(), tmp_path / "runs")
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
