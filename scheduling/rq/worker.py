"""The launcher: an RQ SimpleWorker that spends little on a job.

A launch job is worth nothing after it ran: the run rows are the truth and a lost job
is found by its age. So the registries, heartbeats and results that RQ keeps for jobs
are left out, and a job costs two Redis round trips instead of twenty.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from rq import SimpleWorker

log = logging.getLogger(__name__)
HEARTBEAT_EVERY_S = 15.0


class Launcher(SimpleWorker):  # type: ignore[misc,no-any-unimported]
    """Works one queue, in one thread, without a fork."""

    _beat_at = 0.0

    def execute_job(self, job: Any, queue: Any) -> None:
        try:
            job.perform()
        except Exception:
            log.exception("a launch job failed", extra={"job": job.id})
        self.connection.lrem(queue.intermediate_queue_key, 1, job.id)

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        if time.monotonic() - self._beat_at >= HEARTBEAT_EVERY_S:
            self._beat_at = time.monotonic()
            super().heartbeat(timeout, pipeline)

    def set_state(self, state: str, pipeline: Any = None) -> None:
        self._state = state  # shown by RQ's dashboards at the next heartbeat only

    def check_for_suspension(self, burst: bool) -> None:
        """Nodes are cordoned, not suspended: a suspended launcher would hold runs."""

    def procline(self, message: str) -> None:
        """Leave the process title alone."""

    def subscribe(self) -> None:
        """No remote commands: nothing but jobs is taken from Redis."""

    def unsubscribe(self) -> None:
        """There is nothing to unsubscribe from."""
