"""What people may see of a run's output: all but the values of its secrets.

The values are those its definition names, as they are and as they were; what a run
without secrets printed passes untouched, for the price of one look-up every few
seconds.
"""

from __future__ import annotations

import time
from threading import Lock

from agents import secret_store
from agents.secret_uses import named_in
from monitor import logs
from monitor.redact import Redactor
from scheduling.models import Run

KEPT_S = 5.0  # a secret changed meanwhile is hidden from then on
MOST_KEPT = 500


class SecretsOfRuns:
    """As monitor.logs wants it; any thread may ask."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[float, Redactor]] = {}
        self._lock = Lock()

    def margin_bytes(self, uid: str) -> int:
        return self._redactor(uid).reach

    def hide(self, uid: str, data: bytes) -> bytes:
        return self._redactor(uid).blotted(data)

    def begun(self, uid: str, data: bytes) -> int:
        return self._redactor(uid).begun(data)

    def forget(self) -> None:
        """Look again on the next call."""
        with self._lock:
            self._kept.clear()

    def _redactor(self, uid: str) -> Redactor:
        """Of the run's secrets; it has no needles where there are none."""
        now_s = time.monotonic()
        with self._lock:
            until_s, kept = self._kept.get(uid, (0.0, None))
        if kept is not None and now_s < until_s:
            return kept
        specs = Run.objects.filter(uid=uid).values_list("version__spec", flat=True)
        spec = specs.first()
        wanted = named_in(spec) if spec else set()
        found = Redactor(secret_store.ever_held(wanted) if wanted else ())
        with self._lock:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[uid] = (now_s + KEPT_S, found)
        return found


secrets_of_runs = SecretsOfRuns()


def install() -> None:
    """From now on no output leaves this process with a secret in it."""
    logs.redaction = secrets_of_runs
