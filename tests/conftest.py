"""What all tests share: a private store, people of every role, and agents.

tests/settings.py gives every session a state folder; its Valkey listens on a unix
socket inside it.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py
from django.conf import settings
from hypothesis import settings as hypothesis_settings

from kos_scheduler.up_programs import store_binary

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
ROLES = ("viewer", "operator", "editor", "admin")
PASSWORD = "correct horse battery staple"
# how many examples a property is tried on; `make nightly` takes the second
hypothesis_settings.register_profile("kos", max_examples=200, deadline=None)
hypothesis_settings.register_profile("nightly", max_examples=10_000, deadline=None)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "kos"))


@pytest.fixture(scope="session", autouse=True)
def valkey() -> Iterator[str]:
    """A Valkey of this session's own, on the socket REDIS_URL names."""
    folder = Path(settings.VAR)
    socket = str(folder / "valkey.sock")
    store = ("--save", "", "--appendonly", "no", "--dir", str(folder))
    server = subprocess.Popen(
        [str(store_binary()), "--port", "0", "--unixsocket", socket, *store],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until_it_answers(server)
    yield socket
    server.terminate()
    server.wait(10)


def wait_until_it_answers(server: subprocess.Popen[bytes]) -> None:
    with redis_py.Redis.from_url(settings.REDIS_URL) as client:
        deadline = time.monotonic() + 10
        while True:
            assert server.poll() is None, "valkey-server ended at once"
            try:
                client.ping()
                return
            except redis_py.ConnectionError:
                assert time.monotonic() < deadline, "valkey-server does not answer"
                time.sleep(0.02)


@pytest.fixture(autouse=True)
def fresh_process_state() -> Iterator[None]:
    """Nothing that one test left in memory or in Valkey reaches the next."""
    from agents import live_config, redis
    from kos_scheduler import rates
    from monitor import redaction
    from scheduling import (
        calendar_days,
        deadlines,
        event_watchers,
        forecasts,
        hot_reads,
        timetables,
        window_bars,
    )

    forecasts.forget()
    deadlines.forget()
    redaction.secrets_of_runs.forget()
    live_config.forget()
    hot_reads.forget()
    event_watchers.forget()
    window_bars.forget()
    calendar_days.forget()
    timetables.forget()
    rates.local.counts.clear()
    redis.connection().flushdb()
    folder = Path.cwd()
    yield
    os.chdir(folder)
    live_config.forget()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's tests come last: their driver keeps an event loop in this thread,
    in which no other asynchronous test could run."""
    items.sort(key=lambda item: "e2e" in item.path.parts)


@pytest.fixture
def now() -> datetime:
    return NOON


@pytest.fixture
def user_of(db: None) -> Callable[[str], Any]:
    """A person with the role ("" for none), made on first use."""
    from django.contrib.auth.models import Group, User

    def make(role: str) -> Any:
        name = role or "stranger"
        user, made = User.objects.get_or_create(
            username=name, defaults={"is_staff": role == "admin"}
        )
        if made:
            user.set_password(PASSWORD)
            user.save()
            if role:
                user.groups.add(Group.objects.get_or_create(name=role)[0])
        return user

    return make


@pytest.fixture
def client_of(user_of: Callable[[str], Any]) -> Callable[[str], Any]:
    """A signed-in DRF test client of the role; JSON by default."""
    from rest_framework.test import APIClient

    def make(role: str) -> Any:
        client = APIClient()
        client.force_login(user_of(role))
        return client

    return make


@pytest.fixture
def admin(client_of: Callable[[str], Any]) -> Any:
    return client_of("admin")


@pytest.fixture
def editor(client_of: Callable[[str], Any]) -> Any:
    return client_of("editor")


@pytest.fixture
def operator(client_of: Callable[[str], Any]) -> Any:
    return client_of("operator")


@pytest.fixture
def viewer(client_of: Callable[[str], Any]) -> Any:
    return client_of("viewer")


@pytest.fixture
def stranger(client_of: Callable[[str], Any]) -> Any:
    """Signed in, but with no role at all."""
    return client_of("")


@pytest.fixture
def anonymous(db: None) -> Any:
    from rest_framework.test import APIClient

    return APIClient()


@pytest.fixture
def make_agent(db: None) -> Callable[..., Any]:
    """Register an agent; what is not said is a small subprocess agent."""
    from agents import agent_registry

    def make(agent_id: str = "worker", **definition: Any) -> Any:
        raw = {"exec_env": "subprocess", "entry_point": "/bin/true", **definition}
        return agent_registry.register(
            {"agent_id": agent_id, **raw},
            actor="user:test",
            now=NOON,
            may_unsandboxed=True,
        )

    return make


@pytest.fixture
def agent(make_agent: Callable[..., Any]) -> Any:
    return make_agent()


@pytest.fixture
def report(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says a line at the end of the session, in parallel sessions as well."""
    return lambda line: record_property("kos-report", line)


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Callable[[str, str], None]:
    """Counts outcomes over many tests; the sums are told at the end."""
    return lambda group, outcome: record_property("kos-tally", f"{group}: {outcome}")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    told = [
        (name, str(value))
        for outcome in ("passed", "failed")
        for test in terminalreporter.stats.get(outcome, ())
        for name, value in test.user_properties
        if name in ("kos-report", "kos-tally")
    ]
    sums = Counter(value for name, value in told if name == "kos-tally")
    lines = [value for name, value in told if name == "kos-report"]
    lines += [f"{value}: {count}" for value, count in sorted(sums.items())]
    if lines:
        terminalreporter.section("counts")
        for line in lines:
            terminalreporter.write_line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: Any) -> None:
    """Tests log hostile text; what is shown of it must be able to travel."""
    report.sections = [
        (name, text.encode("utf-8", "backslashreplace").decode())
        for name, text in report.sections
    ]
