"""What every executor must do. A new kind joins by being a parameter of `any_bench`."""

from __future__ import annotations

import signal

import pytest

from agents.executors import KINDS
from agents.executors.base import Ended, NotStarted, Started
from tests.executors.harness import Bench


def test_every_kind_has_its_class() -> None:
    from agents.executors import executor_class

    assert {executor_class(kind).name for kind in KINDS} == set(KINDS)


@pytest.mark.parametrize(
    ("argv", "code"),
    [(("true",), 0), (("false",), 1), (("sh", "-c", "exit 7"), 7)],
)
def test_the_exit_code_is_seen(
    any_bench: Bench, argv: tuple[str, ...], code: int
) -> None:
    ended = any_bench.run(*argv)
    assert (ended.exit_code, ended.signal) == (code, None)
    assert (ended.oom_killed, ended.timed_out) == (False, False)
    assert (ended.stopped, ended.lost) == (False, False)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGABRT])
def test_a_signal_is_told_by_its_number(any_bench: Bench, number: int) -> None:
    ended = any_bench.run("sh", "-c", f"kill -{number:d} $$")
    assert (ended.exit_code, ended.signal) == (None, number)


def test_exit_137_and_kill_9_stay_apart(any_bench: Bench) -> None:
    says_137 = any_bench.run("sh", "-c", "exit 137")
    is_killed = any_bench.run("sh", "-c", "kill -9 $$")
    assert (says_137.exit_code, says_137.signal) == (137, None)
    assert (is_killed.exit_code, is_killed.signal) == (None, 9)


def test_a_start_is_told_before_its_end(any_bench: Bench) -> None:
    uid = any_bench.start("true")
    any_bench.ended(uid)
    kinds = [type(one) for one in any_bench.seen if one.uid == uid]
    assert kinds == [Started, Ended]


def test_a_missing_program_is_not_started_and_named(any_bench: Bench) -> None:
    uid = any_bench.start("/no/such/program")
    assert any_bench.not_started(uid).reason == "no such program: /no/such/program"


def test_one_uid_and_token_start_one_program(any_bench: Bench) -> None:
    spec = any_bench.spec("sleep", "60")
    for _ in range(3):
        any_bench.executor.start([spec, spec])
    assert any_bench.executor.alive() == {spec.uid: 1}
    any_bench.executor.stop(spec.uid, grace_s=5)
    any_bench.ended(spec.uid)
    any_bench.executor.start([spec])
    any_bench.run("true")  # whatever was to happen has happened
    assert [type(o) for o in any_bench.seen if o.uid == spec.uid] == [Started, Ended]


def test_a_lower_token_than_one_that_ran_is_refused(any_bench: Bench) -> None:
    any_bench.run("true", uid="again", token=5)
    any_bench.start("true", uid="again", token=4)
    refused = any_bench.not_started("again")
    assert (refused.token, refused.reason) == (
        4,
        "a later attempt (5) was started here",
    )


def test_a_uid_that_is_alive_is_not_started_again_by_any_token(
    any_bench: Bench,
) -> None:
    uid = any_bench.start("sleep", "60", uid="busy", token=5)
    any_bench.start("sleep", "60", uid=uid, token=6)
    refused = any_bench.not_started(uid)
    assert (refused.token, refused.reason) == (6, "its attempt 5 is still alive")


def test_a_higher_token_starts_again_after_the_end(any_bench: Bench) -> None:
    any_bench.run("true", uid="again", token=1)
    any_bench.start("sleep", "60", uid="again", token=2)
    any_bench.run("true")
    assert any_bench.executor.alive() == {"again": 2}


def test_stop_asks_politely_and_may_be_repeated(any_bench: Bench) -> None:
    uid = any_bench.start("sleep", "60")
    any_bench.executor.stop(uid, grace_s=10)
    ended = any_bench.ended(uid)
    assert (ended.signal, ended.stopped) == (signal.SIGTERM, True)
    any_bench.executor.stop(uid, grace_s=0)
    assert any_bench.executor.alive() == {}


def test_a_program_that_ignores_sigterm_is_ended_after_its_grace(
    any_bench: Bench,
) -> None:
    uid = any_bench.start("sh", "-c", "trap '' TERM; echo up; while :; do :; done")
    if any_bench.executor.name != "fake":
        any_bench.says(uid, "up")
    any_bench.executor.stop(uid, grace_s=0.3)
    ended = any_bench.ended(uid)
    assert (ended.signal, ended.stopped) == (signal.SIGKILL, True)


def test_a_later_stop_may_shorten_the_grace_but_not_lengthen_it(
    any_bench: Bench,
) -> None:
    uid = any_bench.start("sh", "-c", "trap '' TERM; echo up; while :; do :; done")
    if any_bench.executor.name != "fake":
        any_bench.says(uid, "up")
    any_bench.executor.stop(uid, grace_s=600)
    any_bench.executor.stop(uid, grace_s=0.1)
    any_bench.executor.stop(uid, grace_s=600)
    assert any_bench.ended(uid).signal == signal.SIGKILL


def test_a_stop_of_an_unknown_run_is_silent(any_bench: Bench) -> None:
    any_bench.executor.stop("nobody", grace_s=1)
    any_bench.executor.signal("nobody", signal.SIGUSR1)
    assert any_bench.executor.alive() == {}


def test_the_time_limit_ends_a_run_and_says_so(any_bench: Bench) -> None:
    ended = any_bench.run("sleep", "60", time_limit_s=0.2)
    assert (ended.signal, ended.timed_out, ended.stopped) == (15, True, False)


def test_a_run_that_ignores_its_time_limit_is_ended_after_its_grace(
    any_bench: Bench,
) -> None:
    uid = any_bench.start(
        "sh",
        "-c",
        "trap '' TERM; while :; do :; done",
        time_limit_s=0.5,
        grace_s=0.2,
    )
    ended = any_bench.ended(uid)
    assert (ended.signal, ended.timed_out) == (signal.SIGKILL, True)


def test_reading_again_from_an_offset_says_the_same_again(any_bench: Bench) -> None:
    any_bench.run("true")
    any_bench.run("false")
    executor = any_bench.executor
    first, middle = executor.read(0, most_bytes=1 << 20)
    again, end = executor.read(0, most_bytes=1 << 20)
    assert (first, middle) == (again, end)
    assert executor.read(end, most_bytes=1 << 20) == ([], end)


def test_reading_in_small_pieces_loses_nothing(any_bench: Bench) -> None:
    uids = [any_bench.start("true") for _ in range(5)]
    for uid in uids:
        any_bench.ended(uid)
    offset, found = 0, []
    while True:
        part, following = any_bench.executor.read(offset, most_bytes=10)
        if following == offset:
            break
        offset, found = following, found + part
    assert found == any_bench.seen


def test_many_starts_at_once_are_all_told(any_bench: Bench) -> None:
    specs = [any_bench.spec("true") for _ in range(100)]
    any_bench.executor.start(specs)
    assert all(any_bench.ended(spec.uid).exit_code == 0 for spec in specs)
    assert not any(isinstance(one, NotStarted) for one in any_bench.seen)
