"""The whole product as a user starts it, for tests: `manage.py up` in a VAR of its own.

What a test learns through `api` is what the product says; what a witness program
wrote (tests/live/witness.py) is what happened.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from kos_scheduler.up_children import open_process, read_identity
from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sys.executable
API = "/api/v1/"
START_WAIT_S = 120.0
STOP_WAIT_S = 60.0
FINAL = {"succeeded", "failed", "cancelled", "timed_out", "preempted", "lost"}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@dataclass(slots=True)
class Answer:
    status: int
    body: Any  # parsed JSON, or the text when it is none

    def expect(self, status: int) -> Any:
        """The body; AssertionError with all of it when the status is another."""
        assert self.status == status, f"{self.status}: {self.body}"
        return self.body


@dataclass(slots=True)
class Product:
    var: Path
    port: int = field(default_factory=free_port)
    demo: bool = False
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    tokens: dict[str, str] = field(default_factory=dict, init=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def console(self) -> str:
        return (self.var.parent / "up.out").read_text(errors="replace")

    @property
    def admin_password(self) -> str:
        return (self.var / "admin-password").read_text().strip()

    def environment(self) -> dict[str, str]:
        """As a shell would have it, less what this test run set for itself."""
        mine = ("KOS_", "DJANGO_", "PYTEST_", "REDIS_URL", "VAR", "PORT", "KEEP")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(mine)}
        return {**kept, "KOS_VAR": str(self.var), **self.env}

    # -- life ------------------------------------------------------------------------

    def launch(self) -> subprocess.Popen[bytes]:
        """Start `up` without waiting for anything."""
        demo = "--demo" if self.demo else "--no-demo"
        argv = [PYTHON, "manage.py", "up", "--port", str(self.port), demo]
        with (self.var.parent / "up.out").open("ab") as output:
            return subprocess.Popen(
                argv,
                cwd=ROOT,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def start(self) -> None:
        """Afterwards the product serves, and its node takes runs."""
        self.process = self.launch()
        wait_for(self.is_serving, timeout_s=START_WAIT_S, every_s=0.1)
        wait_for(self.has_live_node, timeout_s=START_WAIT_S, every_s=0.1)

    def is_serving(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"up ended:\n{self.console}"
        try:
            return httpx.get(f"{self.url}{API}health/", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def has_live_node(self) -> bool:
        try:
            nodes = self.get("nodes/")["items"]
        except httpx.TransportError:  # it was the web process of an `up` before
            return False
        return any(node["state"] == "up" for node in nodes)

    def stop(self, signum: int = signal.SIGTERM) -> str:
        """End `up` and return all it has shown since its first start."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signum)
            self.process.wait(STOP_WAIT_S)
        return self.console

    def clean_up(self) -> None:
        """Leave nothing on the machine: server, holder and agents of this VAR."""
        with suppress(subprocess.TimeoutExpired):
            self.stop()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        for _ in range(3):  # a guard may start its holder once more
            for pid in self.processes():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def processes(self) -> dict[int, str]:
        """Every process that belongs to this VAR: pid -> command line."""
        return processes_of(self.var)

    # -- one process of it -----------------------------------------------------------

    def pid(self, name: str) -> int:
        """Of the process now under that name; "up" is the supervisor itself."""
        if name == "up":
            assert self.process is not None
            return self.process.pid

        def running() -> int | None:
            identity = read_identity(self.var / "up" / name)
            pidfd = open_process(identity) if identity else None
            if identity is None or pidfd is None:
                return None
            os.close(pidfd)
            return identity.pid

        return wait_for(running, timeout_s=30) or 0

    def kill(self, name: str) -> None:
        """kill -9, and wait until another stands in its place."""
        before = self.pid(name)
        os.kill(before, signal.SIGKILL)
        if name == "up":
            assert self.process is not None
            self.process.wait()
            self.start()
        wait_for(lambda: self.pid(name) != before, timeout_s=40)

    # -- as a client -----------------------------------------------------------------

    def manage(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PYTHON, "manage.py", *argv],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )

    def token(self, role: str = "admin") -> str:
        if role not in self.tokens:
            made = self.manage("token", "--name", f"test-{role}", "--role", role)
            assert made.returncode == 0, made.stderr
            self.tokens[role] = made.stdout.strip().splitlines()[-1]
        return self.tokens[role]

    def api(
        self, method: str, path: str, body: Any = None, *, role: str = "admin"
    ) -> Answer:
        headers = {"Authorization": f"Bearer {self.token(role)}"}
        got = httpx.request(
            method, f"{self.url}{API}{path}", json=body, headers=headers, timeout=30
        )
        try:
            return Answer(got.status_code, got.json())
        except json.JSONDecodeError:
            return Answer(got.status_code, got.text)

    def get(self, path: str) -> Any:
        return self.api("GET", path).expect(200)

    def post(self, path: str, body: Any = None, *, status: int = 201) -> Any:
        return self.api("POST", path, body).expect(status)

    def run(self, uid: str) -> Any:
        return self.get(f"runs/{uid}/")

    def wait_for_end(self, uid: str, *, timeout_s: float = 30) -> Any:
        """The run as it reads once its state is final."""

        def ended() -> Any:
            run = self.run(uid)
            return run if run["state"] in FINAL else None

        return wait_for(ended, timeout_s=timeout_s, every_s=0.1)

    def register(self, agent_id: str, *argv: str, **more: Any) -> Any:
        """A subprocess agent of little need, so that many run at once."""
        agent = {
            "agent_id": agent_id,
            "exec_env": "subprocess",
            "entry_point": argv[0],
            "args": list(argv[1:]),
            "cpu": 0.001,
            "memory": "64MB",
            **more,
        }
        return self.post("agents/", agent)

    def spawn(self, agent_id: str, count: int = 1) -> list[str]:
        asked = {"agent": agent_id, "count": count}
        return list(self.post("spawn/", asked, status=202)["runs"])

    def output(self, uid: str, stream: str = "out") -> str:
        return str(self.get(f"runs/{uid}/logs/?stream={stream}")[stream]["text"])


def processes_of(var: Path) -> dict[int, str]:
    """By environment, working folder or command line; never the test's own."""
    found = {}
    needle = os.fsencode(var)
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) in {os.getpid(), os.getppid()}:
            continue
        try:
            where = os.fsencode(os.readlink(folder / "cwd"))
            command = (folder / "cmdline").read_bytes()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if needle in environment or needle in command or where.startswith(needle):
            found[int(folder.name)] = command.replace(b"\0", b" ").decode().strip()
    return {pid: command for pid, command in found.items() if command}  # no zombies


@contextmanager
def running_product(folder: Path, **options: Any) -> Iterator[Product]:
    product = Product(folder / "var", **options)
    product.var.mkdir(mode=0o700, exist_ok=True)
    try:
        product.start()
        yield product
    finally:
        product.clean_up()
