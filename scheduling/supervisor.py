"""Watch the programs of one node: every start and exit, once, with its true code.

The executor's log is read from the offset kept in the database. On start the same
reading adopts everything: what still runs goes on being watched, what ended while
nobody looked is recorded as it really ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.db import DatabaseError, close_old_connections, connection, transaction
from django.db.models import Q, QuerySet

from agents import crash_points
from agents.agent_lifecycle_hooks import is_helper
from agents.executors.base import BadSpec, Ended, Executor, ExecutorError
from agents.models import Node, NodeLog
from scheduling import endings, launch, live_runs, phases
from scheduling.endings import SEEN, Close, seen_of
from scheduling.launch import Start
from scheduling.models import Run
from scheduling.run_state import RunState
from scheduling.wishes import CHECKPOINT

log = logging.getLogger(__name__)
READ_BYTES = 256 * 2**10
BUSY_FOR_S = 0.05
LINGER_S = 0.02  # while busy, lines gather this long into one transaction
LOOK_AGAIN_S = 1.0
UNHEARD_S = 3.0  # STARTING this long without a word from the executor: ask again
S = RunState


def utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the supervisor is an entry point


class Supervisor:
    """Reads one executor's log for one node. One thread calls `run`."""

    def __init__(
        self,
        node: str,
        executor: Executor,
        busy_elsewhere: Callable[[], Collection[str]],
        start: Callable[[Sequence[Start]], None],
    ) -> None:
        """`busy_elsewhere` names the runs whose hooks are under way: STARTING, and
        rightly not known to the executor yet; and the helpers of hooks. `start` asks
        for programs again."""
        self.executor = executor
        self.node = Node.objects.get(name=node)
        self.log, _ = NodeLog.objects.select_related("node").get_or_create(
            node=self.node, executor=executor.name
        )
        self.offset = self.log.offset
        self.retimed: dict[str, datetime] = {}  # time limits that were passed on
        self.busy_elsewhere, self.start = busy_elsewhere, start
        self.stopping = threading.Event()

    def run(self) -> None:
        try:
            self.watch()
        finally:
            connection.close()  # this thread's own

    def watch(self) -> None:
        busy_at = reconciled_at = -1e9
        while not self.stopping.is_set():
            try:
                if self.read_once():
                    busy_at = time.monotonic()
                    continue
                if time.monotonic() - reconciled_at > LOOK_AGAIN_S:
                    self.reconcile(now=utc_now())
                    reconciled_at = time.monotonic()
                self.executor.wait(LOOK_AGAIN_S)
            except (DatabaseError, ExecutorError) as trouble:
                log.error("supervisor pauses", extra={"why": str(trouble)})
                close_old_connections()
                self.stopping.wait(LOOK_AGAIN_S)
            if time.monotonic() - busy_at < BUSY_FOR_S:
                time.sleep(LINGER_S)

    def read_once(self) -> bool:
        """Apply the next lines of the log, if there are any."""
        found, offset = self.executor.read(self.offset, most_bytes=READ_BYTES)
        if offset == self.offset:
            return False
        if crash_points.said and any(isinstance(line, Ended) for line in found):
            crash_points.reach("after_exit_before_save")
        endings.apply(found, log=self.log, offset=offset, now=utc_now())
        crash_points.reach("after_handle")
        self.offset = offset
        return True

    def reconcile(self, *, now: datetime) -> None:
        """Compare our rows with the executor: stop what must stop, ask again for what
        it never heard of, and call lost what is gone without a word.

        The order matters. Rows first, then who is alive, then the log to its end: a
        run that began in between counts as starting, whatever it is by now, and one
        that ended in between has its line read before it could be missed.
        """
        hooks = self.busy_elsewhere()
        before = dict(self.live().values_list("uid", "state"))
        alive = self.executor.alive()
        while self.read_once():
            pass
        silent = [u for u in before if u not in alive and u not in hooks]
        begun = [u for u in silent if before[u] != S.STARTING]
        self.stop_pending()
        self.ask_again([u for u in silent if before[u] == S.STARTING], now)
        self.close_gone(begun, now)
        self.end_strays(set(alive) - set(before) - set(hooks))

    def live(self) -> QuerySet[Run]:
        mine = self.executor.environments
        return live_runs.programs().filter(node=self.node, exec_env__in=mine)

    def stop_pending(self) -> None:
        """Pass every wanted stop on to the executor, which hears each as one, and each
        time limit that was moved. What saves its work first is stopped once it has."""
        stops = Q(state=S.STOPPING) & ~Q(wish=CHECKPOINT)
        wanted = self.live().filter(stops | Q(limit_at__isnull=False))
        rows = wanted.values_list("uid", "state", "stop_grace_s", "limit_at", "wish")
        moved = dict[str, datetime]()
        for uid, state, grace_s, limit_at, wish in rows:
            if state == S.STOPPING and wish != CHECKPOINT:
                self.executor.stop(uid, grace_s=10.0 if grace_s is None else grace_s)
            elif limit_at is not None:
                moved[uid] = limit_at
        self.retime(moved)

    def retime(self, moved: Mapping[str, datetime]) -> None:
        """Tell the executor each moved time limit once; a new process tells it again,
        which changes nothing."""
        for uid, limit_at in moved.items():
            if self.retimed.get(uid) == limit_at:
                continue
            try:
                self.executor.retime(uid, at=limit_at.timestamp())
            except BadSpec as refused:
                log.warning("not retimed", extra={"run": uid, "why": str(refused)})
        self.retimed = dict(moved)

    def ask_again(self, uids: list[str], now: datetime) -> None:
        """Start again, with the same token, what was to start a while ago."""
        unheard = self.live().filter(
            uid__in=uids,
            state=S.STARTING,
            starting_at__lt=now - timedelta(seconds=UNHEARD_S),
        )
        if ids := list(unheard.values_list("pk", flat=True)):
            self.start(launch.starts(ids, node=self.node.name, now=now))

    def close_gone(self, uids: list[str], now: datetime) -> None:
        """End runs without a program: lost, or stopped before it ever began."""
        rows = self.live().filter(uid__in=uids)
        gone = [seen_of(row) for row in rows.values_list(*SEEN)]
        facts = {"ended_at": now}
        closes = [
            Close(r, S(r.stop_as), r.reason, facts)
            if r.state == S.STOPPING and r.started_at is None and r.stop_as
            else Close(r, S.LOST, "its program is gone without a word", facts)
            for r in gone
        ]
        with transaction.atomic():
            endings.close_many(closes, actor=f"node:{self.node.name}", now=now)

    def end_strays(self, uids: Collection[str]) -> None:
        """End programs whose run is over or unknown; never one just being started."""
        if not uids:
            return
        live = live_runs.programs().filter(uid__in=uids)
        helpers = phases.with_open_step(filter(is_helper, uids))
        for uid in set(uids) - set(live.values_list("uid", flat=True)) - helpers:
            log.warning(
                "ending a program that belongs to no live run", extra={"run": uid}
            )
            self.executor.stop(uid, grace_s=0)
