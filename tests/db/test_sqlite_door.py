"""Writers of one machine queue at a door instead of sleeping on SQLite's lock."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection, transaction

from agents.models import Node
from tests.waiting import wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="the door is SQLite's"),
]


def door() -> Path:
    return Path(f"{connection.settings_dict['NAME']}-door")


@pytest.fixture
def other() -> Iterator[int]:
    """Another process's hand on the door."""
    with transaction.atomic():
        pass  # it exists now
    fd = os.open(door(), os.O_RDWR)
    yield fd
    os.close(fd)


def is_shut(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False


def test_the_door_is_shut_while_a_transaction_writes_and_open_after(other: int) -> None:
    with transaction.atomic():
        assert is_shut(other)
    assert not is_shut(other)


def test_a_transaction_that_is_rolled_back_opens_it_again(other: int) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        raise ZeroDivisionError
    assert not is_shut(other)


def test_a_connection_that_is_closed_inside_opens_it_again(other: int) -> None:
    found = []

    def leave_in_the_middle() -> None:
        connection.set_autocommit(
            False, force_begin_transaction_with_broken_autocommit=True
        )
        found.append(is_shut(other))
        connection.close()

    thread = threading.Thread(target=leave_in_the_middle)
    thread.start()
    thread.join(5)
    assert found == [True]
    assert not is_shut(other)


def test_a_writer_waits_outside_until_the_door_opens(other: int) -> None:
    fcntl.flock(other, fcntl.LOCK_EX)
    wrote = threading.Event()

    def write() -> None:
        with transaction.atomic():
            Node.objects.filter(name="n").update(version="x")
        wrote.set()
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    wait_for(lambda: len(os.listdir("/proc/self/task")) > 1, timeout_s=5)
    assert not wrote.wait(0.1)
    fcntl.flock(other, fcntl.LOCK_UN)
    thread.join(5)
    assert wrote.is_set()


def test_a_door_that_stays_shut_is_passed_by_and_sqlite_decides(
    other: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kos_scheduler.sqlite.base.SHUT_FOR_S", 0.05)
    fcntl.flock(other, fcntl.LOCK_EX)
    began = time.monotonic()
    with transaction.atomic():
        Node.objects.filter(name="n").update(version="x")
    assert time.monotonic() - began >= 0.05
    fcntl.flock(other, fcntl.LOCK_UN)
