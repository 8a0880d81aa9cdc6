"""What is Docker's own: what a container sees, images, names, ports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents.executors.base import Container, Limits, Mount, Unavailable
from agents.executors.docker import DockerExecutor
from tests.executors.docker_bench import USR, DockerBench
from tests.executors.docker_daemon import BUSYBOX, IMAGE, Daemon
from tests.waiting import wait_for

MIB = 1 << 20
LOOK = """
import json, os
lines = open('/proc/self/status').read().splitlines()
said = dict(line.split(':\\t', 1) for line in lines if ':\\t' in line)
def refuses(path):
    try:
        open(path, 'w').close()
    except OSError as error:
        return error.errno
print(json.dumps({
    'ids': os.getresuid() + os.getresgid(), 'groups': os.getgroups(),
    'capabilities': [said[k].strip() for k in ('CapEff', 'CapPrm', 'CapBnd')],
    'no_new_privileges': said['NoNewPrivs'].strip(),
    'refused': {p: refuses(p) for p in ('/x', '/etc/x', '/kos/init', '/kos/control')},
    'allowed': [refuses(p) for p in ('/tmp/x', 'x', os.path.expanduser('~/x'))],
    'networks': os.listdir('/sys/class/net'), 'kos': sorted(os.listdir('/kos')),
    'cwd': os.getcwd(), 'first': open('/proc/1/cmdline').read().split('\\0')[0],
}))
"""


def seen_inside(bench: DockerBench, **more: object) -> dict[str, object]:
    uid = bench.python(LOOK, **more)
    assert bench.ended(uid).exit_code == 0, bench.text(uid, "err")
    found: dict[str, object] = json.loads(bench.text(uid))
    return found


# -- what it is in --------------------------------------------------------------------


def test_a_container_is_hardened_as_seen_from_inside(docker_bench: DockerBench) -> None:
    seen = seen_inside(docker_bench)
    assert seen["ids"] == [65534] * 6
    assert seen["groups"] in ([], [65534])
    assert seen["capabilities"] == ["0" * 16] * 3
    assert seen["no_new_privileges"] == "1"
    assert all(seen["refused"].values())  # type: ignore[attr-defined]
    assert seen["allowed"] == [None] * 3
    assert seen["networks"] == ["lo"]
    assert seen["cwd"] == "/kos/work"
    assert seen["kos"] == ["control", "err", "init", "out", "status", "work"]
    assert seen["first"] == "/kos/init"


def test_an_image_that_says_root_is_hardened_all_the_same(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    """Ours say nobody, so the engine's own default would be root as well."""
    dockerd.derive("kos/as-root", IMAGE, "id", user="0:0")
    named = Container("kos/as-root", pull="never")
    for container in (named, Container(IMAGE, pull="never")):
        seen = seen_inside(docker_bench, container=container)
        assert seen["ids"] == [65534] * 6
        assert seen["capabilities"] == ["0" * 16] * 3
        assert seen["no_new_privileges"] == "1"
        assert all(seen["refused"].values())  # type: ignore[attr-defined]


def test_its_limits_reach_the_engine(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    limits = Limits(cpu_millis=1500, memory_bytes=64 * MIB, pids=77, open_files=99)
    uid = docker_bench.start("sleep", "60", limits=limits)
    host = dockerd.inspect(docker_bench.started(uid).handle["container"])["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == 64 * MIB
    assert host["PidsLimit"] == 77
    assert host["CpuQuota"] == 150_000
    assert {"Name": "nofile", "Soft": 99, "Hard": 99} in host["Ulimits"]
    assert host["LogConfig"]["Type"] == "none"
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert (host["CapDrop"], host["ReadonlyRootfs"]) == (["ALL"], True)


def test_the_init_of_a_container_cannot_be_ended_from_inside(
    docker_bench: DockerBench,
) -> None:
    script = "kill -9 1; kill -STOP 1; kill -TERM -1; cat /proc/1/environ; exit 7"
    assert docker_bench.run("sh", "-c", f"trap '' TERM; {script}").exit_code == 7


def test_scratch_space_is_capped(docker_bench: DockerBench) -> None:
    uid = docker_bench.start(
        "sh",
        "-c",
        "head -c 3000000 /dev/zero > /tmp/x",
        limits=Limits(disk_bytes=MIB),
    )
    assert docker_bench.ended(uid).exit_code == 1
    assert "No space left" in docker_bench.text(uid, "err")


def test_another_user_is_allowed_and_may_write(docker_bench: DockerBench) -> None:
    container = Container(IMAGE, pull="never", user="1234:4321")
    seen = seen_inside(docker_bench, container=container)
    assert seen["ids"] == [1234] * 3 + [4321] * 3
    assert seen["allowed"] == [None] * 3


def test_a_workdir_of_the_image_may_be_asked_for(docker_bench: DockerBench) -> None:
    container = Container(IMAGE, pull="never", workdir="/tmp")
    assert seen_inside(docker_bench, container=container)["cwd"] == "/tmp"


def test_the_result_is_written_where_the_node_looks_for_it(
    docker_bench: DockerBench,
) -> None:
    work = docker_bench.folder / "r" / "work"
    env = {"PATH": os.environ["PATH"], "KOS_RESULT": f"{work}/result.json"}
    script = 'echo "{\\"ok\\": true}" > "$KOS_RESULT"; echo "$HOME"'
    docker_bench.run("sh", "-c", script, uid="r", env=env)
    assert json.loads((work / "result.json").read_text()) == {"ok": True}
    assert docker_bench.text("r") == "/kos/work\n"


def test_a_mount_is_seen_and_read_only_unless_told(
    docker_bench: DockerBench, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o777)
    shared.chmod(0o777)
    (shared / "note").write_text("hello")
    source = str(shared)
    mounts = (USR, Mount(source, "/a"), Mount(source, "/b", read_only=False))
    script = "cat /a/note; touch /a/x || touch /b/y"
    assert docker_bench.run("sh", "-c", script, uid="m", mounts=mounts).exit_code == 0
    assert docker_bench.text("m") == "hello"
    assert sorted(os.listdir(shared)) == ["note", "y"]


def test_what_may_not_be_mounted_is_refused_and_leaves_nothing(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    uid = docker_bench.start("true", mounts=(Mount("/etc", "/data"),))
    reason = docker_bench.not_started(uid).reason
    assert reason == "may not be mounted here: /etc (not under an allowed root)"
    assert dockerd.containers() == []


def test_gpus_without_a_driver_are_refused_and_leave_nothing(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    assert not docker_bench.executor.capabilities()["docker"].gpus
    uid = docker_bench.start("true", gpus=("GPU-0",))
    assert "no GPU for containers here" in docker_bench.not_started(uid).reason
    wait_for(lambda: dockerd.containers() == [])


# -- programs and images --------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (("nosuch",), "no such program: nosuch"),
        (("/etc/ld.so.cache",), "not executable: /etc/ld.so.cache"),
        (("/tmp",), "is a folder, not a program: /tmp"),
        (("true\0",), "cannot be passed to a program: embedded null byte"),
    ],
)
def test_a_bad_command_leaves_nothing(
    docker_bench: DockerBench, dockerd: Daemon, argv: tuple[str, ...], reason: str
) -> None:
    uid = docker_bench.start(*argv)
    assert docker_bench.not_started(uid).reason == reason
    wait_for(lambda: dockerd.containers() == [])


def test_without_a_program_the_image_says_what_to_run(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    dockerd.derive("kos/says", BUSYBOX, "echo said")
    uid = docker_bench.start(container=Container("kos/says", pull="never"))
    assert docker_bench.ended(uid).exit_code == 0
    assert docker_bench.text(uid) == "said\n"
    uid = docker_bench.start(container=Container(IMAGE, pull="never"))
    assert "names none" in docker_bench.not_started(uid).reason


def test_a_missing_image_that_is_never_pulled_is_named(
    docker_bench: DockerBench,
) -> None:
    uid = docker_bench.start("true", container=Container("kos/none", pull="never"))
    assert docker_bench.not_started(uid).reason == "no such image: kos/none"


def test_an_image_by_digest_is_run(docker_bench: DockerBench, dockerd: Daemon) -> None:
    container = Container(dockerd.image_id(IMAGE), pull="never")
    assert docker_bench.run("sh", "-c", "exit 4", container=container).exit_code == 4


def test_what_is_not_the_name_of_an_image_is_said(docker_bench: DockerBench) -> None:
    uid = docker_bench.start("true", container=Container("No Such/IMAGE"))
    assert "not the name of an image" in docker_bench.not_started(uid).reason


SILENT = """
import socket
server = socket.create_server(('127.0.0.1', 5999))
print('up', flush=True)
held = []
while True: held.append(server.accept())
"""


@pytest.fixture
def silent_registry(dockerd: Daemon) -> Iterator[subprocess.Popen[str]]:
    """It takes every connection and never answers."""
    command = [*dockerd.in_its_network, sys.executable, "-c", SILENT]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert server.stdout.readline() == "up\n"
    yield server
    server.kill()
    server.wait(10)
    server.stdout.close()


def test_a_pull_that_hangs_holds_up_no_other_start(
    docker_bench: DockerBench, silent_registry: subprocess.Popen[str]
) -> None:
    image = "127.0.0.1:5999/kos/far:1"
    hanging = [docker_bench.start("true", container=Container(image)) for _ in range(6)]
    assert docker_bench.run("true").exit_code == 0
    assert not [one for one in docker_bench.seen if one.uid in hanging]
    assert set(hanging) <= set(docker_bench.executor.alive())
    silent_registry.kill()
    for uid in hanging:
        reason = docker_bench.not_started(uid).reason
        assert reason.startswith(f"no such image: {image} (it is not here, and its ")


def test_a_run_stopped_during_its_pull_never_starts(
    docker_bench: DockerBench, silent_registry: subprocess.Popen[str]
) -> None:
    uid = docker_bench.start("true", container=Container("127.0.0.1:5999/far"))
    docker_bench.executor.stop(uid, grace_s=5)
    silent_registry.kill()
    docker_bench.not_started(uid)
    assert docker_bench.executor.alive() == {}


# -- ports and the network ------------------------------------------------------------


def test_a_port_is_reached_on_the_loopback_only_and_traffic_is_counted(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    container = Container(BUSYBOX, pull="never", ports={8000: 18000})
    script = "echo hello > index.html; exec httpd -f -p 8000"
    uid = docker_bench.start("sh", "-c", script, container=container, mounts=())
    container_id = docker_bench.started(uid).handle["container"]
    outside = dockerd.inspect(container_id)["NetworkSettings"]["Gateway"]

    def fetched(host: str) -> str:
        curl = ["curl", "-s", "--max-time", "3", f"http://{host}:18000/"]
        done = subprocess.run(
            [*dockerd.in_its_network, *curl],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    assert wait_for(lambda: fetched("127.0.0.1")) == "hello\n"
    assert fetched(outside) == ""
    used = docker_bench.executor.usage(uid)
    assert used.received_bytes > 100
    assert used.sent_bytes > 100


def test_a_network_that_is_not_there_is_named_and_leaves_nothing(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    container = Container(IMAGE, pull="never", network="nosuch")
    uid = docker_bench.start("true", container=container)
    assert docker_bench.not_started(uid).reason == "no such network: nosuch"
    wait_for(lambda: dockerd.containers() == [])


def test_a_port_that_is_taken_is_said_and_leaves_nothing(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    container = Container(BUSYBOX, pull="never", ports={8000: 18001})
    first = docker_bench.start("sleep", "60", container=container, mounts=())
    docker_bench.started(first)
    second = docker_bench.start("sleep", "60", container=container, mounts=())
    assert "port" in docker_bench.not_started(second).reason
    wait_for(lambda: len(dockerd.containers()) == 1)


# -- names, signals, the engine -------------------------------------------------------


def test_a_name_taken_by_a_stranger_is_said_and_the_stranger_spared(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    stranger = dockerd.make("kos-taken-1", BUSYBOX)
    uid = docker_bench.start("true", uid="taken")
    assert docker_bench.not_started(uid).reason == (
        "a container named kos-taken-1 is there and is not ours: remove it"
    )
    assert dockerd.containers() == ["kos-taken-1"]
    dockerd.remove(stranger)


def test_a_signal_reaches_the_program(docker_bench: DockerBench) -> None:
    script = "trap 'echo heard' USR1; echo up; while :; do sleep 0.05; done"
    uid = docker_bench.start("sh", "-c", script)
    docker_bench.says(uid, "up")
    docker_bench.executor.signal(uid, signal.SIGUSR1)
    docker_bench.says(uid, "heard")
    docker_bench.executor.signal(uid, signal.SIGTERM)
    assert (docker_bench.ended(uid).signal, docker_bench.ended(uid).stopped) == (
        15,
        False,
    )


def test_a_program_that_was_halted_by_a_signal_goes_on(
    docker_bench: DockerBench,
) -> None:
    uid = docker_bench.start("sleep", "600")
    state = Path(f"/proc/{docker_bench.pid(uid)}/stat")
    docker_bench.executor.signal(uid, signal.SIGSTOP)
    wait_for(lambda: state.read_text().split()[2] == "T")
    docker_bench.executor.signal(uid, signal.SIGCONT)
    wait_for(lambda: state.read_text().split()[2] == "S")
    docker_bench.executor.signal(uid, signal.SIGKILL)
    assert docker_bench.ended(uid).signal == signal.SIGKILL


def test_a_run_that_somebody_paused_by_hand_is_told_frozen_and_can_be_stopped(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    uid = docker_bench.start("sleep", "60")
    dockerd.pause(docker_bench.started(uid).handle["container"])
    assert docker_bench.executor.usage(uid).frozen
    docker_bench.executor.stop(uid, grace_s=10)
    assert docker_bench.ended(uid).signal == signal.SIGTERM


def test_a_second_executor_on_the_folder_is_refused(
    docker_bench: DockerBench, dockerd: Daemon
) -> None:
    second = DockerExecutor(docker_bench.executor.folder, base_url=dockerd.base_url)
    with pytest.raises(Unavailable, match="another process of this node"):
        second.ensure()
    second.close()


def test_without_an_engine_it_says_what_to_do(tmp_path: Path) -> None:
    executor = DockerExecutor(tmp_path / "node", base_url=f"unix://{tmp_path}/none")
    bench = DockerBench(executor, tmp_path / "runs", environment="docker")
    for ask in (executor.ensure, lambda: executor.start([bench.spec("true")])):
        with pytest.raises(Unavailable, match="systemctl start docker"):
            ask()
    assert executor.capabilities() == {}
    far = DockerExecutor(tmp_path / "far", base_url="tcp://127.0.0.1:1")
    with pytest.raises(Unavailable, match="another machine"):
        far.ensure()


def test_a_spec_that_is_none_for_containers_is_refused(
    docker_bench: DockerBench,
) -> None:
    spec = replace(docker_bench.spec("true"), container=None)
    docker_bench.executor.start([spec])
    assert "no image is named" in docker_bench.not_started(spec.uid).reason
