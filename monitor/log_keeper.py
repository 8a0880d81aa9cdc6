"""The node's care for the output of its runs: marks while they run, retention after.

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

from monitor.log_marks import Marker
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
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, name="logs", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join(2 * LOOK_EVERY_S)

    def run(self) -> None:
        due = time.monotonic() + EVERY_S
        while not self.stopping.wait(LOOK_EVERY_S):
            try:
                self.look()
                if time.monotonic() > due:
                    self.keeper.turn(datetime.now(UTC))  # noqa: TID251 - a thread's top
                    due = time.monotonic() + EVERY_S
            except (DatabaseError, OSError) as trouble:
                log.warning("logs are kept later", extra={"why": str(trouble)})
                close_old_connections()
        connection.close()  # this thread's own

    def look(self) -> int:
        """Mark the outputs that grew; how many runs had one."""
        mine = live_runs.programs().filter(node__name=self.node)
        uids = mine.values_list("uid", flat=True)
        return self.marker.look((uid, folder_name(uid)) for uid in uids)
