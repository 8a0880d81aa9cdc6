"""What every environment must do to a live run: freeze it, tell what it uses, change
its limits; and what a run must not be able to do to the machine.

A field of Capabilities that an environment lacks skips its tests, with its reason.
"""

from __future__ import annotations

import signal
from dataclasses import fields

import pytest

from agents.executors.base import BadSpec, Capabilities, Limits
from tests.executors.harness import WITHIN_S, Bench, processes_of
from tests.executors.programs import (
    AT_THE_GATE,
    BURN,
    CORE,
    COUNTS,
    DAEMON,
    FILLS,
    FORKS_ON,
    MIB,
    cpu_seconds,
    open_gate,
    spend_time,
)
from tests.waiting import wait_for


def test_each_environment_says_what_it_can_do_and_why_not_the_rest(
    any_bench: Bench,
) -> None:
    found = any_bench.executor.capabilities()
    assert any_bench.environment in found
    assert set(found) <= set(any_bench.executor.environments)
    for can in found.values():
        names = [one.name for one in fields(Capabilities) if one.name != "missing"]
        lacks = {name for name in names if not getattr(can, name)}
        assert {name for name in lacks if not can.missing.get(name)} == set()


# -- freezing -------------------------------------------------------------------------


def test_a_frozen_run_is_given_no_cpu_until_it_is_thawed(real_bench: Bench) -> None:
    bench = real_bench.needs("freeze")
    uid = bench.start("sh", "-c", FORKS_ON, limits=CORE)
    bench.says(uid, "up")
    bench.executor.freeze(uid)
    frozen_at = cpu_seconds(bench, uid)
    spend_time(bench)
    assert cpu_seconds(bench, uid) == pytest.approx(frozen_at, abs=0.001)
    assert bench.executor.usage(uid).frozen
    bench.executor.thaw(uid)
    wait_for(lambda: cpu_seconds(bench, uid) > frozen_at + 0.02)
    assert not bench.executor.usage(uid).frozen


def test_a_frozen_program_goes_on_where_it_was(real_bench: Bench) -> None:
    bench = real_bench.needs("freeze")
    uid = bench.python(COUNTS, limits=CORE)
    bench.says(uid, "3\n")
    bench.executor.freeze(uid)
    said = bench.text(uid)
    spend_time(bench)
    assert bench.text(uid) == said
    bench.executor.thaw(uid)
    bench.says(uid, f"{said}{len(said.split()) + 1}\n")


def test_a_daemon_of_two_sessions_is_frozen_too(real_bench: Bench) -> None:
    bench = real_bench.needs("freeze")
    uid = bench.python(DAEMON.format(does="pass", lives_s=600), limits=CORE)
    bench.says(uid, "up")
    wait_for(lambda: cpu_seconds(bench, uid) > 0.1)
    bench.executor.freeze(uid)
    frozen_at = cpu_seconds(bench, uid)
    spend_time(bench)
    assert cpu_seconds(bench, uid) == pytest.approx(frozen_at, abs=0.001)


def test_memory_of_a_frozen_run_is_reclaimed_as_measured_or_refused_with_the_reason(
    any_bench: Bench,
) -> None:
    bench = any_bench.needs("freeze")
    can = bench.executor.capabilities()[bench.environment]
    uid = bench.start("sleep", "60")
    bench.started(uid)
    bench.executor.freeze(uid)
    if can.reclaim:
        given = bench.executor.reclaim(uid)
        assert 0 <= given.given_bytes <= given.before_bytes
    else:
        with pytest.raises(BadSpec) as refused:
            bench.executor.reclaim(uid)
        assert can.missing["reclaim"] in str(refused.value)
    assert bench.executor.usage(uid).frozen


def test_freeze_and_thaw_may_be_repeated(any_bench: Bench) -> None:
    bench = any_bench.needs("freeze")
    uid = bench.start("sleep", "60")
    bench.started(uid)
    for _ in range(3):
        bench.executor.freeze(uid)
        bench.executor.freeze(uid)
        assert bench.executor.usage(uid).frozen
        bench.executor.thaw(uid)
        bench.executor.thaw(uid)
        assert not bench.executor.usage(uid).frozen
    assert bench.executor.alive() == {uid: 1}


def test_what_is_over_or_unknown_is_asked_in_silence(any_bench: Bench) -> None:
    uid = any_bench.start("true")
    any_bench.ended(uid)
    for name in (uid, "nobody"):
        any_bench.executor.freeze(name)
        any_bench.executor.thaw(name)
        any_bench.executor.relimit(name, Limits(memory_bytes=1))
        assert any_bench.executor.usage(name) is None
    assert any_bench.executor.alive() == {}


def test_a_stop_thaws_a_frozen_run_and_asks_it_politely(any_bench: Bench) -> None:
    bench = any_bench.needs("freeze")
    uid = bench.start("sleep", "60")
    bench.started(uid)
    bench.executor.freeze(uid)
    bench.executor.stop(uid, grace_s=10)
    ended = bench.ended(uid)
    assert (ended.signal, ended.stopped) == (signal.SIGTERM, True)


def test_a_frozen_run_that_would_ignore_sigterm_is_ended(real_bench: Bench) -> None:
    bench = real_bench.needs("freeze")
    uid = bench.start("sh", "-c", "trap '' TERM; echo up; while :; do :; done")
    bench.says(uid, "up")
    bench.executor.freeze(uid)
    bench.executor.stop(uid, grace_s=0.2)
    assert bench.ended(uid).signal == signal.SIGKILL
    assert processes_of({uid}) == {}


def test_the_time_limit_of_a_frozen_run_goes_on(any_bench: Bench) -> None:
    bench = any_bench.needs("freeze")
    uid = bench.start("sleep", "60", time_limit_s=1.5)
    bench.started(uid)
    bench.executor.freeze(uid)
    ended = bench.ended(uid)
    assert (ended.signal, ended.timed_out) == (signal.SIGTERM, True)


def test_a_run_that_was_frozen_leaves_nothing_to_the_next(real_bench: Bench) -> None:
    bench = real_bench.needs("freeze")
    for _ in range(3):
        uid = bench.start("sleep", "60")
        bench.started(uid)
        bench.executor.freeze(uid)
        bench.executor.stop(uid, grace_s=5)
        bench.ended(uid)
        assert bench.run("sh", "-c", "exit 3").exit_code == 3


# -- what it uses ---------------------------------------------------------------------


def test_usage_tells_cpu_memory_and_processes(real_bench: Bench) -> None:
    code = (
        "import os, time\nheld = bytearray(80 << 20)\nif os.fork(): os.fork()\n"
        f"{BURN.format(0.3)}print('up', flush=True); time.sleep(600)"
    )
    uid = real_bench.python(code, limits=CORE)
    wait_for(lambda: real_bench.text(uid).count("up") == 3, timeout_s=WITHIN_S)
    used = real_bench.executor.usage(uid)
    assert 0.9 <= used.cpu_seconds < 5
    assert used.processes == 3
    assert 80 * MIB <= used.memory_bytes < 400 * MIB
    if used.peak_memory_bytes is not None:
        assert used.peak_memory_bytes >= 80 * MIB


def test_usage_of_a_recycled_place_begins_at_nought(real_bench: Bench) -> None:
    real_bench.ended(real_bench.python(BURN.format(0.5), limits=CORE))
    uid = real_bench.start("sleep", "60")
    real_bench.started(uid)
    assert cpu_seconds(real_bench, uid) < 0.4


# -- other limits while it runs -------------------------------------------------------


def test_more_memory_may_be_given_to_a_live_run(real_bench: Bench) -> None:
    bench = real_bench.needs("memory", "relimit")
    code = f"{AT_THE_GATE}held = bytearray(150 << 20)"
    uid = bench.python(code, limits=Limits(memory_bytes=64 * MIB))
    bench.started(uid)
    bench.executor.relimit(uid, Limits(memory_bytes=256 * MIB))
    open_gate(bench, uid)
    ended = bench.ended(uid)
    assert (ended.exit_code, ended.oom_killed) == (0, False)


def test_memory_may_be_taken_from_a_live_run(real_bench: Bench) -> None:
    bench = real_bench.needs("memory", "relimit")
    code = f"{AT_THE_GATE}held = bytearray(300 << 20)"
    uid = bench.python(code, limits=Limits(memory_bytes=512 * MIB))
    bench.started(uid)
    bench.executor.relimit(uid, Limits(memory_bytes=64 * MIB))
    open_gate(bench, uid)
    ended = bench.ended(uid)
    assert (ended.signal, ended.oom_killed) == (signal.SIGKILL, True)


def test_a_cap_below_what_is_in_use_is_refused_and_harms_nobody(
    real_bench: Bench,
) -> None:
    bench = real_bench.needs("memory", "relimit")
    code = (
        f"held = bytearray(b'x' * (100 << 20)); print('up', flush=True)\n{AT_THE_GATE}"
    )
    uid = bench.python(code, limits=Limits(memory_bytes=512 * MIB))
    bench.says(uid, "up")
    with pytest.raises(BadSpec, match="memory"):
        bench.executor.relimit(uid, Limits(memory_bytes=32 * MIB))
    open_gate(bench, uid)
    ended = bench.ended(uid)
    assert (ended.exit_code, ended.oom_killed) == (0, False)


def test_the_number_of_processes_may_be_changed(real_bench: Bench) -> None:
    bench = real_bench.needs("pids", "relimit")
    uid = bench.python(AT_THE_GATE + FILLS)
    bench.started(uid)
    bench.executor.relimit(uid, Limits(pids=20))
    open_gate(bench, uid)
    bench.says(uid, "stopped at")
    assert int(bench.text(uid).split()[-1]) < 20
    bench.executor.stop(uid, grace_s=0)
    bench.ended(uid)


def test_a_cpu_quota_may_be_set_on_a_live_run(real_bench: Bench) -> None:
    bench = real_bench.needs("cpu", "relimit")
    code = (
        f"{AT_THE_GATE}began = time.process_time(); end = time.monotonic() + 1.5\n"
        "while time.monotonic() < end: pass\nprint(time.process_time() - began)"
    )
    uid = bench.python(code)
    bench.started(uid)
    bench.executor.relimit(uid, Limits(cpu_millis=200))
    open_gate(bench, uid)
    bench.ended(uid)
    assert float(bench.text(uid)) < 0.6


def test_the_cap_of_output_may_be_lowered(real_bench: Bench) -> None:
    bench = real_bench.needs("output", "relimit")
    code = "import os\nfor _ in range(16): os.write(1, b'x' * (1 << 20))\n"
    uid = bench.python(f"{code}print('up', flush=True)\n{AT_THE_GATE}")
    path = bench.folder / uid / "out"
    wait_for(lambda: path.exists() and path.stat().st_size > 16 * MIB, timeout_s=30)
    assert not path.with_suffix(".cut").exists()
    bench.executor.relimit(uid, Limits(output_bytes=MIB))
    wait_for(lambda: path.stat().st_blocks * 512 <= MIB + 64 * 1024, timeout_s=30)
    open_gate(bench, uid)
    assert bench.ended(uid).exit_code == 0
    assert path.stat().st_size > 16 * MIB


# -- bombs ----------------------------------------------------------------------------
