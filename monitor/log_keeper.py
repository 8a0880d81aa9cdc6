"""The node's care for the output of its runs: marks while they run, retention after,
and a thread that ships to Loki, where one is configured.

One thread of the node process; it only looks at files. When it dies or is away nothing
is lost but the exactness of times.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from datetime import UTC, datetime

from django.db import DatabaseError, close_old_connections, connection

from agents import live_config
from monitor.log_marks import Marker
from monitor.loki_thread import LokiThread
from monitor.retention import EVERY_S, PREFIXES, Keeper
from scheduling import live_runs
from scheduling.run_folders import folder_name

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0  # what `at` of a line without a time of its own is good for


class LogKeeper:
    def __init__(self, node: str) -> None:
        self.node = node
        self.marker = Marker()
        self.keeper = Keeper(random.randrange(PREFIXES))
        self.loki: LokiThread | None = None  # until there is a Loki to ship to
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="logs", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(2 * LOOK_EVERY_S)
        if self.loki is not None:
            self.loki.stop()

    def run(self) -> None:
        due = time.monotonic() + EVERY_S
        while not self.stopping.wait(LOOK_EVERY_S):
            try:
                self.look()
                self.begin_shipping()
                if time.monotonic() > due:
                    self.keeper.turn(datetime.now(UTC))  # noqa: TID251 - a thread's top
                    due = time.monotonic() + EVERY_S
            except (DatabaseError, OSError) as trouble:
                log.warning("logs are kept later", extra={"why": str(trouble)})
                close_old_connections()
        connection.close()  # this thread's own

    def begin_shipping(self) -> None:
        if self.loki is None and live_config.current().loki.url:
            self.loki = LokiThread(self.node)
            self.loki.start()

    def look(self) -> int:
        """Mark the outputs that grew; how many runs had one."""
        mine = live_runs.programs().filter(node__name=self.node)
        uids = mine.values_list("uid", flat=True)
        return self.marker.look((uid, folder_name(uid)) for uid in uids)
