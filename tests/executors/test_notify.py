"""What programs say on their NOTIFY_SOCKET, in each environment, for real."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.executors.base import Ended, Happening, Said, Started, WatchdogMissed
from agents.executors.docker import DockerExecutor
from agents.executors.guests import Guests
from agents.executors.process import ProcessExecutor
from agents.executors.systemd import SystemdExecutor
from tests.executors.conftest import REAL, Tally
from tests.executors.docker_bench import DockerBench, end_all
from tests.executors.harness import WITHIN_S, Bench, clean_up, lacks
from tests.executors.systemd_host import SystemdBench, end_runs
from tests.waiting import wait_for

SAY = """
import os, socket, sys, time
def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])
"""


class Talking:
    """A bench, and the log of the holder that listens for it."""

    def __init__(self, bench: Bench, holder: ProcessExecutor) -> None:
        self.bench = bench
        self.holder = holder
        self.offset = 0
        self.heard: list[Happening] = []

    def start(self, code: str, **more: Any) -> str:
        return self.bench.python(SAY + code, **more)

    def read(self) -> list[Happening]:
        found, self.offset = self.holder.read(self.offset, most_bytes=1 << 20)
        self.heard += found
        return self.heard

    def of(self, uid: str, kind: type = Said) -> list[Any]:
        return [h for h in self.read() if isinstance(h, kind) and h.uid == uid]

    def hears(self, uid: str, right: Callable[[Any], bool], kind: type = Said) -> Any:
        def look() -> Any:
            return next((one for one in self.of(uid, kind) if right(one)), None)

        return wait_for(look, timeout_s=WITHIN_S)


def talking_in(
    environment: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Talking]:
    holder = ProcessExecutor(tmp_path / "holder")
    holder.ensure()
    guests, runs = Guests(holder, environment), tmp_path / "runs"
    if environment == "docker":
        url = request.getfixturevalue("dockerd").base_url
        docker = DockerExecutor(
            tmp_path / "node", base_url=url, allowed_roots=("/usr",), guests=guests
        )
        docker.ensure()
        yield Talking(DockerBench(docker, runs, environment="docker"), holder)
        end_all(docker)
    elif environment == "systemd":
        host = request.getfixturevalue("systemd_host")
        systemd = SystemdExecutor(tmp_path / "node", bus=host.bus, guests=guests)
        systemd.ensure()
        yield Talking(SystemdBench(host, systemd, runs), holder)
        end_runs(systemd)
    else:
        if environment in (absent := holder.about()["absent"]):
            clean_up(holder)
            lacks(environment, absent[environment])
        yield Talking(Bench(holder, runs, environment=environment), holder)
    clean_up(holder)


@pytest.fixture(params=REAL)
def talking(
    request: pytest.FixtureRequest, tmp_path: Path, tally: Tally
) -> Iterator[Talking]:
    tally("conformance", request.param)
    yield from talking_in(request.param, request, tmp_path)


@pytest.fixture
def program(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Talking]:
    """Plain programs alone: what the holder does is the same for all."""
    yield from talking_in("subprocess", request, tmp_path)


# -- in each environment --------------------------------------------------------------


def test_a_program_says_that_it_is_ready_and_how_far_it_is(talking: Talking) -> None:
    uid = talking.start(
        'say("READY=1\\nSTATUS=loading the model")\n'
        'say("X_KOS_PROGRESS=45%")\n'
        "time.sleep(60)"
    )
    ready = talking.hears(uid, lambda said: said.ready)
    assert ready.status == "loading the model"
    assert talking.hears(uid, lambda said: said.progress == 0.45)
    assert abs(time.time() - ready.at_ns / 1e9) < WITHIN_S


def test_what_it_says_last_is_heard_though_it_ends_at_once(talking: Talking) -> None:
    uid = talking.start(
        'say("STATUS=one"); say("STATUS=two"); '
        'say("STOPPING=1\\nSTATUS=three\\nX_KOS_PROGRESS=1")'
    )
    assert talking.bench.ended(uid).exit_code == 0
    assert talking.hears(
        uid, lambda said: said.status == "three" and said.progress == 1
    )
    assert any(said.stopping for said in talking.of(uid))


def test_a_missed_watchdog_is_told_with_the_silence(talking: Talking) -> None:
    uid = talking.start(
        'say("WATCHDOG=1"); time.sleep(0.5); say("WATCHDOG=1")\ntime.sleep(60)',
        watchdog_s=1.0,
    )
    missed = talking.hears(uid, lambda _: True, WatchdogMissed)
    assert 1.0 <= missed.silent_s < 3.0


def test_a_kept_watchdog_is_not_missed(talking: Talking) -> None:
    uid = talking.start(
        'for _ in range(12): say("WATCHDOG=1"); time.sleep(0.2)', watchdog_s=1.5
    )
    assert talking.bench.ended(uid).exit_code == 0
    assert talking.of(uid, WatchdogMissed) == []


def test_a_program_that_gives_up_says_so_itself(talking: Talking) -> None:
    uid = talking.start('say("WATCHDOG=trigger"); time.sleep(60)', watchdog_s=60.0)
    assert talking.hears(uid, lambda _: True, WatchdogMissed).silent_s is None


def test_a_barrier_returns(talking: Talking) -> None:
    uid = talking.start(
        "import array, select\n"
        "mine, theirs = os.pipe()\n"
        "with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:\n"
        "    s.connect(os.environ['NOTIFY_SOCKET'])\n"
        "    fds = array.array('i', [theirs]).tobytes()\n"
        "    s.sendmsg([b'BARRIER=1'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])\n"
        "os.close(theirs)\n"
        "poll = select.poll(); poll.register(mine, 0)\n"
        "sys.exit(0 if poll.poll(20_000) else 1)"
    )
    assert talking.bench.ended(uid).exit_code == 0


def test_the_holder_after_one_that_was_killed_hears_it_too(talking: Talking) -> None:
    gate = "go"
    uid = talking.start(
        f"while not os.path.exists({gate!r}): time.sleep(0.05)\n"
        "for _ in range(400):\n"
        "    try: say('READY=1'); break\n"
        "    except OSError: time.sleep(0.05)\n"
        "time.sleep(60)"
    )
    talking.bench.started(uid)
    before = talking.holder.about()["pid"]
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: talking.holder.about()["pid"] != before)
    (talking.bench.folder / uid / "work" / gate).touch()
    assert talking.hears(uid, lambda said: said.ready)


def test_a_frozen_program_does_not_miss_its_watchdog(talking: Talking) -> None:
    bench = talking.bench.needs("freeze")
    uid = talking.start(
        'while True: say("WATCHDOG=1"); time.sleep(0.1)', watchdog_s=1.0
    )
    bench.started(uid)
    bench.executor.freeze(uid)
    if talking.bench.executor is talking.holder:  # a guest's freeze is told in a moment
        before = talking.holder.about()["pid"]
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: talking.holder.about()["pid"] != before)
    until = time.monotonic() + 2.0
    wait_for(lambda: time.monotonic() > until)
    assert talking.of(uid, WatchdogMissed) == []
    bench.executor.thaw(uid)
    assert bench.executor.alive() == {uid: 1}


def guests_of(talking: Talking) -> list[str]:
    names = os.listdir(talking.holder.folder / "notify")
    return [name for name in names if name.endswith(".json")]


def test_a_socket_is_given_back_when_its_run_is_over(talking: Talking) -> None:
    uid = talking.start("say('READY=1'); time.sleep(300)")
    talking.hears(uid, lambda said: said.ready)
    is_guest = talking.bench.executor is not talking.holder
    assert len(guests_of(talking)) == is_guest
    talking.bench.executor.stop(uid, grace_s=0)
    talking.bench.ended(uid)
    wait_for(lambda: not guests_of(talking))


def test_guests_that_ended_unseen_are_let_go(program: Talking) -> None:
    guests = Guests(program.holder, "docker")
    for uid in ("a", "b"):
        guests.open(program.bench.spec("x", uid=uid), owner=os.geteuid(), by_path=False)
    assert len(guests_of(program)) == 2
    guests.keep({"b": 1})
    wait_for(lambda: len(guests_of(program)) == 1)
    guests.keep({"b": 2})
    wait_for(lambda: not guests_of(program))


# -- the holder -----------------------------------------------------------------------


def test_the_holder_ends_a_silent_program_by_itself(program: Talking) -> None:
    uid = program.start("time.sleep(60)", watchdog_s=0.5, grace_s=5.0)
    ended = program.bench.ended(uid)
    assert ended.stopped
    assert ended.signal == signal.SIGTERM
    kinds = [type(one) for one in program.read() if one.uid == uid]
    assert kinds == [Started, WatchdogMissed, Ended]


def test_a_watchdog_that_waits_counts_from_ready_on(program: Talking) -> None:
    uid = program.start(
        'time.sleep(1.2); say("READY=1"); time.sleep(60)',
        watchdog_s=0.6,
        watchdog_waits=True,
    )
    assert program.bench.ended(uid).stopped
    kinds = [type(one) for one in program.read() if one.uid == uid]
    assert kinds == [Started, Said, WatchdogMissed, Ended]


def test_a_flood_neither_fills_the_log_nor_takes_the_holder(program: Talking) -> None:
    uid = program.start(
        "until = time.time() + 3; n = 0\n"
        "with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:\n"
        "    s.connect(os.environ['NOTIFY_SOCKET'])\n"
        "    while time.time() < until:\n"
        "        n += 1; s.send(b'STATUS=%d %s' % (n, b'x' * 4000))\n"
        "print(n)"
    )
    program.bench.started(uid)
    pid = program.holder.about()["pid"]
    used = cpu_s(pid)
    assert program.bench.run("true").exit_code == 0  # others are served meanwhile
    assert program.bench.ended(uid).exit_code == 0
    sent = int(program.bench.text(uid))
    said = program.of(uid)
    assert 2 <= len(said) <= 6
    assert said[-1].status is not None
    assert said[-1].status.startswith(f"{sent} ")  # the newest wins
    assert cpu_s(pid) - used < 1.0


def test_ready_is_not_lost_in_a_flood(program: Talking) -> None:
    uid = program.start(
        "for n in range(300): say(f'STATUS={n}')\n"
        "say('READY=1')\n"
        "for n in range(300): say(f'STATUS={n}')"
    )
    assert program.bench.ended(uid).exit_code == 0
    assert [said.ready for said in program.of(uid)].count(True) == 1


def paths_of(program: Talking, count: int) -> list[str]:
    """The sockets of so many runs at once: all that lie ready, and more."""
    script = "echo $NOTIFY_SOCKET; exec sleep 2"
    many = [program.bench.spec("sh", "-c", script) for _ in range(count)]
    program.bench.executor.start(many)
    for spec in many:
        program.bench.ended(spec.uid)
    return [program.bench.text(spec.uid).strip() for spec in many]


def test_sockets_are_used_again_and_never_by_two_at_once(program: Talking) -> None:
    first, second = paths_of(program, 100), paths_of(program, 100)
    assert len(set(first)) == len(set(second)) == 100
    assert len(set(first) & set(second)) > 30


def test_a_late_word_is_not_taken_for_the_next_ones(program: Talking) -> None:
    (path,) = paths_of(program, 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
        late.sendto(b"READY=1\nSTATUS=late", path)
    assert path not in paths_of(program, 100)
    assert [one for one in program.read() if isinstance(one, Said)] == []


def test_one_who_floods_what_is_nobodys_holds_up_nobody(program: Talking) -> None:
    free = paths_of(program, 3)
    flooder = program.start(
        f"free = set({free!r}) - {{os.environ['NOTIFY_SOCKET']}}\n"
        "os.environ['NOTIFY_SOCKET'] = free.pop()\n"
        "while True:\n"
        "    try: say('STATUS=' + 'x' * 4000)\n"
        "    except OSError: sys.exit(3)"  # it was taken away
    )
    assert program.bench.run("true").exit_code == 0
    assert program.bench.ended(flooder).exit_code == 3


def test_a_deep_folder_and_another_user_have_a_socket_too(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir(parents=True)
    for talking in talking_in("subprocess", request, deep):
        uid = talking.start("say('READY=1'); print(os.environ['NOTIFY_SOCKET'])")
        assert talking.hears(uid, lambda said: said.ready)
        talking.bench.ended(uid)
        path = talking.bench.text(uid).strip()
        assert len(path) <= 107
    assert not os.path.exists(path)


def test_only_its_user_may_write_to_a_socket(program: Talking) -> None:
    if os.geteuid() != 0:
        lacks("another user", "only root runs programs as one")
    world = Path("/tmp") / f"kos-test-{os.getpid()}"
    world.mkdir(mode=0o755)
    program.bench.folder = world
    try:
        uid = program.bench.start(
            *("/usr/bin/python3", "-S", "-c"),
            SAY + "say('READY=1'); time.sleep(60)",
            run_as="nobody",
        )
        assert program.hears(uid, lambda said: said.ready)
        other = program.start(
            "print(os.environ['NOTIFY_SOCKET'], flush=True); time.sleep(60)"
        )
        program.bench.says(other, "socket")
        path = program.bench.text(other).strip()
        code = f"import socket; socket.socket(1, 2).sendto(b'READY=1', {path!r})"
        thief = ("/usr/bin/python3", "-S", "-c", code)
        tried = program.bench.start(*thief, run_as="nobody")
        assert program.bench.ended(tried).exit_code == 1
        assert "Permission denied" in program.bench.text(tried, "err")
    finally:
        shutil.rmtree(world, ignore_errors=True)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
