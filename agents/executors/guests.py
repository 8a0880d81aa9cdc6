"""Sockets that the node's holder keeps for the runs of another executor: it listens
while the node's process is down, and says what they say in its own log.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping
from typing import Any

from agents.executors.base import ExecutorError, LaunchSpec, Unavailable
from agents.executors.process import ProcessExecutor

LOG = logging.getLogger(__name__)


class Guests:
    """Of one executor, by its name. Any thread may call any method."""

    def __init__(self, holder: ProcessExecutor, by: str) -> None:
        self.holder = holder
        self.by = by
        self._jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def open(self, spec: LaunchSpec, *, owner: int, by_path: bool) -> Mapping[str, str]:
        """The run's socket, the same one when asked again: {"folder", "path"}.

        Raises Unavailable."""
        answer = self.holder.ask(
            {
                "voice": spec.uid,
                "token": spec.token,
                "owner": owner,
                "watchdog_s": spec.watchdog_s,
                "waits": spec.watchdog_waits,
                "by_path": by_path,
                "by": self.by,
            }
        )
        if "error" in answer:
            raise Unavailable(f"no socket for it: {answer['error']}")
        return answer

    def close(self, uid: str, token: int) -> None:
        """It is over. Returns at once; what is lost on the way, `keep` makes up for."""
        self._later({"silence": uid, "token": token})

    def rest(self, uid: str, *, on: bool) -> None:
        """It is frozen now, or goes on."""
        self._later({"rest": uid, "on": on})

    def keep(self, alive: Mapping[str, int]) -> None:
        """uid -> token of all that are not over. Before the first start: whoever opens
        after it is not among them."""
        self._tell({"voices": self.by, "alive": dict(alive)})

    def _later(self, request: dict[str, Any]) -> None:
        self._jobs.put(request)
        with self._lock:
            if self._thread is None:
                name = f"voices-{self.by}"
                self._thread = threading.Thread(
                    target=self._work, name=name, daemon=True
                )
                self._thread.start()

    def _work(self) -> None:
        while True:
            self._tell(self._jobs.get())

    def _tell(self, request: dict[str, Any]) -> None:
        try:
            self.holder.ask(request)
        except ExecutorError as why:
            LOG.warning("the holder was not told: %s", why)
