"""Real programs: what reaches them, what is kept of them, and that nothing is left."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agents.executors.base import BadSpec, LaunchSpec, Limits
from agents.executors.process import ProcessExecutor
from tests.executors.harness import ENV, Bench, is_alive
from tests.executors.programs import HOSTILE
from tests.waiting import wait_for


def test_arguments_reach_the_program_byte_for_byte(bench: Bench) -> None:
    code = (
        "import os, sys\n"
        "print(ascii([os.fsencode(arg) for arg in sys.argv[1:]]), end='')"
    )
    uid = bench.start("python3", "-X", "utf8", "-S", "-c", code, *HOSTILE)
    bench.ended(uid)
    assert bench.text(uid) == ascii([os.fsencode(arg) for arg in HOSTILE])


def test_the_environment_is_what_was_given_and_the_name_of_the_run(
    bench: Bench,
) -> None:
    given = {"PATH": "/usr/bin:/bin", "A": "1\n2", "KOS_X": "é", "EMPTY": ""}
    uid = bench.start("env", "-0", env=given)
    bench.ended(uid)
    seen = dict(line.split("=", 1) for line in bench.text(uid).split("\0") if line)
    path = seen.pop("NOTIFY_SOCKET")
    assert path.startswith(str(bench.executor.folder))
    assert seen == {**given, "KOS_RUN": f"{uid}/1"}


def test_the_program_is_looked_up_in_the_path_of_the_run(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin" / "only-here"
    tool.write_text("#!/bin/sh\nexit 9\n")
    tool.chmod(0o755)
    here = {"PATH": f"/nowhere:{tool.parent}"}
    assert bench.run("only-here", env=here).exit_code == 9
    uid = bench.start("only-here")
    assert bench.not_started(uid).reason == "no such program: only-here"


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
    bench: Bench, tmp_path: Path, content: str | None, mode: int, reason: str
) -> None:
    program = tmp_path / "program"
    if content is not None:
        program.write_text(content)
        program.chmod(mode)
    assert reason in bench.not_started(bench.start(str(program))).reason
    assert bench.executor.alive() == {}


@pytest.mark.parametrize(
    ("argv", "env", "reason"),
    [
        ((), {}, "no program named"),
        (("/tmp",), {}, "is a folder, not a program: /tmp"),
        (("true", "a\0b"), {}, "cannot be passed to a program"),
        (("true", "x" * 3_000_000), {}, "too long"),
    ],
)
def test_what_cannot_be_passed_on_says_why(
    bench: Bench, argv: tuple[str, ...], env: dict[str, str], reason: str
) -> None:
    uid = bench.start(*argv, env={"PATH": "/usr/bin:/bin", **env})
    assert reason in bench.not_started(uid).reason


def test_a_uid_that_could_leave_the_log_is_refused_at_once(bench: Bench) -> None:
    for uid in ("a b", "a\nE x", "", "../x", "é"):
        with pytest.raises(BadSpec):
            bench.executor.start(
                [
                    bench.spec("true", uid="ok").__class__(
                        uid, 1, ("true",), bench.folder
                    )
                ]
            )


def test_the_program_starts_in_its_own_work_folder(bench: Bench) -> None:
    uid = bench.start("pwd", "-P")
    bench.ended(uid)
    folder = bench.folder / uid
    assert bench.text(uid).strip() == str((folder / "work").resolve())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / "attempt-1").exists()


def test_an_attempt_file_refuses_a_token_that_the_log_has_forgotten(
    bench: Bench,
) -> None:
    (bench.folder / "old").mkdir(parents=True)
    (bench.folder / "old" / "attempt-3").touch()
    bench.start("true", uid="old", token=3)
    assert bench.ended("old").lost
    (bench.folder / "older").mkdir()
    (bench.folder / "older" / "attempt-3").touch()
    bench.start("true", uid="older", token=2)
    reason = "a later attempt was started here"
    assert bench.not_started("older").reason == reason
    assert bench.run("true", uid="older", token=4).exit_code == 0


def test_attempt_files_may_be_made_to_outlast_a_power_loss(
    bench: Bench, tmp_path: Path
) -> None:
    careful = ProcessExecutor(bench.executor.folder, durable=True)
    spec = bench.spec("true")
    careful.start([spec])
    careful.close()
    assert bench.ended(spec.uid).exit_code == 0
    assert (spec.folder / "attempt-1").exists()


def test_signals_are_at_their_defaults_and_none_is_blocked(bench: Bench) -> None:
    uid = bench.start("cat", "/proc/self/status")
    bench.ended(uid)
    lines = dict(line.split(":\t") for line in bench.text(uid).splitlines())
    masks = {name: int(lines[name], 16) for name in ("SigBlk", "SigIgn")}
    of_libc = 0x180000000  # 32 and 33, which glibc keeps to itself
    assert {name: mask & ~of_libc for name, mask in masks.items()} == {
        "SigBlk": 0,
        "SigIgn": 0,
    }


def test_the_program_leads_a_session_of_its_own_and_hears_nobody(bench: Bench) -> None:
    code = "import os, sys; print(os.getsid(0) == os.getpid(), repr(sys.stdin.read()))"
    uid = bench.python(code)
    bench.ended(uid)
    assert bench.text(uid) == "True ''\n"


def test_the_program_inherits_no_descriptor(bench: Bench) -> None:
    uid = bench.start("ls", "/proc/self/fd")
    bench.ended(uid)
    assert bench.text(uid).split() == ["0", "1", "2", "3"]  # 3: ls reads the folder


def test_both_streams_are_kept_whole_and_apart(bench: Bench) -> None:
    code = (
        "import os\n"
        "for i in range(20000):\n"
        "    os.write(1, b'out %d\\n' % i); os.write(2, b'err %d\\n' % i)"
    )
    uid = bench.python(code)
    bench.ended(uid)
    for name in ("out", "err"):
        assert bench.text(uid, name).split("\n") == [
            *(f"{name} {i}" for i in range(20000)),
            "",
        ]


def test_another_instance_goes_on_where_the_first_stopped(bench: Bench) -> None:
    uid = bench.start("sleep", "60")
    bench.started(uid)
    other = Bench(ProcessExecutor(bench.executor.folder), bench.folder)
    other.offset = bench.offset
    assert other.executor.alive() == {uid: 1}
    other.executor.stop(uid, grace_s=5)
    assert other.ended(uid).signal == signal.SIGTERM
    other.executor.close()


def test_the_program_and_its_holder_outlive_the_process_that_asked(
    bench: Bench, tmp_path: Path
) -> None:
    ask = (
        "import os, sys; from pathlib import Path\n"
        "from agents.executors.base import LaunchSpec\n"
        "from agents.executors.process import ProcessExecutor\n"
        "node = ProcessExecutor(Path(sys.argv[1])); node.ensure()\n"
        "argv = ('sh', '-c', 'sleep 0.5; exit 5')\n"
        "node.start([LaunchSpec('orphan', 1, argv, Path(sys.argv[2]),"
        " {'PATH': os.environ['PATH']})])\n"
        "os.kill(0, 9)"  # the whole process group
    )
    node = tmp_path / "other-node"
    root = Path(__file__).parents[2]
    asked = subprocess.run(
        [sys.executable, "-c", ask, str(node), str(tmp_path / "orphan")],
        cwd=root,
        start_new_session=True,
        check=False,
    )
    assert asked.returncode == -signal.SIGKILL
    other = Bench(ProcessExecutor(node), tmp_path)
    try:
        assert other.ended("orphan").exit_code == 5
    finally:
        from tests.executors.harness import clean_up

        clean_up(other.executor)


def test_the_time_limit_holds_while_nobody_watches(bench: Bench) -> None:
    uid = bench.start("sleep", "60", time_limit_s=0.3)
    pid = bench.pid(uid)
    bench.executor.close()
    wait_for(lambda: not is_alive(pid))
    assert bench.ended(uid).timed_out


def test_a_time_limit_that_is_moved_holds_at_its_new_instant(bench: Bench) -> None:
    longer = bench.start("sleep", "3", time_limit_s=2)
    shorter = bench.start("sleep", "60", time_limit_s=60)
    unlimited = bench.start("sleep", "60")
    for uid in (longer, shorter, unlimited):
        bench.started(uid)
    bench.executor.retime(longer, at=time.time() + 60)
    bench.executor.retime(shorter, at=time.time() + 0.2)
    bench.executor.retime(unlimited, at=time.time() + 0.2)
    bench.executor.retime("nobody", at=time.time())
    ended = bench.ended(longer)
    assert (ended.exit_code, ended.timed_out) == (0, False)
    assert bench.ended(shorter).timed_out
    assert bench.ended(unlimited).timed_out


def test_two_threads_start_and_watch_at_once(bench: Bench) -> None:
    specs = [bench.spec("true") for _ in range(200)]

    def ask() -> None:
        for at in range(0, 200, 20):
            bench.executor.start(specs[at : at + 20])

    asking = threading.Thread(target=ask)
    asking.start()
    codes = [bench.ended(spec.uid).exit_code for spec in specs]
    asking.join()
    assert codes == [0] * 200


def test_a_run_stopped_before_its_turn_is_never_started(bench: Bench) -> None:
    specs = [bench.spec("true") for _ in range(400)]
    asking = threading.Thread(target=bench.executor.start, args=(specs,))
    asking.start()
    bench.started(specs[0].uid)
    bench.executor.stop(specs[-1].uid, grace_s=0)
    asking.join()
    bench.run("true")
    last = [one for one in bench.read() if one.uid == specs[-1].uid]
    reason = getattr(last[0], "reason", "")
    assert reason in ("stopped before it was started", "")  # it may have had its turn
    assert len(last) == (1 if reason else 2)


def test_cpu_time_and_peak_memory_are_plausible(bench: Bench) -> None:
    code = (
        "import time\nheld = bytearray(80 << 20)\n"
        "end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    )
    uid = bench.python(code, limits=Limits(memory_bytes=256 << 20))
    ended = bench.ended(uid)
    assert ended.cpu_seconds is not None
    assert 0.3 <= ended.cpu_seconds < 1.5
    assert ended.peak_memory_bytes is not None
    assert 80 << 20 <= ended.peak_memory_bytes < 140 << 20


def test_what_a_run_used_is_not_told_again_of_the_next(bench: Bench) -> None:
    bench.ended(bench.python("held = bytearray(100 << 20)"))
    ended = bench.run("true")
    assert ended.peak_memory_bytes is not None
    assert ended.peak_memory_bytes < 20 << 20
    assert ended.cpu_seconds is not None
    assert ended.cpu_seconds < 0.1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run as somebody else")
def test_a_run_as_another_user_is_that_user_alone(bench: Bench) -> None:
    uid = bench.start("sh", "-c", "id -u; id -g; id -G; pwd; touch x", run_as="nobody")
    assert bench.ended(uid).exit_code == 0
    import pwd

    nobody = pwd.getpwnam("nobody")
    lines = bench.text(uid).split("\n")
    assert lines[:2] == [str(nobody.pw_uid), str(nobody.pw_gid)]
    assert "0" not in lines[2].split()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run as somebody else")
def test_an_unknown_user_is_told(bench: Bench) -> None:
    uid = bench.start("true", run_as="no-such-user")
    assert bench.not_started(uid).reason == "no such user: no-such-user"


def test_a_dead_node_is_started_again_by_whoever_asks(bench: Bench) -> None:
    about = bench.executor.about()
    for pid in (about["guard"], about["pid"]):
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not is_alive(about["pid"]))
    assert bench.run("sh", "-c", "exit 6").exit_code == 6


def test_a_request_that_makes_no_sense_is_answered_and_harms_nobody(
    bench: Bench,
) -> None:
    ask = bench.executor._ask
    for request in ({"start": [{}]}, {"stop": 1}, {"start": 5}, {"signal": "x"}):
        assert "error" in ask(request)
    assert "error" in ask([])
    assert bench.run("true").exit_code == 0


def test_a_folder_that_cannot_be_made_harms_only_its_own_run(
    bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    bad = LaunchSpec("bad", 1, ("true",), tmp_path / "file" / "x", ENV)
    worse = LaunchSpec("worse", 1, ("true",), Path("/\0"), ENV)
    good = bench.spec("true")
    bench.executor.start([bad, worse, good])
    assert bench.ended(good.uid).exit_code == 0
    assert "Not a directory" in bench.not_started("bad").reason
    assert "null byte" in bench.not_started("worse").reason
