"""The seed's status monitor: what the journal recorded becomes live messages.

`tell` hears of every committed event and returns at once; one thread per process
merges what has gathered into one frame and publishes it. Each frame carries the next
number of a counter that Redis itself raises, so a hub sees by the number whether it
missed one. Redis may be down or frozen: then frames are dropped, nobody waits, and
the first publish that succeeds tells the hubs to fetch afresh. While no hub listens
nothing is made: whoever joins later reads what was committed before it listened.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from agents.journal import Entry
from agents.redis import RedisError, connection
from scheduling.run_state import FINAL, RunState

CHANNEL = "kos:live"
COUNTER = "kos:live:n"
MOST_ENTRIES = 1000  # in one frame; a larger batch becomes several
MOST_WAITING = 100_000  # entries kept for a slow Redis; beyond, everybody resyncs
RETRY_S = 1.0  # between attempts while Redis does not answer
COURTESY_S = 0.025  # before the first: whoever made the news goes on working first
GATHER_S = 0.05  # after a frame
HEARD_FOR_S = 1.0  # a hub that listens is taken to listen on for so long
LEAVE_S = 0.5  # a process that ends waits this long for its last frame

# KEYS[1] counter; ARGV: channel, step, start of the frame, rest of the frame.
PUBLISH = """
local n = redis.call('INCRBY', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[1], ARGV[3] .. n .. ARGV[4])
return n
"""
RUN_KEYS = (
    *("agent", "reason", "node", "priority", "due_at", "schedule", "occurrence"),
    *("phase", "held"),
)
TOLD = (
    *("ready_at", "progress", "status_text"),
    *("start_by_at", "finish_by_at", "at_risk", "deadline_missed"),
)
ONCE_KNOWN = ("started_at", "ended_at", "exit_code", "signal", "attempt")
STATES = frozenset(map(str, RunState))
Frame = dict[str, Any]


def tell(sender: object, entries: Sequence[Entry], **_: Any) -> None:
    """Receiver of agents.journal.recorded. Never blocks and never raises."""
    teller.tell(entries)


def frame_of(entries: Iterable[Entry]) -> Frame:
    """One delta: the latest of each run, and the names of what else changed."""
    runs: dict[str, dict[str, Any]] = {}
    nodes: dict[str, dict[str, Any]] = {}
    agents: set[str] = set()
    schedules: set[str] = set()
    for entry in entries:
        family, _, name = entry.subject.partition(":")
        if family == "run" and entry.kind.startswith(("run.", "hook.")):
            runs.setdefault(name, {"uid": name}).update(_run(entry))
        elif family == "node":
            nodes.setdefault(name, {"name": name}).update(_node(entry))
        elif family == "agent":
            agents.add(name)
        elif family == "schedule":
            schedules.add(name)
    frame: Frame = {
        "runs": list(runs.values()),
        "agents": [{"agent_id": name} for name in sorted(agents)],
        "schedules": [{"id": name} for name in sorted(schedules)],
        "nodes": list(nodes.values()),
    }
    return {key: what for key, what in frame.items() if what}


def _run(entry: Entry) -> dict[str, Any]:
    state = entry.kind.removeprefix("run.")
    data = entry.data
    what = {key: data[key] for key in RUN_KEYS if key in data}
    if state not in STATES:
        what |= {key: data[key] for key in TOLD if key in data}
        return what  # something about the run that leaves its state alone
    what |= {key: data[key] for key in ONCE_KNOWN if data.get(key) is not None}
    what |= {"state": state, "at": entry.at}
    if state == RunState.RUNNING and data.get("before") == RunState.STARTING:
        what.setdefault("started_at", entry.at)
    elif state in FINAL:
        what.setdefault("ended_at", entry.at)
    return what


def _node(entry: Entry) -> Mapping[str, Any]:
    return {"event": entry.kind.removeprefix("node."), "at": entry.at}


def encode(frame: Frame) -> bytes:
    """The frame's text without its opening: what follows the number."""
    body = orjson.dumps(frame, default=str, option=orjson.OPT_UTC_Z)
    return b"," + body[1:] if frame else b"}"


class Teller:
    """Entries in, frames out, by one thread that starts with the first entry."""

    def __init__(self) -> None:
        self._waiting: deque[Entry] = deque()
        self._news = threading.Event()
        self._idle = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._lost = False  # a frame was dropped: the next one must show a gap
        self._heard_until = -1e9

    def tell(self, entries: Sequence[Entry]) -> None:
        with self._lock:
            self._waiting.extend(entries)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.clear()
                self._lost = True
            self._idle.clear()
            if self._thread is None or not self._thread.is_alive():
                self._start()
        self._news.set()

    def flush(self, timeout_s: float = LEAVE_S) -> bool:
        """Wait until everything told so far was published or dropped."""
        return self._thread is None or self._idle.wait(timeout_s)

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="kos-live", daemon=True)
        self._thread.start()
        atexit.unregister(self.flush)
        atexit.register(self.flush)

    def _work(self) -> None:
        while True:
            if self._lost:
                time.sleep(RETRY_S)
            else:
                self._news.wait()
            self._news.clear()
            if not self._lost:
                time.sleep(COURTESY_S)
            while (self._waiting or self._lost) and self._publish(self._next_batch()):
                time.sleep(GATHER_S)  # news that come close together are one frame
            with self._lock:
                if not self._waiting:
                    self._idle.set()

    def _next_batch(self) -> list[Entry]:
        """Up to MOST_ENTRIES; nothing while a loss has yet to be told."""
        if self._lost:
            return []
        with self._lock:
            size = min(len(self._waiting), MOST_ENTRIES)
            return [self._waiting.popleft() for _ in range(size)]

    def _publish(self, entries: Sequence[Entry]) -> bool:
        """One frame, or the news that frames were lost. False: Redis did not take it.

        A lost frame makes the counter skip a number, which every hub notices.
        """
        try:
            if not self._lost and not self._is_heard():
                return True
            frame = {} if self._lost else frame_of(entries)
            if not frame and not self._lost:
                return True  # nothing that is shown live
            kind = "resync" if self._lost else "delta"
            publish(kind, encode(frame), step=2 if self._lost else 1)
        except RedisError:
            self._lost = True
            self._waiting.clear()
            return False
        self._lost = False
        return True

    def _is_heard(self) -> bool:
        """Whether a hub listens. Raises RedisError.

        That nobody does is asked each time: one who joins in this very moment has yet
        to read its first snapshot, and what we hold is committed.
        """
        if time.monotonic() < self._heard_until:
            return True
        ((_, listeners),) = connection().pubsub_numsub(CHANNEL)
        if listeners:
            self._heard_until = time.monotonic() + HEARD_FOR_S
        return bool(listeners)


def publish(kind: str, rest: bytes, *, step: int) -> int:
    """Number one frame and send it to every hub. Raises RedisError."""
    start = b'{"type":"%s","n":' % kind.encode()
    return int(connection().eval(PUBLISH, 1, COUNTER, CHANNEL, step, start, rest))


teller = Teller()
