"""Where the node reaches what a run listens on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scheduling import this_node
from scheduling.reached import way_to

PORTS = {"http": [8080, 8080], "debug": [9000, 9010], "any": [0, 0]}
GIVEN = {"http": 31001, "debug": 9003, "any": 31002}
PROGRAM = {"exec_env": "subprocess", "ports": PORTS}
CONTAINER = {"exec_env": "docker", "ports": PORTS}


@pytest.fixture(params=["10.1.2.3", "fd00::7"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where this machine publishes what its containers serve."""
    this_node.install([], address=request.param)
    yield request.param
    this_node.install([])


@pytest.mark.parametrize(
    ("named", "here"),
    [("http", 31001), (8080, 31001), (9001, 9003), ("any", 31002), (5, 5)],
)
def test_a_port_is_the_one_the_run_was_given(named: int | str, here: int) -> None:
    assert way_to(CONTAINER, GIVEN).port(named) == here


def test_a_container_is_reached_where_its_ports_are_published(address: str) -> None:
    way = way_to(CONTAINER, GIVEN)
    shown = f"[{address}]" if ":" in address else address
    assert way.host == address
    assert way.url("http://localhost:8080/a?b=c") == f"http://{shown}:31001/a?b=c"


def test_a_program_is_reached_at_the_machines_own_address(address: str) -> None:
    way = way_to(PROGRAM, {"debug": 9003})
    assert way.host == "127.0.0.1"
    assert way.url("http://[::1]:9000/") == "http://[::1]:9003/"
    assert way.url("https://localhost/") == "https://localhost:443/"


def test_a_run_of_before_without_ports_is_reached_as_it_says() -> None:
    assert way_to({"exec_env": "systemd"}, None).url("http://127.0.0.1:1/") == (
        "http://127.0.0.1:1/"
    )
