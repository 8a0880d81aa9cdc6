"""`manage.py up` as a user meets it: one per VAR, and what happens when it ends."""

from __future__ import annotations

import signal
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.live.harness import Product, running_product
from tests.waiting import wait_for


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Product]:
    """A product of the test's own, to stop as it likes."""
    with running_product(tmp_path) as product:
        yield product


def start_sleeper(product: Product, kind: str = "ephemeral") -> str:
    product.register("sleeper", "/bin/sleep", "600", kind=kind, grace_period="2s")
    uid = wait_for(first_run(product)) if kind == "persistent" else spawned(product)
    wait_for(lambda: product.run(uid)["state"] == "running", timeout_s=20)
    return uid


def spawned(product: Product) -> str:
    [uid] = product.spawn("sleeper")
    return uid


def first_run(product: Product) -> Callable[[], str | None]:
    """A persistent agent is started by the product itself."""

    def uid() -> str | None:
        started = product.get("runs/?agent=sleeper")["items"]
        return started[0]["uid"] if started else None

    return uid


def sleepers(product: Product) -> list[int]:
    return [pid for pid, command in product.processes().items() if "sleep" in command]


def test_it_tells_where_it_is_and_where_the_password_lies(own: Product) -> None:
    wait_for(lambda: "kOS is up" in own.console)
    password_file = own.var / "admin-password"
    assert f"{own.url}/" in own.console
    assert str(password_file) in own.console
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert own.admin_password not in own.console


def test_a_second_one_in_the_same_var_says_so_in_one_line(own: Product) -> None:
    second = own.manage("up", "--port", "1")
    assert second.returncode == 1
    [line] = second.stderr.splitlines()
    assert f"kOS already runs there (process {own.pid('up')})" in line


@pytest.mark.parametrize("kind", ["ephemeral", "persistent"])
def test_ctrl_c_stops_the_agents_too_and_says_how_many(own: Product, kind: str) -> None:
    start_sleeper(own, kind)
    shown = own.stop(signal.SIGINT)
    assert "stopped 1 agent" in shown
    wait_for(lambda: own.processes() == {})


def test_keep_leaves_the_agents_running_on_ctrl_c(tmp_path: Path) -> None:
    with running_product(tmp_path, env={"KEEP": "1"}) as product:
        start_sleeper(product)
        product.stop(signal.SIGINT)
        assert sleepers(product) != []


def test_after_sigterm_the_next_start_finds_the_agents_again(own: Product) -> None:
    uid = start_sleeper(own)
    before = sleepers(own)
    own.stop(signal.SIGTERM)
    own.start()
    assert own.run(uid)["state"] == "running"
    assert sleepers(own) == before
    own.post(f"runs/{uid}/stop/", status=200)
    assert own.wait_for_end(uid)["state"] == "cancelled"


def test_a_client_waits_and_is_not_refused_while_the_web_restarts(
    own: Product,
) -> None:
    own.kill("web")
    answer = httpx.get(f"{own.url}/api/v1/health/", timeout=20)
    assert answer.status_code == 200
