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
from monitor.logs import Chunk, Stream
from monitor.redact import Redactor
from scheduling.models import Run

KEPT_S = 5.0  # a secret changed meanwhile is hidden from then on
MOST_KEPT = 500

_kept: dict[str, tuple[float, Redactor]] = {}
_lock = Lock()


def redactor_of(uid: str) -> Redactor:
    """Of the run's secrets; it has no needles where there are none."""
    now_s = time.monotonic()
    with _lock:
        until_s, kept = _kept.get(uid, (0.0, None))
    if kept is not None and now_s < until_s:
        return kept
    spec = Run.objects.filter(uid=uid).values_list("version__spec", flat=True).first()
    wanted = named_in(spec) if spec else set()
    found = Redactor(secret_store.ever_held(wanted) if wanted else ())
    with _lock:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[uid] = (now_s + KEPT_S, found)
    return found


def forget() -> None:
    """Look again on the next call."""
    with _lock:
        _kept.clear()


def hide(
    uid: str, stream: Stream, chunk: Chunk, text: str, used: int, *, growing: bool
) -> tuple[str, int]:
    """`text`, which is the first `used` bytes of the chunk, without secrets, and how
    many bytes were taken: fewer where the end may be the first part of one."""
    redactor = redactor_of(uid)
    if not redactor or not used:
        return text, used
    reach = redactor.reach
    left = logs.read(uid, stream, max(0, chunk.start - reach - 1), reach + 1).data
    left = left[: min(chunk.start, reach + 1)]
    right = logs.read(uid, stream, chunk.end, reach).data
    window = left + chunk.data + right
    if growing and len(right) < reach:  # the end of the file is within reach
        used = min(used, max(0, redactor.settled(window) - len(left)))
    shown = redactor.shown(window, len(left), len(left) + used)
    return shown.decode("utf-8", errors="replace"), used


class Blanks:
    """The same for readers of bytes at any place: no length changes. What the log's
    door asks, where it has one for this (`margin_bytes`, `hide`)."""

    def margin_bytes(self, uid: str) -> int:
        return redactor_of(uid).reach

    def hide(self, uid: str, data: bytes) -> bytes:
        return redactor_of(uid).blanked(data)
