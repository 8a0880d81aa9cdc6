"""The cache of preloaded files: by content, shared, bounded, never trusted."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest

from agents.hooks.budget import Budget, HookFailed, HookStopped
from agents.hooks.cache import Cache

ROOM = 1000


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def bringing(data: bytes, count: list[int]) -> Callable[[BinaryIO], None]:
    def fetch(into: BinaryIO) -> None:
        count.append(1)
        into.write(data)

    return fetch


def take(cache: Cache, data: bytes, count: list[int], room: int = ROOM) -> bool:
    """Whether it was there; what came is what was asked for."""
    file, was_there = cache.take(
        sha(data), bringing(data, count), most_bytes=room, budget=Budget(30)
    )
    with file:
        assert file.read() == data
    return was_there


def test_the_second_time_nothing_is_fetched(tmp_path: Path) -> None:
    cache, count = Cache(tmp_path / "cache"), list[int]()
    assert [take(cache, b"model", count) for _ in range(3)] == [False, True, True]
    assert len(count) == 1


def test_twenty_at_once_share_one_fetch(tmp_path: Path) -> None:
    cache, count, go = Cache(tmp_path), list[int](), threading.Event()

    def fetch(into: BinaryIO) -> None:
        count.append(1)
        go.wait(10)
        into.write(b"model")

    def one(_: int) -> bytes:
        file, _there = cache.take(
            sha(b"model"), fetch, most_bytes=ROOM, budget=Budget(30)
        )
        with file:
            return file.read()

    with ThreadPoolExecutor(20) as pool:
        found = pool.map(one, range(20))
        go.set()
        assert list(found) == [b"model"] * 20
    assert len(count) == 1


def test_one_who_waits_for_anothers_fetch_keeps_to_its_own_time(
    tmp_path: Path,
) -> None:
    cache, begun, go = Cache(tmp_path), threading.Event(), threading.Event()

    def fetch(into: BinaryIO) -> None:
        begun.set()
        go.wait(10)
        into.write(b"x")

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(
            cache.take, sha(b"x"), fetch, most_bytes=ROOM, budget=Budget(30)
        )
        begun.wait(10)
        with pytest.raises(HookFailed, match=r"took over 0\.1 s"):
            cache.take(sha(b"x"), fetch, most_bytes=ROOM, budget=Budget(0.1))
        unwanted = Budget(30)
        unwanted.stop()
        with pytest.raises(HookStopped):
            cache.take(sha(b"x"), fetch, most_bytes=ROOM, budget=unwanted)
        go.set()
        slow.result()[0].close()


def test_another_file_than_was_named_is_refused_and_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with pytest.raises(HookFailed, match=f"its sha256 is {sha(b'evil')}, not"):
        cache.take(
            sha(b"good"), bringing(b"evil", []), most_bytes=ROOM, budget=Budget(30)
        )
    assert os.listdir(tmp_path) == []


def test_a_damaged_file_is_fetched_again(tmp_path: Path) -> None:
    cache, count = Cache(tmp_path), list[int]()
    take(cache, b"model", count)
    (tmp_path / sha(b"model")).write_bytes(b"modem")
    assert take(cache, b"model", count) is False
    assert len(count) == 2


def test_the_least_recently_used_go_when_there_is_too_much(tmp_path: Path) -> None:
    cache, count = Cache(tmp_path), list[int]()
    for age, name in ((30, b"a"), (20, b"b"), (10, b"c")):
        take(cache, name * 300, count)
        os.utime(tmp_path / sha(name * 300), (1e9 - age, 1e9 - age))
    take(cache, b"a" * 300, count)  # used again: now the youngest
    take(cache, b"d" * 300, count)
    assert set(os.listdir(tmp_path)) == {sha(n * 300) for n in (b"a", b"c", b"d")}


def test_halves_that_a_killed_process_left_are_thrown_away(tmp_path: Path) -> None:
    cache, count = Cache(tmp_path), list[int]()
    take(cache, b"model", count)
    (tmp_path / "dead.part").write_bytes(b"half")
    cache.tidy()
    assert os.listdir(tmp_path) == [sha(b"model")]
