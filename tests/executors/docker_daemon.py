"""A real Docker engine of the tests' own, and images for it that need no registry.

It lives in a network of its own, so that its bridge and ports touch nothing here.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import docker
import docker.errors
import pytest
import requests

from agents.executors import children
from tests.waiting import wait_for

IMAGE = "kos/host"  # nothing but links into /usr, which is the host's, mounted
BUSYBOX = "kos/busybox"
LINKS = ("bin", "sbin", "lib", "lib32", "lib64")
NEEDED = {
    "dockerd": "docker.io",
    "docker-registry": "docker-registry",
    "busybox": "busybox-static",
    "iptables": "iptables",
    "unshare": "util-linux",
}


def why_not() -> str:
    """Why no engine can be started here, or ""."""
    if os.geteuid() != 0:
        return "a Docker engine of one's own needs root"
    lacking = [package for tool, package in NEEDED.items() if not shutil.which(tool)]
    return f"not installed: {', '.join(lacking)}" if lacking else ""


def need() -> None:
    """Skip with the reason; in CI there must be none."""
    reason = why_not()
    if reason and not os.environ.get("CI"):
        pytest.skip(reason)
    assert not reason, reason


class Daemon:
    """One dockerd with everything of it in `folder`. As where it is installed, its
    containerd is apart: that lives on when dockerd is killed."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.options = options
        self.socket = folder / "docker.sock"
        self.base_url = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        at = self.folder
        at.mkdir(parents=True, exist_ok=True)
        (at / "dockerd.pid").unlink(missing_ok=True)
        if self._containerd is None:
            self._containerd = self._start_containerd()
        command = ["dockerd", "--data-root", str(at / "data")]
        command += ["--exec-root", str(at / "exec"), "-H", self.base_url]
        command += ["--pidfile", str(at / "dockerd.pid"), "--live-restore"]
        command += ["--exec-opt", "native.cgroupdriver=cgroupfs", *self.options]
        command += ["--containerd", str(at / "containerd.sock")]
        script = 'busybox ip link set lo up; exec "$@"'
        self._process = self._spawn(
            *self.in_its_network, "sh", "-c", script, "sh", *command
        )
        wait_for(self.answers, timeout_s=60)

    def _start_containerd(self) -> subprocess.Popen[bytes]:
        at, socket_of_it = self.folder, self.folder / "containerd.sock"
        config = at / "containerd.toml"
        config.write_text(
            'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]'
        )
        command = ["containerd", "--config", str(config), "--log-level", "error"]
        command += ["--root", str(at / "containerd"), "--state", str(at / "state")]
        started = self._spawn(*command, "--address", str(socket_of_it))
        wait_for(lambda: listens(socket_of_it), timeout_s=60)
        return started

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def in_its_network(self) -> list[str]:
        """What a command begins with. It outlives a restart, as live containers do."""
        place = self.folder / "network"
        if not place.exists():
            place.touch()
            made = ["unshare", f"--net={place}", "true"]
            subprocess.run(made, check=True, timeout=10)
        return ["nsenter", f"--net={place}"]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        return self.is_up()

    def is_up(self) -> bool:
        if not listens(self.socket):
            return False
        try:
            with contextlib.closing(self.client()) as client:
                return bool(client.ping())
        except requests.ConnectionError:  # it is just going down
            return False

    def client(self) -> docker.APIClient:
        return docker.APIClient(base_url=self.base_url, version="1.41", timeout=60)

    def end(self, number: int = signal.SIGTERM) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(30)

    def containers(self) -> list[str]:
        with contextlib.closing(self.client()) as client:
            return [one["Names"][0].lstrip("/") for one in client.containers(all=True)]

    def inspect(self, container: object) -> dict[str, Any]:
        with contextlib.closing(self.client()) as client:
            found: dict[str, Any] = client.inspect_container(str(container))
            return found

    def pause(self, container: object) -> None:
        with contextlib.closing(self.client()) as client:
            client.pause(str(container))

    def make(self, name: str, image: str) -> str:
        """A container that is not ours, never started."""
        with contextlib.closing(self.client()) as client:
            return str(client.create_container(image, "true", name=name)["Id"])

    def remove(self, container: object) -> None:
        with contextlib.closing(self.client()) as client:
            client.remove_container(str(container), force=True)

    def derive(self, name: str, image: str, command: str, user: str = "") -> None:
        """An image that names a command to run, and as whom if `user` is given."""
        made = self.make("deriving", image)
        changes = [f"CMD {command}", *([f"USER {user}"] if user else [])]
        with contextlib.closing(self.client()) as client:
            client.commit(made, repository=name, changes=changes)
        self.remove(made)

    def image_id(self, name: str) -> str:
        with contextlib.closing(self.client()) as client:
            return str(client.inspect_image(name)["Id"])

    def add_image(self, name: str, root: Path) -> None:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(root, arcname=".")
        with contextlib.closing(self.client()) as client:
            client.import_image_from_data(
                packed.getvalue(), repository=name, changes=["ENV PATH=/bin"]
            )

    def clean_up(self) -> None:
        """End it and all that is left of it."""
        if not self.is_up():
            self.start()
        for name in self.containers():
            with contextlib.suppress(docker.errors.APIError):  # going already
                self.remove(name)
        wait_for(lambda: not self.containers(), timeout_s=30)
        self.end()
        assert self._containerd is not None
        self._containerd.terminate()
        self._containerd.wait(30)
        self._end_shims()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", place], check=True)

    def _end_shims(self) -> None:
        """Those an engine that was killed over a start has left behind."""
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.folder / "containerd.sock").encode() in (
                    entry / "cmdline"
                ).read_bytes().split(b"\0"):
                    for pid in [*children.below(int(entry.name)), int(entry.name)]:
                        os.kill(pid, signal.SIGKILL)


def listens(path: Path) -> bool:
    """Whether somebody answers at a unix socket."""
    with socket.socket(socket.AF_UNIX) as knock:
        try:
            knock.connect(str(path))
        except OSError:
            return False
    return True


def make_images(daemon: Daemon, folder: Path) -> None:
    """Two: one that borrows the host's programs, and one that is busybox alone."""
    host = folder / "host"
    for name in ("usr", "etc", "tmp", "proc"):
        (host / name).mkdir(parents=True)
    (host / "tmp").chmod(0o1777)
    for name in LINKS:
        if Path(f"/{name}").is_symlink():
            (host / name).symlink_to(os.readlink(f"/{name}"))
    shutil.copy("/etc/ld.so.cache", host / "etc")
    daemon.add_image(IMAGE, host)
    busybox = folder / "busybox"
    (busybox / "bin").mkdir(parents=True)
    (busybox / "tmp").mkdir(mode=0o1777)
    found = shutil.which("busybox")
    assert found
    shutil.copy(found, busybox / "bin/busybox")
    for applet in ("sh", "sleep", "httpd", "wget", "cat", "echo", "mkdir", "true"):
        (busybox / "bin" / applet).symlink_to("busybox")
    daemon.add_image(BUSYBOX, busybox)
