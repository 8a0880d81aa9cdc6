"""An executor in memory, for tests: it keeps every promise but runs nothing.

It understands a few programs (`true`, `false`, `sleep N`, `sh -c 'exit N'`,
`sh -c 'kill -N $$'`, each also after `trap '' TERM;`). Anything else lives until a test
says `end(uid, ...)`. Time passes with `clock`, so a test may hold it still.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import ClassVar

from agents.executors.base import (
    BadSpec,
    Capabilities,
    Ended,
    Happening,
    LaunchSpec,
    Limits,
    NotStarted,
    Reclaimed,
    Started,
    Unavailable,
    Usage,
)

CAN = ("freeze", "reclaim", "relimit", "kill_all", "offline_limit")
NOT_RUN = "the fake executor runs nothing"
SCRIPT = re.compile(r"(?:exit (?P<code>\d+)|kill -(?P<signal>\d+) \$\$)\s*$")


@dataclass(slots=True)
class Held:
    spec: LaunchSpec
    started_s: float
    ends_s: float | None = None  # by itself, at this instant
    exit_code: int | None = 0
    signal: int | None = None
    ignores_term: bool = False
    stopped: bool = False
    timed_out: bool = False
    kill_s: float | None = None
    frozen_s: float | None = None  # since this instant
    rested_s: float = 0.0  # before that, frozen
    limits: Limits | None = None
    memory_bytes: int = 0  # what it uses, as far as `relimit` and `usage` know


class FakeExecutor:
    """`missing` names programs that are not there; `down` makes every call fail."""

    name: ClassVar[str] = "fake"
    environments: ClassVar[tuple[str, ...]] = ("fake",)

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.down = False
        self.stays_bytes = 0  # of each run's memory, when it is reclaimed
        self.missing = {"/no/such/program"}
        self.held: dict[str, Held] = {}
        self.over: dict[str, int] = {}
        self.log: list[Happening] = []
        self.signals: list[tuple[str, int]] = []
        self.news = threading.Condition()
        self._seen = 0

    def ensure(self) -> None:
        self._need_up()

    def capabilities(self) -> Mapping[str, Capabilities]:
        missing = {
            one.name: NOT_RUN
            for one in fields(Capabilities)
            if one.name not in (*CAN, "missing")
        }
        return {"fake": Capabilities(**dict.fromkeys(CAN, True), missing=missing)}

    def absent(self) -> Mapping[str, str]:
        return {}  # ensure() says why, when it raises

    def start(self, specs: Sequence[LaunchSpec]) -> None:
        self._need_up()
        with self.news:
            for spec in specs:
                self._start(spec)

    def stop(self, uid: str, *, grace_s: float) -> None:
        self._need_up()
        with self.news:
            held = self.held.get(uid)
            if held is not None:
                held.stopped = True
                self._ask_to_end(held, self.clock() + grace_s)
            self._pass_time()

    def signal(self, uid: str, number: int) -> None:
        self._need_up()
        with self.news:
            held = self.held.get(uid)
            if held is not None:
                self.signals.append((uid, number))
                if number == signal.SIGKILL:
                    self._end(held, None, number)

    def freeze(self, uid: str) -> None:
        self._need_up()
        with self.news:
            self._pass_time()
            held = self.held.get(uid)
            if held is not None and held.frozen_s is None and held.kill_s is None:
                held.frozen_s = self.clock()

    def reclaim(self, uid: str) -> Reclaimed | None:
        """All of it, less what a test says stays."""
        self._need_up()
        with self.news:
            held = self.held.get(uid)
            if held is None:
                return None
            before = held.memory_bytes
            held.memory_bytes = min(before, self.stays_bytes)
            return Reclaimed(before, held.memory_bytes)

    def thaw(self, uid: str) -> None:
        self._need_up()
        with self.news:
            self._pass_time()
            if uid in self.held:
                self._thaw(self.held[uid])

    def relimit(self, uid: str, limits: Limits) -> None:
        self._need_up()
        with self.news:
            held = self.held.get(uid)
            if held is None:
                return
            if held.memory_bytes > (limits.memory_bytes or held.memory_bytes):
                raise BadSpec(f"{held.memory_bytes} bytes of memory are in use")
            held.limits = limits

    def retime(self, uid: str, *, at: float) -> None:
        self._need_up()
        with self.news:
            self._pass_time()
            if (held := self.held.get(uid)) is not None and not held.timed_out:
                held.spec = replace(held.spec, time_limit_s=at - held.started_s)

    def usage(self, uid: str) -> Usage | None:
        """One core all the while, from its start on."""
        self._need_up()
        with self.news:
            self._pass_time()
            held = self.held.get(uid)
            if held is None:
                return None
            until_s = self.clock() if held.frozen_s is None else held.frozen_s
            return Usage(
                cpu_seconds=until_s - held.started_s - held.rested_s,
                memory_bytes=held.memory_bytes,
                processes=1,
                frozen=held.frozen_s is not None,
            )

    def alive(self) -> dict[str, int]:
        self._need_up()
        with self.news:
            self._pass_time()
            return {uid: held.spec.token for uid, held in self.held.items()}

    def read(self, offset: int, *, most_bytes: int) -> tuple[list[Happening], int]:
        """Here an offset counts happenings, and each is taken for 100 bytes."""
        with self.news:
            self._pass_time()
            found = self.log[offset : offset + max(1, most_bytes // 100)]
            return found, offset + len(found)

    def wait(self, timeout_s: float) -> None:
        until = time.monotonic() + timeout_s
        with self.news:
            while True:
                self._pass_time()
                left_s = until - time.monotonic()
                if len(self.log) > self._seen or left_s <= 0:
                    self._seen = len(self.log)
                    return
                self.news.wait(min(left_s, 0.005))

    # -- for tests --------------------------------------------------------------------

    def end(
        self,
        uid: str,
        *,
        exit_code: int | None = 0,
        signal: int | None = None,
        lost: bool = False,
        oom_killed: bool = False,
    ) -> None:
        """Let a program end now."""
        with self.news:
            self._end(self.held[uid], exit_code, signal, lost, oom_killed)

    # -- inside -----------------------------------------------------------------------

    def _need_up(self) -> None:
        if self.down:
            raise Unavailable("the fake executor is down")

    def _start(self, spec: LaunchSpec) -> None:
        uid, token, at_ns = spec.uid, spec.token, int(self.clock() * 1e9)
        alive = self.held.get(uid)
        if alive is not None:
            if alive.spec.token != token:
                reason = f"its attempt {alive.spec.token} is still alive"
                self._say(NotStarted(uid, token, at_ns, reason))
            return
        seen = self.over.get(uid, -1)
        if seen > token:
            reason = f"a later attempt ({seen}) was started here"
            self._say(NotStarted(uid, token, at_ns, reason))
        elif seen < token and spec.argv[0] in self.missing:
            self.over[uid] = token
            reason = f"no such program: {spec.argv[0]}"
            self._say(NotStarted(uid, token, at_ns, reason))
        elif seen < token:
            self.held[uid] = _understand(spec, self.clock())
            number = len(self.log) + 2
            self._say(Started(uid, token, at_ns, {"pid": number, "begun": number}))
            self._pass_time()

    def _pass_time(self) -> None:
        now = self.clock()
        for held in list(self.held.values()):
            limit_s = held.spec.time_limit_s
            rests = held.frozen_s is not None
            if held.ends_s is not None and held.ends_s <= now and not rests:
                self._end(held, held.exit_code, held.signal)
            elif held.kill_s is not None and held.kill_s <= now:
                self._end(held, None, signal.SIGKILL)
            elif limit_s is not None and held.started_s + limit_s <= now:
                first = not held.timed_out
                held.timed_out = True
                if first:
                    self._ask_to_end(held, now + held.spec.grace_s)

    def _thaw(self, held: Held) -> None:
        if held.frozen_s is not None:
            rested_s = self.clock() - held.frozen_s
            held.frozen_s = None
            held.rested_s += rested_s
            held.ends_s = None if held.ends_s is None else held.ends_s + rested_s

    def _ask_to_end(self, held: Held, kill_s: float) -> None:
        self._thaw(held)
        held.kill_s = min(kill_s, held.kill_s or kill_s)
        if not held.ignores_term:
            self._end(held, None, signal.SIGTERM)

    def _end(
        self,
        held: Held,
        exit_code: int | None,
        number: int | None,
        lost: bool = False,
        oom_killed: bool = False,
    ) -> None:
        uid, token = held.spec.uid, held.spec.token
        if self.held.pop(uid, None) is None:
            return
        self.over[uid] = token
        self._say(
            Ended(
                uid,
                token,
                int(self.clock() * 1e9),
                exit_code=None if lost or number is not None else exit_code,
                signal=None if lost or number is None else int(number),
                oom_killed=oom_killed,
                timed_out=held.timed_out,
                stopped=held.stopped,
                lost=lost,
                cpu_seconds=0.0,
                peak_memory_bytes=0,
            )
        )

    def _say(self, happening: Happening) -> None:
        self.log.append(happening)
        self.news.notify_all()


def _understand(spec: LaunchSpec, now: float) -> Held:
    held = Held(spec, started_s=now, limits=spec.limits)
    program, *args = spec.argv
    if program in ("true", "false"):
        held.ends_s, held.exit_code = now, int(program == "false")
    elif program == "sleep":
        held.ends_s = now + float(args[0])
    elif program == "sh" and args[:1] == ["-c"]:
        held.ignores_term = args[1].startswith("trap '' TERM;")
        found = SCRIPT.search(args[1])
        if found and found["code"]:
            held.ends_s, held.exit_code = now, int(found["code"]) % 256
        elif found:
            held.ends_s, held.exit_code = now, None
            held.signal = int(found["signal"])
    return held
