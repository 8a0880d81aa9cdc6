"""`manage.py up`: everything of kOS on one machine, kept running.

No Django here: what watches the others must be small, and must start even when
settings or database are broken, to say so. Agents are not ours: a holder keeps them,
and they go on when any of us ends.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kos_scheduler.up_checks import (
    SOCKET_NAME,
    UpError,
    check_machine,
    listen,
    lock_var,
    open_var,
)
from kos_scheduler.up_children import Child, Program, end_children, end_leftovers
from kos_scheduler.up_console import Follower, say
from kos_scheduler.up_programs import manage_env, server_programs, store_program

ROOT = Path(__file__).resolve().parent.parent
LOOK_EVERY_S = 0.5  # at the logs; ends of children and signals are seen at once
ASK_EVERY_S = 0.1  # a child that is starting, whether it is ready
STORE_WAIT_S = 15.0
WEB_WAIT_S = 90.0


@dataclass(frozen=True, slots=True)
class Options:
    var: Path
    host: str
    port: int
    demo: bool
    keep: bool  # Ctrl-C leaves the agents running


def parse_options(argv: Sequence[str]) -> Options:
    env = os.environ
    parser = argparse.ArgumentParser(prog="manage.py up", description=__doc__)
    parser.add_argument("--port", type=int, default=env.get("PORT", "8000"))
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument(
        "--demo",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="load the demo fleet into an empty registry",
    )
    found = parser.parse_args(argv)
    var = Path(env.get("KOS_VAR") or env.get("VAR") or ROOT / "var").resolve()
    return Options(var, found.host, found.port, found.demo, env.get("KEEP") == "1")


@dataclass(slots=True)
class Supervisor:
    """Starts children, restarts them, shows their lines, and ends them."""

    var: Path
    children: dict[str, Child] = field(default_factory=dict, init=False)
    followers: list[Follower] = field(default_factory=list, init=False)
    received: list[int] = field(default_factory=list, init=False)  # signals to us
    wake_fd: int = field(default=-1, init=False)

    def catch_signals(self) -> None:
        """From here on a signal wakes `turn`; nothing runs inside a handler."""
        self.wake_fd, written_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(written_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, lambda signum, _: self.received.append(signum))

    def add(self, program: Program) -> Child:
        log = self.var / "logs" / f"{program.name}.log"
        child = Child(program, log, self.var / "up" / program.name)
        follower = Follower(program.name, log, quiet=program.name == "valkey")
        follower.skip_to_end()
        self.followers.append(follower)
        self.children[program.name] = child
        child.start(time.monotonic())
        return child

    def turn(self, longest_s: float = LOOK_EVERY_S) -> None:
        """Wait a little, then deal with everything that happened."""
        now_s = time.monotonic()
        due_s = [c.restart_s - now_s for c in self.children.values() if c.restart_s]
        wait_s = max(0.0, min([longest_s, *due_s]))
        if select.select([self.wake_fd], [], [], wait_s)[0]:
            os.read(self.wake_fd, 4096)
        now_s = time.monotonic()
        for child in self.children.values():
            self.attend(child, now_s)
        self.show()

    def attend(self, child: Child, now_s: float) -> None:
        child.note_end(now_s)
        if child.restart_s is not None and child.restart_s <= now_s:
            self.tell(child, now_s)
            child.start(now_s)
        self.tell(child, now_s)

    def tell(self, child: Child, now_s: float) -> None:
        trouble = child.take_trouble()
        if trouble and child.restart_s is not None:
            wait_s = max(0.0, child.restart_s - now_s)
            say(
                f"{child.program.name} {trouble}; starting it again in "
                f"{wait_s:.1f} s. Its log: {child.log}"
            )

    def show(self) -> None:
        for follower in self.followers:
            for line in follower.look():
                say(line)

    def wait_until(self, condition: Callable[[], bool], wait_s: float) -> bool:
        """Whether it came true in time; a signal to us ends the wait as well."""
        deadline = time.monotonic() + wait_s
        while not self.received and time.monotonic() < deadline:
            if condition():
                return True
            self.turn(ASK_EVERY_S)
        return False

    def retire(self, name: str) -> None:
        """End one child for good."""
        end_children([self.children.pop(name)])

    def end(self) -> None:
        """The store goes last: the others still talk to it while they end."""
        store = self.children.get("valkey")
        end_children(c for c in self.children.values() if c is not store)
        if store:
            end_children([store])
        self.show()


def main(argv: Sequence[str]) -> int:
    """The exit code: 0 stopped as asked, 1 could not start (one line said why)."""
    try:
        check_machine()
        options = parse_options(argv)
        open_var(options.var)
        lock_var(options.var)
        left = end_leftovers(options.var / "up")
        if left:
            say(f"An earlier start was killed; ended what it left: {', '.join(left)}.")
        with listen(options.host, options.port) as web_socket:
            return run(options, web_socket)
    except UpError as error:
        sys.stderr.write(f"kOS cannot start. {error}\n")
        return 1


def run(options: Options, web_socket: socket.socket) -> int:
    supervisor = Supervisor(options.var)
    supervisor.catch_signals()
    try:
        start_all(supervisor, options, web_socket)
        while not supervisor.received:
            supervisor.turn()
        stopped = stop_agents_if_asked(supervisor, options)
    finally:
        supervisor.end()
    if stopped:
        end_idle_holders(options.var)
    return 0


def start_all(
    supervisor: Supervisor, options: Options, web_socket: socket.socket
) -> None:
    """The order: store, database, the rest. Returns early when told to stop."""
    store = store_program(options.var)
    if store:
        child = supervisor.add(store)
        answers = partial(store_answers, options.var / SOCKET_NAME)
        if not supervisor.wait_until(answers, STORE_WAIT_S) and not supervisor.received:
            raise UpError(f"The embedded Valkey does not answer. Its log: {child.log}")
    prepare(supervisor, options)
    if supervisor.received:
        return
    for program in server_programs(options.var, web_socket.fileno()):
        supervisor.add(program)
    if supervisor.wait_until(lambda: web_answers(options), WEB_WAIT_S):
        greet(options)
    elif not supervisor.received:
        log = options.var / "logs" / "web.log"
        say(f"The web server does not answer yet; we keep trying. Its log: {log}")


def prepare(supervisor: Supervisor, options: Options) -> None:
    """Runs `manage.py prepare` to its end: tables, roles, admin, demo fleet."""
    log = options.var / "logs" / "prepare.log"
    argv = [sys.executable, str(ROOT / "manage.py"), "prepare"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*argv, "--demo"] if options.demo else argv,
            env=manage_env(options.var, "prepare"),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while process.poll() is None and not supervisor.received:
        supervisor.turn()
    if supervisor.received:
        process.terminate()
        process.wait()
    elif process.returncode:
        said = log.read_text(errors="replace").strip().splitlines() or ["no output"]
        raise UpError(f"Preparing the database failed: {said[-1]} (all of it: {log})")


def store_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(5) == b"+PONG"
        except OSError:
            return False


def web_answers(options: Options) -> bool:
    """400 is an answer too: KOS_ALLOWED_HOSTS may leave our name out."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    request = b"GET /api/v1/health/ HTTP/1.0\r\nHost: localhost\r\n\r\n"
    try:
        with socket.create_connection((host, options.port), timeout=2) as client:
            client.sendall(request)
            status = client.recv(12).split(b" ")
    except OSError:
        return False
    return len(status) > 1 and status[1] in (b"200", b"400")


def greet(options: Options) -> None:
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(options.host, options.host)
    say("")
    say(f"  kOS is up:    http://{host}:{options.port}/")
    say("  Log in as:    admin")
    say(f"  Password in:  {options.var / 'admin-password'}")
    if options.keep:
        say("  Ctrl-C stops the server; agents keep running.")
    else:
        say("  Ctrl-C stops the server and its agents (KEEP=1: agents keep running).")
    say("")


def stop_agents_if_asked(supervisor: Supervisor, options: Options) -> bool:
    """Ctrl-C ends the agents too, while their node still lives, and after the one who
    would start them again. Anything else, and a second Ctrl-C, leaves them to the next
    start. Returns whether all were stopped."""
    signum = supervisor.received[0]
    if signum != signal.SIGINT or options.keep or "node" not in supervisor.children:
        say("Stopping. Agents keep running; the next start finds them again.")
        return False
    say("Stopping the agents, each with its grace. Ctrl-C again leaves them running.")
    supervisor.retire("scheduler")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "stop_agents", "--all"],
        env=manage_env(options.var, "stop_agents"),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and len(supervisor.received) < 2:
        supervisor.turn()
    if process.poll() is None:
        process.terminate()
        process.wait()
        say("Leaving the rest running; the next start finds them again.")
    elif process.returncode:
        say("Not all agents could be stopped; the next start finds the rest again.")
    return process.returncode == 0


def end_idle_holders(var: Path) -> None:
    """What held the agents goes too, unless it still holds one."""
    from agents.executors.base import ExecutorError
    from agents.executors.process import ProcessExecutor

    for folder in (var / "node").glob("*"):
        with suppress(ExecutorError, OSError, ValueError):
            ProcessExecutor(folder).shut_down()
