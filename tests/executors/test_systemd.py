"""What is systemd's own: units, their environment, the bus, and what cannot start."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.executors.base import Limits
from agents.executors.systemd import SystemdExecutor
from agents.executors.systemd_bus import Property, connect
from tests.executors.harness import processes_of
from tests.executors.programs import HOSTILE
from tests.executors.systemd_host import (
    SystemdBench,
    SystemdHost,
    end_runs,
)
from tests.waiting import wait_for

MIB = 1 << 20


@pytest.fixture
def bench(systemd_host: SystemdHost, tmp_path: Path) -> Iterator[SystemdBench]:
    executor = SystemdExecutor(tmp_path / "node", bus=systemd_host.bus)
    executor.ensure()
    yield SystemdBench(systemd_host, executor, tmp_path / "runs")
    end_runs(executor)


def units(host: SystemdHost, pattern: str = "kos-*.service") -> list[str]:
    """The units of this name that systemd knows."""

    async def listed() -> list[str]:
        bus = await connect(host.bus, lambda event: None)
        [rows] = await bus.call("ListUnitsByPatterns", "asas", [], [pattern])
        bus.close()
        return [row[0] for row in rows]

    return asyncio.run(listed())


def start_a_stranger(host: SystemdHost, name: str) -> None:
    properties: list[Property] = [
        ("ExecStart", "a(sasb)", [["/bin/sleep", ["sleep", "60"], False]])
    ]

    async def start() -> None:
        bus = await connect(host.bus, lambda event: None)
        await bus.start_unit(name, properties)
        bus.close()

    asyncio.run(start())


def show(host: SystemdHost, unit: str, interface: str = "Service") -> dict[str, Any]:
    async def shown() -> dict[str, Any]:
        bus = await connect(host.bus, lambda event: None)
        found = await bus.properties(unit, interface)
        bus.close()
        return found

    return asyncio.run(shown())


# -- what reaches the program ---------------------------------------------------------


def test_arguments_reach_the_program_byte_for_byte(bench: SystemdBench) -> None:
    given = [arg for arg in HOSTILE if arg.isprintable() or arg.isascii()]
    given += ["$HOME ${PATH} %n %%", "\\x41 \\n", "@ - + ! :"]
    code = "import sys\nprint(ascii(sys.argv[1:]), end='')"
    uid = bench.start("python3", "-X", "utf8", "-S", "-c", code, *given)
    bench.ended(uid)
    assert bench.text(uid) == ascii(given)


def test_the_environment_is_what_was_given_and_the_name_of_the_run(
    bench: SystemdBench,
) -> None:
    given = {"PATH": "/usr/bin:/bin", "A": "1\n2", "KOS_X": "é $A %n", "EMPTY": ""}
    uid = bench.start("env", "-0", env=given)
    bench.ended(uid)
    seen = dict(line.split("=", 1) for line in bench.text(uid).split("\0") if line)
    assert seen == {**given, "KOS_RUN": f"{uid}/1"}


def test_the_program_is_on_its_own_in_its_work_folder(bench: SystemdBench) -> None:
    code = (
        "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()), "
        "sorted(os.listdir('/proc/self/fd')), os.getcwd())"
    )
    uid = bench.python(code)
    bench.ended(uid)
    work = (bench.folder / uid / "work").resolve()
    assert bench.text(uid) == f"True '' ['0', '1', '2', '3'] {work}\n"


def test_signals_are_at_their_defaults_and_none_is_blocked(bench: SystemdBench) -> None:
    uid = bench.start("grep", "-E", "Sig(Blk|Ign)", "/proc/self/status")
    bench.ended(uid)
    masks = [int(line.split()[1], 16) for line in bench.text(uid).splitlines()]
    of_libc = 0x180000000  # 32 and 33, which glibc keeps to itself
    assert [mask & ~of_libc for mask in masks] == [0, 0]


def test_both_streams_are_kept_apart_and_closed_to_others(bench: SystemdBench) -> None:
    uid = bench.start("sh", "-c", "echo one; echo two >&2; echo three")
    bench.ended(uid)
    assert (bench.text(uid), bench.text(uid, "err")) == ("one\nthree\n", "two\n")
    folder = bench.folder / uid
    modes = [(folder / name).stat().st_mode & 0o777 for name in ("out", "err", ".")]
    assert modes == [0o600, 0o600, 0o700]
    wait_for(lambda: {p.name for p in folder.iterdir()} == KEPT)


KEPT = {"out", "err", "work", "attempt-1"}


def test_limits_are_what_the_kernel_was_told(bench: SystemdBench) -> None:
    limits = Limits(
        cpu_millis=250, cpu_weight_millis=500, memory_bytes=96 * MIB, pids=70
    )
    uid = bench.start("sh", "-c", "ulimit -n; ulimit -c; sleep 60", limits=limits)
    seen = show(bench.host, str(bench.started(uid).handle["unit"]))
    names = ("MemoryMax", "CPUQuotaPerSecUSec", "CPUWeight", "TasksMax", "OOMPolicy")
    assert [seen[name] for name in names] == [96 * MIB, 250_000, 50, 70, "kill"]
    bench.says(uid, "4096\n0\n")


# -- how it ended ---------------------------------------------------------------------


@pytest.mark.parametrize("code", [200, 203, 217, 255])
def test_codes_that_systemd_uses_itself_may_be_a_programs_own(
    bench: SystemdBench, code: int
) -> None:
    ended = bench.run("sh", "-c", f"exit {code}")
    assert (ended.exit_code, ended.signal) == (code, None)


@pytest.mark.parametrize("name", ["EXIT_CODE", "EXIT_STATUS", "SERVICE_RESULT"])
def test_no_variable_of_the_program_falsifies_its_end(
    bench: SystemdBench, name: str
) -> None:
    env = {"PATH": os.environ["PATH"], name: "exited"}
    uid = bench.start("sh", "-c", f'echo "${name}"; exit 5', env=env)
    assert bench.ended(uid).exit_code == 5
    assert bench.text(uid) == "exited\n"


def test_a_record_that_the_program_forged_is_not_believed(bench: SystemdBench) -> None:
    forged = "echo 'success exited 0' > ../exit-1; echo whole >> ../exit-1; exit 7"
    assert bench.run("sh", "-c", forged).exit_code == 7


@pytest.mark.parametrize(
    "harm",
    [
        "mkdir ../exit-1",
        "rm -rf ../work",
        "rm -rf .. 2>/dev/null",
        "mkdir ../out.cut.new",
    ],
)
def test_a_program_that_harms_its_folder_still_tells_its_end(
    bench: SystemdBench, harm: str
) -> None:
    limits = Limits(output_bytes=1)
    ended = bench.run("sh", "-c", f"seq 99999; {harm}; exit 0", limits=limits)
    assert (ended.exit_code, ended.lost) == (0, False)


def test_what_a_run_used_is_told_at_its_end(bench: SystemdBench) -> None:
    code = "import time\nx = bytearray(80 << 20)\nwhile time.process_time() < .3: pass"
    ended = bench.ended(bench.python(code, limits=Limits(memory_bytes=256 * MIB)))
    assert ended.cpu_seconds is not None
    assert 0.3 <= ended.cpu_seconds < 1.5
    assert ended.peak_memory_bytes is not None
    assert 80 * MIB <= ended.peak_memory_bytes < 140 * MIB


def test_nothing_of_an_ended_run_stays_with_systemd(bench: SystemdBench) -> None:
    ends = ("exit 0", "exit 3", "kill -9 $$", "setsid sleep 600 & exit 0")
    uids = [bench.start("sh", "-c", how) for how in ends]
    assert [bench.ended(uid).exit_code for uid in uids] == [0, 3, None, 0]
    wait_for(lambda: not [u for u in units(bench.host) if any(x in u for x in uids)])
    assert processes_of(set(uids)) == {}


# -- what cannot start ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        (None, 0, "no such program: "),
        ("#!/bin/sh\n", 0o644, "not executable: "),
        ("#!/no/such/interpreter\n", 0o755, "it or its interpreter does not exist"),
        ("exit 3\n", 0o755, "a script needs its #! line"),
    ],
)
def test_what_cannot_start_says_why(
    bench: SystemdBench, tmp_path: Path, content: str | None, mode: int, reason: str
) -> None:
    program = tmp_path / "program"
    if content is not None:
        program.write_text(content)
        program.chmod(mode)
    uid = bench.start(str(program))
    assert reason in bench.not_started(uid).reason
    assert [type(one).__name__ for one in bench.seen] == ["NotStarted"]
    assert bench.executor.alive() == {}


@pytest.mark.parametrize(
    ("argv", "env", "reason"),
    [
        ((), {}, "no program named"),
        (("/tmp",), {}, "is a folder, not a program: /tmp"),
        (("true", "a\0b"), {}, "a NUL in argument 1"),
        (("true", "\udcff"), {}, "argument 1 is no UTF-8"),
        (("true", "x" * 200_000), {}, "argument 1 is too long"),
        (("true", *["x" * 100_000] * 20), {}, "arguments are too long for systemd"),
        (("true",), {"A-B": "1"}, "a variable named 'A-B'"),
    ],
)
def test_what_cannot_be_passed_on_says_why(
    bench: SystemdBench, argv: tuple[str, ...], env: dict[str, str], reason: str
) -> None:
    uid = bench.start(*argv, env={"PATH": "/usr/bin:/bin", **env})
    assert reason in bench.not_started(uid).reason


def test_a_user_that_does_not_exist_is_told(bench: SystemdBench) -> None:
    uid = bench.start("true", run_as="no-such-user")
    assert bench.not_started(uid).reason == "no such user: no-such-user"


def test_a_run_as_another_user_is_that_user_alone(
    bench: SystemdBench, open_folder: Path
) -> None:
    bench.folder = open_folder
    script = "id -u; id -G; grep NoNewPrivs /proc/self/status; touch x"
    uid = bench.start("sh", "-c", script, run_as="nobody")
    assert bench.ended(uid).exit_code == 0
    lines = bench.text(uid).split("\n")
    assert lines[0] == str(pwd.getpwnam("nobody").pw_uid)
    assert "0" not in lines[1].split()
    assert lines[2].split() == ["NoNewPrivs:", "1"]


@pytest.fixture
def open_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One that every user can reach; pytest's own are closed to others."""
    base = tmp_path_factory.getbasetemp()
    closed = [p for p in (base, *base.parents) if not p.stat().st_mode & 0o001]
    for path in closed:
        path.chmod(path.stat().st_mode | 0o011)
    made = tmp_path_factory.mktemp("open")
    made.chmod(0o711)
    yield made
    for path in closed:
        path.chmod(path.stat().st_mode & ~0o011)


def test_a_folder_closed_to_the_user_is_named(
    bench: SystemdBench, tmp_path: Path
) -> None:
    tmp_path.chmod(0o700)
    uid = bench.start("true", run_as="nobody")
    reason = bench.not_started(uid).reason
    assert re.search("cannot start .*true as nobody: .* is closed to it", reason)


def test_a_unit_name_that_is_taken_is_told_and_left_alone(bench: SystemdBench) -> None:
    first = bench.start("sleep", "60", uid="known")
    name = str(bench.started(first).handle["unit"]).replace("known", "taken")
    start_a_stranger(bench.host, name)
    uid = bench.start("true", uid="taken")
    assert bench.not_started(uid).reason == f"another unit has the name {name}"
    assert show(bench.host, name)["MainPID"] != 0
