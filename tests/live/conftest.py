from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.executors.docker_bench import dockerd  # noqa: F401
from tests.live.four_environments import fleet, systemd_host  # noqa: F401
from tests.live.harness import PYTHON, Product, running_product
from tests.live.hook_bench import depot, hooks_product  # noqa: F401

WITNESS = Path(__file__).with_name("witness.py")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """One product for the tests of a module; each uses agents of its own."""
    with running_product(tmp_path_factory.mktemp("kos")) as product:
        yield product


@pytest.fixture
def witness() -> tuple[str, ...]:
    """The command line of a witness, less its own arguments."""
    return (PYTHON, str(WITNESS))
