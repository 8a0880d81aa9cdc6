"""What a jail lets through, seen from inside, and that the holder tells the truth of
what runs in one. Each test once in nsjail and once in bubblewrap."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from agents.executors.base import Container, Limits, Mount
from tests.executors.conftest import held
from tests.executors.harness import ENV, Bench, processes_of, shared

MIB = 1 << 20


def out(bench: Bench, *argv: str, **more: object) -> str:
    """What a program that succeeds says."""
    uid = bench.start(*argv, **more)
    assert bench.ended(uid).exit_code == 0, bench.text(uid, "err")
    return bench.text(uid)


def python(bench: Bench, code: str, **more: object) -> str:
    return out(bench, "python3", "-S", "-c", code, **more)


# -- what is not let through ----------------------------------------------------------


def test_other_processes_are_invisible_and_out_of_reach(jail: Bench) -> None:
    seen = python(
        jail, "import os; print(*sorted(filter(str.isdigit, os.listdir('/proc'))))"
    )
    assert seen.split() == ["1", "2"]
    code = f"import os\ntry: os.kill({os.getpid()}, 0)\nexcept OSError as e: print(e)"
    assert "No such process" in python(jail, code)


def test_there_is_no_network(jail: Bench) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    code = (
        "import socket\nprint([name for _, name in socket.if_nameindex()])\n"
        f"for to in (('127.0.0.1', {server.getsockname()[1]}), ('192.0.2.1', 80)):\n"
        " try: socket.create_connection(to, 1); print('got through')\n"
        " except OSError: print('refused')"
    )
    assert python(jail, code) == "['lo']\nrefused\nrefused\n"
    server.close()


def test_the_network_of_the_machine_is_given_when_asked_for(jail: Bench) -> None:
    server = socket.create_server(("127.0.0.1", 0))
    to = ("127.0.0.1", server.getsockname()[1])
    code = f"import socket; socket.create_connection({to}, 5); print('got through')"
    asked = Container(image="", network="host")
    assert python(jail, code, container=asked) == "got through\n"
    server.close()


def test_the_machines_secrets_and_folders_are_not_there(
    jail: Bench, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("of another")
    other = jail.start("sleep", "60")
    jail.started(other)
    hidden = [
        "/etc/shadow",
        "/root/.ssh",
        "/home",
        "/var",
        "/sys",
        "/boot",
        str(tmp_path / "secret"),
        str(jail.executor.folder),
        str(jail.executor.folder / "holder.sock"),
        str(jail.folder / other),
        "/run/docker.sock",
        "/dev/mem",
        "/dev/sda",
        "/dev/tty",
    ]
    code = f"import os; print([p for p in {hidden} if os.path.lexists(p)])"
    assert python(jail, code) == "[]\n"


def test_nothing_can_be_written_outside_work_and_tmp(jail: Bench) -> None:
    places = ["/", "/usr", "/bin", "/lib", "/etc", "/dev", "/proc", "/run/kos"]
    code = (
        f"import os\nfor place in {places} + ['.', '/tmp']:\n"
        " try: open(place + '/x', 'w').close(); print(place)\n except OSError: pass"
    )
    assert python(jail, code) == ".\n/tmp\n"


def test_the_programs_of_the_system_cannot_be_changed(jail: Bench) -> None:
    code = (
        "import os\nfor do in (lambda: os.chmod('/usr/bin/env', 0o777),\n"
        " lambda: open('/usr/bin/env', 'ab'), lambda: os.unlink('/usr/bin/env')):\n"
        " try: do(); print('done')\n except OSError: print('refused')"
    )
    assert python(jail, code) == "refused\n" * 3


def test_nobody_is_root_or_becomes_it(jail: Bench) -> None:
    code = (
        "import os\nprint(os.getresuid(), os.getresgid(), os.getgroups())\n"
        "for become in (os.setuid, os.setgid):\n"
        " try: become(0); print('root')\n except OSError: print('refused')\n"
        "lines = open('/proc/self/status').read().splitlines()\n"
        "said = dict(line.split(':\\t', 1) for line in lines)\n"
        "print(*(int(said[n], 16) for n in ('NoNewPrivs', 'CapEff', 'CapPrm')))"
    )
    lines = python(jail, code).split("\n")
    assert lines[0].startswith("(65534, 65534, 65534) (65534, 65534, 65534) [")
    assert "0" not in lines[0].rpartition("[")[2].strip("]").split(", ")
    assert lines[1:4] == ["refused", "refused", "1 0 0"]


def test_what_it_leaves_is_not_roots_either(jail: Bench) -> None:
    uid = jail.start("sh", "-c", "echo '{}' > result.json; ln -s /etc/shadow link")
    assert jail.ended(uid).exit_code == 0
    left = (jail.folder / uid / "work" / "result.json").stat()
    assert left.st_uid == (65534 if os.geteuid() == 0 else os.geteuid())


def test_mounting_and_other_roots_are_refused(jail: Bench) -> None:
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.mount(b'none', b'/tmp', b'tmpfs', 0, None), libc.chroot(b'/tmp'),"
        " libc.umount(b'/proc'))"
    )
    assert out(jail, "python3", "-c", code) == "-1 -1 -1\n"


def test_nsjail_lets_nobody_make_namespaces_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOS_JAIL", "nsjail")
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "for flags in (0x10000000, 0x20000, 0x40000000):\n"
        " print(libc.unshare(flags), ctypes.get_errno())"
    )
    for bench in held(tmp_path, "sandbox"):
        assert out(bench, "python3", "-c", code) == "-1 1\n" * 3


@pytest.mark.parametrize("mode", ["none", "v2"])
def test_without_groups_of_limits_everything_in_a_jail_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setenv("KOS_CGROUPS", mode)
    forks = "(setsid sleep 600 &) ; echo up;"
    for bench in held(tmp_path, "sandbox"):
        assert bench.executor.capabilities()["sandbox"].kill_all
        by_itself = bench.start("sh", "-c", f"{forks} exit 6")
        stopped = bench.start("sh", "-c", f"{forks} sleep 600")
        ignores = bench.start("sh", "-c", f"trap '' TERM; {forks} while :; do :; done")
        assert bench.ended(by_itself).exit_code == 6
        for uid in (stopped, ignores):
            bench.says(uid, "up")
            bench.executor.stop(uid, grace_s=0.3 if uid == ignores else 10)
        assert bench.ended(stopped).signal == signal.SIGTERM
        assert bench.ended(ignores).signal == signal.SIGKILL
        assert processes_of({by_itself, stopped, ignores}) == {}


def test_it_has_a_host_name_of_its_own(jail: Bench) -> None:
    assert out(jail, "uname", "-n") == "sandbox\n"
    assert os.uname().nodename != "sandbox"


def test_its_tmp_is_bounded_private_and_gone_afterwards(jail: Bench) -> None:
    code = (
        "import os\nn = 0\ntry:\n with open('/tmp/full', 'wb') as f:\n"
        "  while True: n += f.write(b'x' * 65536); f.flush()\n"
        "except OSError as error: print(n >> 20, error.strerror)"
    )
    limits = Limits(disk_bytes=4 * MIB)
    assert python(jail, code, limits=limits) == "4 No space left on device\n"
    assert python(jail, "import os; print(os.path.exists('/tmp/full'))") == "False\n"


# -- what is let through --------------------------------------------------------------


def test_paths_in_its_environment_are_true_inside(jail: Bench) -> None:
    work = str(jail.folder / "here" / "work")
    env = {**ENV, "HOME": work, "KOS_RESULT": f"{work}/result.json", "A": "1\n2é"}
    script = 'pwd -P; echo done > "$KOS_RESULT"; cd; pwd; env -0'
    said = out(jail, "sh", "-c", script, uid="here", env=env)
    assert said.startswith(f"{work}\n{work}\n")
    seen = dict(v.split("=", 1) for v in said.split("\n", 2)[2].split("\0") if v)
    assert {name: seen[name] for name in env} == env
    assert seen["KOS_RUN"] == "here/1"
    assert (Path(work) / "result.json").read_text() == "done\n"


def test_neither_arguments_nor_environment_show_on_the_machine(jail: Bench) -> None:
    uid = jail.start(
        "sh", "-c", "echo up; sleep 60", "an-argument", env={**ENV, "KEY": "a-secret"}
    )
    jail.says(uid, "up")
    pid = jail.pid(uid)
    for name in ("cmdline", "environ"):
        seen = Path(f"/proc/{pid}/{name}").read_bytes()
        assert b"a-secret" not in seen
        assert b"an-argument" not in seen


def test_arguments_arrive_byte_for_byte(jail: Bench) -> None:
    hostile = (
        "",
        " ",
        "$(id)",
        "-rf",
        "--",
        "a\nb",
        "'\"\\",
        "é🤖",
        "\udcff",
        "x" * 99999,
    )
    code = (
        "import os, sys; print(ascii([os.fsencode(a) for a in sys.argv[1:]]), end='')"
    )
    said = out(jail, "python3", "-X", "utf8", "-S", "-c", code, *hostile)
    assert said == ascii([os.fsencode(one) for one in hostile])


def test_signals_are_at_their_defaults_and_no_descriptor_is_left(jail: Bench) -> None:
    said = out(
        jail, "sh", "-c", "grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd"
    )
    masks = [int(line.split()[1], 16) for line in said.splitlines()[:2]]
    assert [mask & ~0x180000000 for mask in masks] == [0, 0]
    assert said.splitlines()[2:] == ["0", "1", "2", "3"]  # 3: ls reads the folder


def test_a_folder_with_a_strange_name_is_no_trouble(
    tmp_path: Path, jail: Bench
) -> None:
    jail.folder = tmp_path / 'a:b "c" \\d é, {e}'
    uid = jail.start("sh", "-c", "echo here > file; cat file")
    assert jail.ended(uid).exit_code == 0
    assert jail.text(uid) == "here\n"


def test_mounts_are_read_only_unless_asked_otherwise(
    jail: Bench, tmp_path: Path
) -> None:
    (tmp_path / "given").mkdir(mode=0o777)
    (tmp_path / "given" / "file").write_text("content")
    mounts = (Mount(str(tmp_path / "given"), "/data/given"), shared(tmp_path))
    script = (
        "cat /data/given/file; echo x > /data/given/y; echo from-inside > /shared/z"
    )
    assert out(jail, "sh", "-c", script, mounts=mounts) == "content"
    assert not (tmp_path / "given" / "y").exists()
    assert (tmp_path / "shared" / "z").read_text() == "from-inside\n"


def test_a_signal_reaches_the_program_and_not_its_jail(jail: Bench) -> None:
    uid = jail.start("sh", "-c", "trap 'exit 4' USR1; echo up; while :; do :; done")
    jail.says(uid, "up")
    jail.executor.signal(uid, signal.SIGUSR1)
    assert jail.ended(uid).exit_code == 4


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM])
def test_a_signal_to_itself_is_told_though_it_would_be_lost_on_process_1(
    jail: Bench, number: int
) -> None:
    ended = jail.run("sh", "-c", f"kill -{number:d} $$")
    assert (ended.exit_code, ended.signal) == (None, number)
    assert jail.run("sh", "-c", f"exit {128 + number}").exit_code == 128 + number


# -- what cannot be -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"run_as": "root"}, "cannot run as root"),
        ({"gpus": ("0",)}, "no GPU"),
        ({"container": Container(image="kos/x")}, "no image"),
        ({"container": Container(image="", network="bridge")}, "no network 'bridge'"),
        ({"mounts": (Mount("/no/such", "/x"),)}, "no such path to mount: /no/such"),
        ({"mounts": (Mount("relative", "/x"),)}, "not an absolute, plain path"),
        ({"mounts": (Mount("/usr/../etc", "/x"),)}, "not an absolute, plain path"),
        ({"mounts": (Mount("/", "/x"),)}, "must not see /"),
        ({"mounts": (Mount("/proc", "/x"),)}, "must not see /proc"),
        (
            {"mounts": (Mount("/opt", "/usr/bin"),)},
            "nothing can be mounted at /usr/bin",
        ),
        ({"mounts": (Mount("/opt", "/"),)}, "nothing can be mounted at /"),
    ],
)
def test_what_a_jail_cannot_give_is_refused_with_its_reason(
    jail: Bench, more: dict[str, object], reason: str
) -> None:
    uid = jail.start("true", **more)
    assert reason in jail.not_started(uid).reason
    assert jail.executor.alive() == {}


def test_the_holders_folder_cannot_be_mounted_by_any_name(
    jail: Bench, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(jail.executor.folder)
    for source in (jail.executor.folder, tmp_path, tmp_path / "link"):
        uid = jail.start("true", mounts=(Mount(str(source), "/x"),))
        assert "must not see" in jail.not_started(uid).reason


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("#!/bin/sh\n", 0o644, "not executable: "),
        ("#!/no/such/interpreter\n", 0o755, "it or its interpreter does not exist"),
        ("exit 3\n", 0o755, "a script needs its #! line"),
    ],
)
def test_a_program_that_cannot_start_says_why(
    jail: Bench, tmp_path: Path, content: str, mode: int, reason: str
) -> None:
    (tmp_path / "given").mkdir()
    program = tmp_path / "given" / "program"
    program.write_text(content)
    program.chmod(mode)
    uid = jail.start("/given/program", mounts=(Mount(str(program.parent), "/given"),))
    assert reason in jail.not_started(uid).reason


def test_a_jail_that_cannot_be_made_is_a_run_not_started(
    jail: Bench, tmp_path: Path
) -> None:
    source = tmp_path / "file"
    source.touch()
    mounts = (Mount(str(source), "/x"), Mount(str(source), "/x/y"))  # below a file
    uid = jail.start("true", mounts=mounts)
    assert "no jail could be made: " in jail.not_started(uid).reason


def test_without_a_tool_there_is_no_sandbox_and_it_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOS_JAIL", "none")
    for bench in held(tmp_path):
        assert set(bench.executor.capabilities()) == {"subprocess"}
        uid = bench.start("true", environment="sandbox")
        reason = "neither nsjail nor bubblewrap is installed"
        assert reason in bench.not_started(uid).reason
        assert bench.executor.about()["absent"] == {"sandbox": reason}
