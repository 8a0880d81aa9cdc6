"""What live programs say of themselves, from their sockets into the holder's log.

Each run that listens for nothing costs nothing. A run that talks has a line written at
once and then at most one a second, the newest of what it said; that it is ready, that
it stops and that its watchdog was missed are never held back. One that floods is read
at a fixed rate, so that its own sends wait and nobody else.

    M uid token ns {json}   it said so: ready, status, progress, stopping
    W uid token ns silent   its watchdog was missed; for how many s, - for a trigger

Runs of other executors have sockets here too, as guests; a file each keeps them in
mind.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import socket
import time
from collections.abc import Callable
from functools import partial
from math import inf
from typing import Any

from agents.executors.clients import Clients
from agents.executors.held import Run
from agents.executors.holder_log import Log
from agents.executors.notify import MOST_BYTES, Message
from agents.executors.notify_sockets import NotifySockets, Slot, near_place

TELL_EVERY_S = 1.0
LOOK_EVERY_S = 0.05  # at most, however many have something due
HEARD_A_SECOND = 200  # messages of one run
AT_ONCE = 64
MOST_WAITING = 4096  # unread; the kernel keeps 10 to 512 and lets senders wait
PAUSE_S = 0.05  # for one that floods
KEPT = ("by", "ready", "rests")
DESCRIPTORS = 16  # of one message; the kernel closes what is beyond
ANCILLARY = socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize)


class Voice:
    """One run's, from its start to its end."""

    __slots__ = (
        *("uid", "token", "slot", "by", "watchdog_s", "waits", "ready", "stopping"),
        *("heard_at", "rests", "missed", "said", "status", "progress", "told_at"),
        *("allowance", "counted_at", "muted_until"),
    )

    def __init__(
        self,
        uid: str,
        token: int,
        slot: Slot,
        watchdog_s: float | None,
        *,
        waits: bool = False,
        by: str = "",
        ready: bool = False,
        rests: bool = False,
    ) -> None:
        self.uid, self.token, self.slot = uid, token, slot
        self.by = by  # the executor whose guest it is; "": the holder's own
        self.watchdog_s = watchdog_s
        self.waits = waits  # the watchdog counts from READY=1 on
        self.ready, self.stopping = ready, False
        self.rests, self.missed = rests, False
        self.heard_at = self.counted_at = time.monotonic()
        self.said = Message()  # and not told yet
        self.status: str | None = None  # as told last
        self.progress: float | None = None
        self.told_at = -inf
        self.allowance = float(AT_ONCE)
        self.muted_until: float | None = None

    def news(self) -> dict[str, Any]:
        """What it said that was not told before."""
        said, found = self.said, dict[str, Any]()
        if said.ready and not self.ready:
            found["ready"] = True
        if said.stopping and not self.stopping:
            found["stopping"] = True
        if said.status is not None and said.status != self.status:
            found["status"] = said.status
        if said.progress is not None and said.progress != self.progress:
            found["progress"] = said.progress
        return found

    def due_at(self) -> float:
        """When something is to be done for it next."""
        due = inf if self.muted_until is None else self.muted_until
        if self.news():
            due = min(due, self.told_at + TELL_EVERY_S)
        return min(due, self.watchdog_at())

    def watchdog_at(self) -> float:
        counts = self.ready or not self.waits
        if self.watchdog_s is None or self.rests or self.missed or not counts:
            return inf
        return self.heard_at + self.watchdog_s


class Voices:
    def __init__(self, folder: str, log: Log, clients: Clients) -> None:
        self.log = log
        self.clients = clients
        self.sockets = NotifySockets(folder, self._listen, self._let_go)
        self.of: dict[str, Voice] = {}  # by uid
        self.timed: dict[str, Voice] = {}  # those with something due, by uid
        self.missed: list[Voice] = []  # of the holder's own, to be ended
        self.due_at = inf  # nothing is due before

    # -- a run comes and goes ---------------------------------------------------------

    def open(
        self,
        uid: str,
        token: int,
        owner: int,
        watchdog_s: float | None,
        *,
        waits: bool = False,
        by_path: bool,
        by: str = "",
    ) -> Slot:
        """The socket of a run; the same one when asked again. Raises OSError."""
        known = self.of.get(uid)
        if known is not None and known.token == token:
            return known.slot
        if known is not None:
            self.close(uid, known.token)
        slot = self.sockets.take(owner, by_path=by_path)
        voice = Voice(uid, token, slot, watchdog_s, waits=waits, by=by)
        self._begin(voice)
        self._remember(voice)
        return slot

    def adopt(self, runs: dict[str, Run], is_frozen: Callable[[Run], bool]) -> None:
        """Go on listening where our forerunner did."""
        for run in list(runs.values()):
            if run.notify:
                facts = {**_of_run(run), "rests": is_frozen(run)}
                self._again(run.notify, run.notify_user, facts)
        for name in self._guests():
            with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
                with open(f"{self.sockets.near}/{name}") as text:
                    owner, facts = json.load(text)
                self._again(name.removesuffix(".json"), owner, facts)
        used = {voice.slot.name for voice in self.of.values()}
        used |= {f"{voice.slot.name}.json" for voice in self.of.values() if voice.by}
        self.sockets.tidy(used)

    def _again(self, name: str, owner: int, facts: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            slot = self.sockets.again(name, owner)
            self._begin(Voice(slot=slot, **facts))

    def _begin(self, voice: Voice) -> None:
        self.of[voice.uid] = voice
        voice.slot.voice = voice
        if voice.watchdog_s is not None:
            self._time(voice)

    def close(self, uid: str, token: int) -> None:
        """It is over: what it said last is told before its end is."""
        voice = self.of.get(uid)
        if voice is None or voice.token != token:
            return
        self._drain(voice.slot, voice.said)
        self._tell(voice)
        del self.of[uid]
        self.timed.pop(uid, None)
        self._forget(voice)
        if voice.muted_until is not None:
            self.clients.listen_more(voice.slot.socket.fileno(), on=True)
        voice.slot.voice = None
        self.sockets.give_back(voice.slot)

    def keep(self, by: str, alive: dict[str, int]) -> None:
        """Of the guests of an executor, these alone are not over."""
        for voice in [v for v in self.of.values() if v.by == by]:
            if alive.get(voice.uid) != voice.token:
                self.close(voice.uid, voice.token)

    def rest(self, uid: str, *, on: bool) -> None:
        """It is frozen, or goes on: frozen programs cannot keep their watchdog."""
        voice = self.of.get(uid)
        if voice is not None and voice.rests != on:
            voice.rests, voice.heard_at = on, time.monotonic()
            self._time(voice)
            self._remember(voice)

    # -- what it says -----------------------------------------------------------------

    def _listen(self, slot: Slot) -> None:
        self.clients.listen_to(slot.socket.fileno(), partial(self._hear, slot))

    def _let_go(self, slot: Slot) -> None:
        self.clients.let_go(slot.socket.fileno())

    def _hear(self, slot: Slot) -> None:
        voice: Voice | None = slot.voice
        if voice is None:  # a late word of a run that is over, or of a stranger
            self.sockets.discard(slot)
            return
        now = time.monotonic()
        more = (now - voice.counted_at) * HEARD_A_SECOND
        voice.allowance = min(float(AT_ONCE), voice.allowance + more)
        voice.counted_at = now
        while voice.allowance >= 1:
            got = _receive(slot.socket)
            if got is None:
                break
            voice.allowance -= 1
            voice.said.add(got[0], cut=got[1])
        else:
            voice.muted_until = now + PAUSE_S
            self.clients.listen_more(slot.socket.fileno(), on=False)
        self._take(voice, now)

    def _drain(self, slot: Slot, into: Message) -> None:
        """Take in what waits there, which the kernel bounds."""
        for _ in range(MOST_WAITING):
            if (got := _receive(slot.socket)) is None:
                return
            into.add(got[0], cut=got[1])

    def _take(self, voice: Voice, now: float) -> None:
        said = voice.said
        if said.alive or (said.ready and not voice.ready):
            voice.heard_at, said.alive = now, False
        if said.trigger and not voice.missed:
            self._miss(voice, "-")
        urgent = (said.ready and not voice.ready) or (
            said.stopping and not voice.stopping
        )
        if urgent or now >= voice.told_at + TELL_EVERY_S:
            self._tell(voice)
        if voice.due_at() < inf:
            self._time(voice)

    def _tell(self, voice: Voice) -> None:
        news = voice.news()
        voice.said = Message()
        if not news:
            return
        line = f"M {voice.uid} {voice.token} {time.time_ns()} {json.dumps(news)}"
        self.log.note(line)
        voice.told_at = time.monotonic()
        voice.status = news.get("status", voice.status)
        voice.progress = news.get("progress", voice.progress)
        voice.stopping |= "stopping" in news
        if "ready" in news:
            voice.ready = True
            self._remember(voice)

    def _miss(self, voice: Voice, silent: str) -> None:
        voice.missed = True
        if not voice.by:
            self.missed.append(voice)
        self.log.note(f"W {voice.uid} {voice.token} {time.time_ns()} {silent}")

    # -- time -------------------------------------------------------------------------

    def _time(self, voice: Voice) -> None:
        self.timed[voice.uid] = voice
        self.due_at = min(self.due_at, voice.due_at())

    def keep_time(self, now: float) -> list[Voice]:
        """Tell what waits. Those of the holder's own that are to be ended now, for
        their watchdog was missed."""
        if now >= self.due_at:
            for voice in list(self.timed.values()):
                self._keep(voice, now)
            dues = {uid: voice.due_at() for uid, voice in self.timed.items()}
            self.timed = {u: v for u, v in self.timed.items() if dues[u] < inf}
            self.due_at = max(min(dues.values(), default=inf), now + LOOK_EVERY_S)
        found, self.missed = self.missed, []
        return found

    def _keep(self, voice: Voice, now: float) -> None:
        if voice.muted_until is not None and voice.muted_until <= now:
            voice.muted_until = None
            self.clients.listen_more(voice.slot.socket.fileno(), on=True)
            self._hear(voice.slot)
        if voice.watchdog_at() <= now:
            self._hear(voice.slot)  # it may have spoken while we were busy
        if voice.watchdog_at() <= now:
            self._miss(voice, f"{now - voice.heard_at:.1f}")
        if now >= voice.told_at + TELL_EVERY_S:
            self._tell(voice)

    def tell_all(self) -> None:
        """Before we go: whoever comes next has not heard it."""
        for voice in self.of.values():
            self._tell(voice)

    # -- guests outlive us ------------------------------------------------------------

    def _guests(self) -> list[str]:
        try:
            names = os.listdir(self.sockets.near)
        except OSError:
            return []
        return [name for name in names if name.endswith(".json")]

    def _remember(self, voice: Voice) -> None:
        if not voice.by:
            return
        facts = {
            name: getattr(voice, name)
            for name in (*("uid", "token", "watchdog_s", "waits"), *KEPT)
        }
        name = f"{near_place(self.sockets.near)}/{voice.slot.name}.json"
        with open(f"{name}.new", "w") as text:
            json.dump([voice.slot.owner, facts], text)
        os.rename(f"{name}.new", name)

    def _forget(self, voice: Voice) -> None:
        if voice.by:
            with contextlib.suppress(OSError):
                os.unlink(f"{self.sockets.near}/{voice.slot.name}.json")


def _of_run(run: Run) -> dict[str, Any]:
    return {
        "uid": run.uid,
        "token": run.token,
        "watchdog_s": run.watchdog_s,
        "waits": run.watchdog_waits,
        "ready": run.ready,
    }


def _receive(listener: socket.socket) -> tuple[bytes, bool] | None:
    """The next message and whether it was cut; None: there is none. Descriptors that
    came with it are closed, which is what a BARRIER waits for."""
    try:
        data, extra, flags, _ = listener.recvmsg(MOST_BYTES, ANCILLARY)
    except OSError:
        return None
    for level, kind, content in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds = array.array("i")
            fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
            for fd in fds:
                with contextlib.suppress(OSError):
                    os.close(fd)
    return data, bool(flags & socket.MSG_TRUNC)
