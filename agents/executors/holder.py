"""The holder: one small process per node that starts and owns every program there.

Standard library only, one thread, outside the node's session, process group and
control group. It knows no database and no Redis. It is asked over a socket (clients),
and says what happened in its log (holder_log); whoever reads that log may die and come
back. A guard above it starts it again (recovery) and it becomes a guard when that dies.

Requests, one JSON object a line: {"start": [spec, ...], "durable": bool},
{"stop": uid, "grace_s": s}, {"signal": uid, "number": n}, {"freeze": uid},
{"thaw": uid}, {"memory_group": uid}, {"relimit": uid, "limits": {...}},
{"retime": uid, "at": seconds since the epoch}, {"usage": uid}, {"list": true},
{"watch": true}, {"ack": offset}, {"about": true}, {"end": true}, {"renew": true},
{"voice": uid, "token": n, ...} and {"silence": uid, "token": n} for the runs of other
executors, {"voices": executor, "alive": {uid: token}}, {"rest": uid, "on": bool}.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from collections import deque
from math import inf
from typing import Any, NoReturn

from agents.executors import (
    cgroup_trees,
    children,
    holder_folder,
    recovery,
    strangers,
)
from agents.executors.cgroups import Groups
from agents.executors.clients import Client, Clients
from agents.executors.endings import Endings
from agents.executors.holder_log import VERSION, Log
from agents.executors.live import LIMITS, Live
from agents.executors.notifying import Voices
from agents.executors.starts import Starts, check, check_kinds

Answer = dict[str, Any] | None
LOOK_HOME_EVERY_S = 5.0
QUIET_S = 0.03  # without a start, then there is time to prepare the next
PREPARE_EVERY_S = 0.002
WAKE_EVERY_S = 0.004  # while busy: readers take the news in batches
ROTATE_BYTES = 16 << 20  # a new holder reads the newest file: 0.1 s


class Holder:
    """The loop: answer, start, see exits, keep deadlines, wake readers."""

    def __init__(self, folder: str, lock_fd: int) -> None:
        self.folder = folder
        self.lock_fd = lock_fd
        self.guard = int(os.environ["KOS_HOLDER"])
        self.log = Log(folder, rotate_bytes=ROTATE_BYTES)
        wake_fd = self._listen_to_signals()
        state = recovery.recover(folder, lock_fd, self.log, self.guard)
        self.runs = state.runs
        self.endings = Endings(self.log, state, self.guard)
        self.starts = Starts(self.log, state, self.endings)
        self.live = Live(self.log, state, self.endings)
        self.clients = Clients(folder, wake_fd)
        self.state = state
        self.voices = state.voices = Voices(folder, self.log, self.clients)
        self.voices.adopt(self.runs, self.live.is_frozen)
        for run in state.strangers:
            self.clients.listen_to(run.pidfd)
        self.clients.listen_to(state.jails.news)
        self.asked: deque[tuple[Client, list[dict[str, Any]], bool]] = deque()
        self.does = {
            "start": self._start,
            "stop": self._stop,
            "signal": self._signal,
            "freeze": lambda _, request: self.live.freeze(request["freeze"]),
            "thaw": lambda _, request: self.live.thaw(request["thaw"]),
            "memory_group": lambda _, r: self.live.memory_group(r["memory_group"]),
            "relimit": self._relimit,
            "retime": self._retime,
            "usage": lambda _, request: {"usage": self.live.usage(request["usage"])},
            "list": self._list,
            "watch": self._watch,
            "ack": self._ack,
            "about": self._about,
            "end": self._end,
            "renew": self._renew,
            "voice": self._voice,
            "silence": self._silence,
            "voices": self._voices,
            "rest": self._rest,
        }
        self.woken_at = self.prepare_at = 0.0
        self.look_home_at = time.monotonic() + LOOK_HOME_EVERY_S
        self.poked = True  # the guard may have written before we listened
        self.leaving = False

    def _listen_to_signals(self) -> int:
        wake_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        mine = (
            signal.SIGCHLD,
            signal.SIGUSR1,  # the guard saw an exit
            signal.SIGUSR2,  # the guard is gone
            signal.SIGTERM,  # the machine goes down: leave when the last run has ended
            signal.SIGHUP,
            signal.SIGINT,
            signal.SIGPIPE,
        )
        children.reset_signals(mine, self._hear)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        children.signal_me_when_my_parent_dies(signal.SIGUSR2)
        return wake_fd

    def _hear(self, number: int, _frame: object) -> None:
        self.poked |= number == signal.SIGUSR1
        self.leaving |= number == signal.SIGTERM

    def serve(self) -> None:
        while not (self.leaving and not self.runs):
            for client, request in self.clients.requests(self._timeout_s()):
                self.answer(client, request)
            self.start_some()
            self.endings.see_exits()
            if self.poked:
                self.poked = False
                self.endings.see_strays()
            self.endings.see_strangers()
            self.endings.see_jails()
            self.endings.miss_watchdogs(time.monotonic())
            self.endings.keep_deadlines(time.monotonic())
            if os.getppid() != self.guard:
                self.become_guard()
            if time.monotonic() >= self.look_home_at:
                self.leave_if_homeless()
            if self.log.is_full():
                self.log.begin(list(self.runs.values()))
            self.wake_readers()
            self.prepare()

    def _timeout_s(self) -> float | None:
        if self._may_start() or (self.leaving and not self.runs):
            return 0
        due = min(self.look_home_at, self.endings.next_deadline() or inf)
        due = min(due, self.voices.due_at)
        if not self.has_stock:
            due = min(due, self.prepare_at)
        return max(0.0, due - time.monotonic())

    @property
    def has_stock(self) -> bool:
        return self.starts.ready.is_full and self.voices.sockets.is_full

    def prepare(self) -> None:
        """Make a folder or a socket for a run to come, when nothing else is to do."""
        now = time.monotonic()
        if self.asked:
            self.prepare_at = now + QUIET_S
        elif now >= self.prepare_at and not self.has_stock:
            if not self.starts.ready.is_full:
                self.starts.ready.make_one()
            if not self.voices.sockets.is_full:
                self.voices.sockets.make_one()
            self.prepare_at = now + PREPARE_EVERY_S

    def leave_if_homeless(self) -> None:
        """Our folder was deleted: nobody can ask about our runs, so they end."""
        self.look_home_at = time.monotonic() + LOOK_HOME_EVERY_S
        if not holder_folder.is_ours(self.folder, self.lock_fd):
            self.leaving = True
            for run in list(self.runs.values()):
                self.endings.stop(run.uid, run.grace_s, time.monotonic())

    # -- requests ---------------------------------------------------------------------

    def answer(self, client: Client, request: Any) -> None:
        try:
            do = next(self.does[name] for name in request if name in self.does)
            said = do(client, request)
        except StopIteration:
            said = {"error": "unknown request"}
        except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
            said = {"error": f"bad request: {error!r}"}
        if said is not None:
            self.clients.reply(client, said)

    def _start(self, client: Client, request: dict[str, Any]) -> Answer:
        """Answered when the last of them has started."""
        specs = list(request["start"])
        for spec in specs:
            check(spec)
        self.asked.append((client, specs[::-1], bool(request.get("durable"))))
        return None

    def _stop(self, client: Client, request: dict[str, Any]) -> Answer:
        uid, grace_s = request["stop"], float(request["grace_s"])
        for _, specs, _ in self.asked:  # asked to start, but not reached yet
            for spec in [s for s in specs if s["uid"] == uid]:
                specs.remove(spec)
                self.starts.refuse(spec, "stopped before it was started")
        self.endings.stop(uid, grace_s, time.monotonic())
        return {"ok": True}

    def _signal(self, client: Client, request: dict[str, Any]) -> Answer:
        self.endings.signal(request["signal"], signal.Signals(request["number"]))
        return {"ok": True}

    def _relimit(self, client: Client, request: dict[str, Any]) -> Answer:
        check_kinds(request["limits"], LIMITS)
        return self.live.relimit(request["relimit"], request["limits"])

    def _retime(self, client: Client, request: dict[str, Any]) -> Answer:
        left_s = float(request["at"]) - time.time()
        self.endings.retime(request["retime"], time.monotonic() + left_s)
        return {"ok": True}

    def _list(self, client: Client, request: dict[str, Any]) -> Answer:
        return {"alive": {uid: run.token for uid, run in self.runs.items()}}

    def _watch(self, client: Client, request: dict[str, Any]) -> Answer:
        client.watches = True
        self.log.grown = True  # it may have missed something
        return None

    def _ack(self, client: Client, request: dict[str, Any]) -> Answer:
        self.log.acknowledge(int(request["ack"]))
        return None

    def _about(self, client: Client, request: dict[str, Any]) -> Answer:
        can = self.starts.capabilities()
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "guard": self.guard,
            "can": can,
            "absent": self.starts.absent(),
        }

    def _end(self, client: Client, request: dict[str, Any]) -> Answer:
        self.leaving = not (self.runs or self.asked)
        return {"ok": self.leaving}

    def _renew(self, client: Client, request: dict[str, Any]) -> Answer:
        self.become("holder")

    def _voice(self, client: Client, request: dict[str, Any]) -> Answer:
        slot = self.voices.open(
            str(request["voice"]),
            int(request["token"]),
            int(request["owner"]),
            request["watchdog_s"],
            waits=bool(request["waits"]),
            by_path=bool(request["by_path"]),
            by=str(request["by"]),
        )
        return {"folder": slot.folder, "path": slot.path}

    def _silence(self, client: Client, request: dict[str, Any]) -> Answer:
        self.voices.close(request["silence"], int(request["token"]))
        return {"ok": True}

    def _voices(self, client: Client, request: dict[str, Any]) -> Answer:
        self.voices.keep(str(request["voices"]), dict(request["alive"]))
        return {"ok": True}

    def _rest(self, client: Client, request: dict[str, Any]) -> Answer:
        self.voices.rest(request["rest"], on=bool(request["on"]))
        return {"ok": True}

    def start_some(self) -> None:
        """A few milliseconds of starts, then back to whoever else asks. A batch whose
        next jail must wait lets the others pass."""
        until = time.monotonic() + WAKE_EVERY_S
        passed = 0
        while passed < len(self.asked) and time.monotonic() < until:
            self.prepare_at = time.monotonic() + QUIET_S
            client, specs, durable = self.asked[0]
            if specs and self.starts.must_wait(specs[-1]):
                self.asked.rotate(-1)
                passed += 1
                continue
            passed = 0
            if specs:
                self.starts.start(specs.pop(), durable=durable)
            if not specs:
                self.asked.popleft()
                self.clients.reply(client, {"ok": True})

    def _may_start(self) -> bool:
        """Whether something was asked for that need not wait."""
        batches = (specs for _, specs, _ in self.asked)
        return any(
            not specs or not self.starts.must_wait(specs[-1]) for specs in batches
        )

    def wake_readers(self) -> None:
        now = time.monotonic()
        if self.log.grown and (
            not self._may_start() or now - self.woken_at > WAKE_EVERY_S
        ):
            self.log.grown = False
            self.woken_at = now
            self.clients.wake()

    # -- changing roles ---------------------------------------------------------------

    def become_guard(self) -> None:
        """Our guard died. We have the children, so we guard, above a new holder."""
        self.become("guard")

    def become(self, role: str) -> NoReturn:
        """Go on as another program in this process: the children stay ours."""
        for client, specs, _ in self.asked:
            self.clients.reply(client, {"error": f"not started: {len(specs)}"})
        self.voices.tell_all()
        os.set_inheritable(self.lock_fd, True)
        strangers.hand_on([*self.state.adopted.values(), *self.state.strangers])
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        main = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
        command = [sys.executable, "-S", "-E", "-X", "utf8", main, role]
        os.execv(sys.executable, [*command, self.folder, str(self.lock_fd)])


def run(folder: str, lock_fd: int) -> None:
    """Serve until asked to end. The lock says that a guard or holder is alive."""
    os.set_inheritable(lock_fd, False)
    fcntl.flock(lock_fd, fcntl.LOCK_EX)
    os.chdir("/")
    os.umask(0o022)
    children.become_subreaper()
    if not holder_folder.is_ours(folder, lock_fd):
        node = holder_folder.node_name(folder, lock_fd)
        Groups(cgroup_trees.settle_in(node)).tidy()  # what lives there is nobody's
        return
    holder = Holder(folder, lock_fd)
    holder.serve()
    holder.starts.groups.dissolve()
    if not holder.voices.of:  # else guests live on, and the next of us hears them
        holder.voices.sockets.dissolve()
    if holder_folder.is_ours(folder, lock_fd):
        os.unlink(f"{folder}/holder.sock")
