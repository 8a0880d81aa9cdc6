"""The seed's Loki: what runs print, pushed to a Loki server by their node as it comes.

The files are the buffer: nothing is held in memory but one batch, however long Loki is
away. How far a run was shipped stands in its folder and moves after each push that Loki
took, so a restart repeats at most one batch and loses nothing that is still kept.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

import orjson
from django.db.models import Q, QuerySet

from monitor import log_marks, logs
from monitor.log_files import read_small
from monitor.log_items import Item
from monitor.log_lines import OPEN, Piece, forward, start_of_piece
from monitor.log_marks import Times
from monitor.logs import STREAMS, Stream
from scheduling import live_runs
from scheduling.models import Run
from scheduling.run_folders import folder_name

log = logging.getLogger(__name__)
PUSH = "/loki/api/v1/push"
BATCH_BYTES = 512 * 2**10  # of text in one push
BATCHES = 20  # of one turn: others want the processor too
BACK_OFF_S = (1.0, 60.0)  # after the first failure, and at most
ENDED_WITHIN = timedelta(hours=1)  # runs that ended while the node was away
POSITION = "shipped"
FACTS = ("uid", "agent__agent_id", "started_at", "starting_at", "ended_at")
FRESH = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class Post(Protocol):
    """Sends a body; the status of the answer. Raises OSError when there is none."""

    def __call__(self, url: str, body: bytes) -> int: ...


@dataclass(slots=True)
class Shipped:
    """A run and how far each of its streams has been taken by Loki."""

    uid: str
    agent: str
    begun_at: datetime | None
    ended_at: datetime | None
    at: dict[str, int] = field(default_factory=dict)


class Shipper:
    """Ships the runs of one node. One thread calls `turn`, about once a second."""

    def __init__(self, node: str, post: Post) -> None:
        self.node, self.post = node, post
        self.following: dict[str, Shipped] = {}
        self.looked_at: datetime | None = None
        self.failures = 0
        self.not_before: datetime | None = None

    def turn(self, url: str, now: datetime) -> int:
        """Push what is new; how many lines Loki took."""
        if self.not_before is not None and now < self.not_before:
            return 0
        self.find(now)
        taken = 0
        for _ in range(BATCHES):
            batch = Batch(self.node)
            for run in list(self.following.values()):
                if not batch.is_full:
                    batch.add(run, now)
            if not batch.count:
                break
            if not self.push(url, batch, now):
                break
            taken += batch.count
        self.forget_shipped()
        return taken

    def find(self, now: datetime) -> None:
        """Follow what lives, and what ended since the last turn."""
        since = (self.looked_at or now - ENDED_WITHIN) - timedelta(seconds=10)
        mine = Q(node__name=self.node)
        live = self.follow(live_runs.programs().filter(mine))
        left = [uid for uid in self.following if uid not in live]  # and over by now
        self.follow(Run.objects.filter(uid__in=left))
        self.follow(Run.objects.filter(mine, ended_at__gte=since))
        self.looked_at = now

    def follow(self, rows: QuerySet[Run]) -> set[str]:
        uids = set()
        for uid, agent, started, starting, over in rows.values_list(*FACTS):
            run = self.following.get(uid)
            if run is None:
                run = Shipped(uid, agent, None, None, _read_position(uid))
                self.following[uid] = run
            run.begun_at, run.ended_at = started or starting, over
            uids.add(uid)
        return uids

    def push(self, url: str, batch: Batch, now: datetime) -> bool:
        try:
            status = self.post(url.rstrip("/") + PUSH, batch.body())
        except OSError as why:
            return self.back_off(str(why), now)
        if status == 429 or status >= 500:
            return self.back_off(f"it answered {status}", now)
        if status >= 400:  # it will never take these: too old, or not allowed
            log.warning("Loki refused lines", extra={"count": batch.count})
        self.failures, self.not_before = 0, None
        for uid, reached in batch.reached.items():
            self.following[uid].at |= reached
            _write_position(self.following[uid])
        return True

    def back_off(self, why: str, now: datetime) -> bool:
        first, most = BACK_OFF_S
        wait_s = min(first * 2**self.failures, most)
        self.failures = min(self.failures + 1, 16)
        self.not_before = now + timedelta(seconds=wait_s)
        log.warning("Loki is away", extra={"why": why})
        return False

    def forget_shipped(self) -> None:
        for run in list(self.following.values()):
            if run.ended_at and not any(_has_more(run, s) for s in STREAMS):
                del self.following[run.uid]


class Batch:
    """One push: lines by labels, and how far it takes each run."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.streams: dict[tuple[str, str, str], list[list[Any]]] = {}
        self.reached: dict[str, dict[str, int]] = {}
        self.count = self.bytes = 0

    @property
    def is_full(self) -> bool:
        return self.bytes >= BATCH_BYTES

    def add(self, run: Shipped, now: datetime) -> None:
        for stream in STREAMS:
            if _has_more(run, stream) and not self.is_full:
                self.add_stream(run, stream, now)

    def add_stream(self, run: Shipped, stream: Stream, now: datetime) -> None:
        begun, ended = run.begun_at, run.ended_at or now
        with logs.opened(run.uid, stream) as printed:
            times = Times(
                log_marks.read(logs.folder_of(run.uid)),
                stream,
                begun=begun.timestamp() if begun else 0.0,
                ended=ended.timestamp(),
                last=printed.written_at,
            )
            start = start_of_piece(printed, run.at.get(stream, 0))
            for piece in _pieces(printed, start):
                if piece.how == OPEN and run.ended_at is None:
                    break  # it is still being written
                self.take(run, Item(piece, stream, times))
                if self.is_full:
                    break

    def take(self, run: Shipped, item: Item) -> None:
        key = (run.agent, item.stream, item.level or "unknown")
        line = [str(int(item.at * 1e9)), item.text, {"run": run.uid}]
        self.streams.setdefault(key, []).append(line)
        self.reached.setdefault(run.uid, {})[item.stream] = item.piece.end
        self.count += 1
        self.bytes += len(item.piece.data) + 100

    def body(self) -> bytes:
        told = [
            {
                "stream": {
                    "agent": agent,
                    "node": self.node,
                    "stream": stream,
                    "level": level,
                },
                "values": lines,
            }
            for (agent, stream, level), lines in self.streams.items()
        ]
        return orjson.dumps({"streams": told})


def _pieces(printed: logs.Printed, start: int) -> Iterator[Piece]:
    for block in forward(printed, start):
        yield from block.pieces()


def _has_more(run: Shipped, stream: Stream) -> bool:
    """Whether it printed beyond what was taken; a stat call."""
    with suppress(OSError):
        size = os.lstat(f"{folder_name(run.uid)}/{stream}").st_size
        return size > run.at.get(stream, 0)
    return False


def _read_position(uid: str) -> dict[str, int]:
    try:
        said = json.loads(read_small(logs.folder_of(uid), POSITION, 200))
        return {stream: max(int(said[stream]), 0) for stream in STREAMS}
    except (ValueError, TypeError, KeyError):
        return dict.fromkeys(STREAMS, 0)


def _write_position(run: Shipped) -> None:
    said = {stream: run.at.get(stream, 0) for stream in STREAMS}
    path = f"{folder_name(run.uid)}/{POSITION}"
    with suppress(OSError):  # its folder is gone
        fd = os.open(f"{path}.new", FRESH, 0o600)
        try:
            os.write(fd, json.dumps(said).encode())
        finally:
            os.close(fd)
        os.rename(f"{path}.new", path)
