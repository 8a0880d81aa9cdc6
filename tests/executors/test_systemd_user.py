"""Units of a user's own systemd, over the user's bus or its address: root's, and that
of a user who may do nothing else."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.executors.systemd import SystemdExecutor
from scheduling import local_executors
from tests.executors.harness import ENV, Bench, processes_of
from tests.executors.programs import DAEMON, cpu_seconds, spend_time
from tests.executors.systemd_host import SystemdBench, SystemdHost, end_runs
from tests.executors.systemd_user import UserSystemd
from tests.executors.test_systemd import open_folder as open_folder
from tests.waiting import wait_for

ROOT = Path(__file__).parents[2]
NOBODY, DAEMON_USER = 65534, 1
DEAF = "trap '' TERM; echo up; while :; do sleep 1; done"
AS_THE_USER = """
import codecs, json, os, sys
from dataclasses import asdict
from pathlib import Path
from agents.executors import clients, live, recovery, systemd_groups
from agents.executors.base import Ended, LaunchSpec, Started, Unavailable
from agents.executors.systemd import SystemdExecutor
from scheduling.local_executors import systemd_bus
from tests.waiting import wait_for
for name in ('unicode_escape', 'idna', 'latin-1'): codecs.lookup(name)
asked = json.load(sys.stdin)
os.setgroups([]); os.setresgid(*[asked['uid']] * 3); os.setresuid(*[asked['uid']] * 3)
executor = SystemdExecutor(Path(asked['node']), bus=asked['bus'])
def is_up():
    try: executor.ensure()
    except Unavailable as why: return False
    return True
wait_for(is_up, timeout_s=30)
executor.start([
    LaunchSpec(uid, 1, tuple(argv), Path(asked['runs'], uid), asked['env'], **more)
    for uid, (argv, more) in asked['programs'].items()
])
def cpu(): return executor.usage('busy').cpu_seconds
wait_for(lambda: executor.usage('busy') and cpu() > 0.05, timeout_s=30)
executor.freeze('busy')
frozen = [cpu(), executor.usage('busy').frozen]
end = __import__('time').process_time() + 0.3
while __import__('time').process_time() < end: pass
frozen.append(cpu())
executor.stop('busy', grace_s=5)
seen, offset = {}, 0
while len(seen) < len(asked['programs']):
    executor.wait(1)
    found, offset = executor.read(offset, most_bytes=1 << 20)
    seen |= {one.uid: asdict(one) for one in found if not isinstance(one, Started)}
can = executor.capabilities()['systemd']
print(json.dumps({'seen': seen, 'frozen': frozen, 'run_as': can.run_as,
                  'kill_all': can.kill_all, 'missing': dict(can.missing)}))
executor.close()
"""


@pytest.fixture(scope="module")
def of_root(systemd_host: SystemdHost) -> UserSystemd:
    return UserSystemd(systemd_host, 0)


@pytest.fixture
def bench(
    of_root: UserSystemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(of_root.runtime))
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    executor = SystemdExecutor(tmp_path / "node", bus="user")
    wait_for(lambda: of_root.is_reached(executor.ensure), timeout_s=30)
    yield SystemdBench(of_root.host, executor, tmp_path / "runs")
    end_runs(executor)


def test_codes_signals_and_output_are_told_over_the_users_bus(bench: Bench) -> None:
    uid = bench.start("sh", "-c", "echo said; echo aside >&2; exit 3")
    assert bench.ended(uid).exit_code == 3
    assert (bench.text(uid), bench.text(uid, "err")) == ("said\n", "aside\n")
    assert bench.run("sh", "-c", "kill -9 $$").signal == signal.SIGKILL
    uid = bench.start("/no/such/program")
    assert bench.not_started(uid).reason == "no such program: /no/such/program"
    assert bench.run("sleep", "60", time_limit_s=0.3).timed_out


def test_its_units_belong_to_the_users_manager(
    bench: Bench, of_root: UserSystemd
) -> None:
    uid = bench.start("sleep", "60")
    handle = bench.started(uid).handle
    assert f"/user-{of_root.uid}.service/" in str(handle["cgroup"])
    used = bench.executor.usage(uid)
    assert (used.processes, used.frozen) == (1, False)


def test_who_ignores_sigterm_and_a_daemon_of_two_forks_are_gone(bench: Bench) -> None:
    deaf = bench.start("sh", "-c", DEAF)
    bench.says(deaf, "up")
    bench.executor.stop(deaf, grace_s=0.3)
    assert bench.ended(deaf).signal == signal.SIGKILL
    daemon = bench.python(DAEMON.format(does="pass", lives_s=0.3))
    assert bench.ended(daemon).exit_code == 0
    assert processes_of({deaf, daemon}) == {}


def test_runs_go_on_without_their_node_and_are_adopted(
    bench: Bench, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    waits = f"while [ ! -e {gate} ]; do sleep 0.02; done; exit 6"
    ends, lives = bench.start("sh", "-c", waits), bench.start("sleep", "600")
    pid = bench.pid(ends)
    bench.started(lives)
    bench.executor.close()
    gate.touch()
    wait_for(lambda: not Path(f"/proc/{pid}").exists())
    bench.executor.ensure()
    assert bench.ended(ends).exit_code == 6
    assert bench.executor.alive() == {lives: 1}


def test_what_a_users_systemd_cannot_do_is_said_and_refused(bench: Bench) -> None:
    can = bench.executor.capabilities()["systemd"]
    assert (can.kill_all, can.offline_limit, can.open_files) == (True, True, True)
    assert not can.run_as
    assert can.missing["run_as"] == "only root's systemd runs programs as another user"
    for name in ("memory", "cpu", "pids"):
        assert getattr(can, name) != bool(can.missing.get(name))
    uid = bench.start("true", run_as="nobody")
    assert "only root's systemd" in bench.not_started(uid).reason


def test_a_user_may_freeze_what_its_systemd_runs(bench: Bench) -> None:
    bench.needs("freeze")
    uid = bench.start("sh", "-c", "echo up; while :; do :; done")
    bench.says(uid, "up")
    bench.executor.freeze(uid)
    frozen_at = cpu_seconds(bench, uid)
    spend_time(bench)
    assert cpu_seconds(bench, uid) == pytest.approx(frozen_at, abs=0.001)
    bench.executor.thaw(uid)
    wait_for(lambda: cpu_seconds(bench, uid) > frozen_at + 0.02)


@pytest.mark.parametrize(("uid", "named"), [(NOBODY, "user"), (DAEMON_USER, "address")])
def test_a_user_without_rights_runs_programs_as_itself(
    systemd_host: SystemdHost, open_folder: Path, uid: int, named: str
) -> None:
    """The node is that user's too: it reaches nothing but its own bus."""
    mine = UserSystemd(systemd_host, uid)
    runs = open_folder / "of-the-user"
    runs.mkdir()
    runs.chmod(0o777)
    programs: dict[str, Any] = {
        "who": (["sh", "-c", "id -u; touch mine; exit 7"], {}),
        "late": (["sleep", "60"], {"time_limit_s": 0.5, "grace_s": 0.2}),
        "daemon": (["sh", "-c", "setsid sleep 600 & exit 4"], {"grace_s": 0.2}),
        "other": (["true"], {"run_as": "root"}),
        "busy": (["sh", "-c", "while :; do :; done"], {}),
    }
    asked = {
        "uid": uid,
        "bus": named if named == "user" else f"unix:path={mine.runtime}/bus",
        "node": str(runs / "node"),
        "runs": str(runs / "runs"),
        "env": ENV,
        "programs": programs,
    }
    env = {"XDG_RUNTIME_DIR": str(mine.runtime), "PATH": ENV["PATH"]}
    done = subprocess.run(
        [sys.executable, "-c", AS_THE_USER],
        input=json.dumps(asked),
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    seen = told["seen"]
    assert (seen["who"]["exit_code"], seen["daemon"]["exit_code"]) == (7, 4)
    assert (seen["late"]["timed_out"], seen["late"]["signal"]) == (True, 15)
    assert "only root's systemd" in seen["other"]["reason"]
    assert (seen["busy"]["stopped"], seen["busy"]["signal"]) == (True, 15)
    used, is_frozen, later = told["frozen"]
    assert (is_frozen, later) == (True, pytest.approx(used, abs=0.001))
    assert (told["run_as"], told["kill_all"]) == (False, True)
    assert (runs / "runs/who/out").read_text() == f"{uid}\n"
    assert (runs / "runs" / "who" / "work" / "mine").stat().st_uid == uid
    assert processes_of(set(programs)) == {}


def test_a_user_whose_machine_has_a_bus_for_it_is_given_that_bus(
    of_root: UserSystemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KOS_SYSTEMD_BUS", raising=False)
    monkeypatch.setattr(local_executors, "SYSTEMD", str(of_root.host.folder))
    assert local_executors.systemd_bus() == "system"
    monkeypatch.setattr("os.geteuid", lambda: NOBODY)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(of_root.runtime))
    assert local_executors.systemd_bus() == "user"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert local_executors.systemd_bus() is None
    monkeypatch.setenv("KOS_SYSTEMD_BUS", "unix:path=/run/other")
    assert local_executors.systemd_bus() == "unix:path=/run/other"
