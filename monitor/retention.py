"""What ended runs left on this node's disk: made small after `logs.compress_after`,
removed after `log_retention_days`.

The run itself and its events stay; only its folder goes, with all in it, once no hook
has anything to do in it any more. The folders on the disk are gone through in a circle,
a short turn at a time: a file system that just lost thousands of files is slow for
minutes after, and the node has other work.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef

from agents import live_config
from monitor import log_archive
from monitor.log_archive import Deadline
from monitor.logs import STREAMS, UID
from scheduling import phases
from scheduling.models import Run
from scheduling.run_folders import folder_of
from scheduling.run_state import FINAL

log = logging.getLogger(__name__)
EVERY_S = 10.0
TURN_S = 0.5  # a twentieth of the time
AT_ONCE = 500  # runs of one query
PREFIXES = 256  # that folders of runs are spread over
A_TURN = 4  # once round in about eleven minutes, if there is little to do


class Keeper:
    """Goes round the folders of one VAR. One thread calls `turn`."""

    def __init__(self, first: int = 0) -> None:
        self.prefix = first

    def turn(
        self, now: datetime, budget_s: float = TURN_S, prefixes: int = A_TURN
    ) -> int:
        """Go on where the last turn stopped; how many runs' output was removed or made
        small."""
        deadline = Deadline(budget_s)
        done = 0
        for _ in range(prefixes):
            done += self.look_into(f"{self.prefix:02x}", now, deadline)
            if deadline.is_over:
                break  # the same one again: what is done in it is quickly passed
            self.prefix = (self.prefix + 1) % PREFIXES
        if done:
            log.info("old output kept small or removed", extra={"count": done})
        return done

    def look_into(self, prefix: str, now: datetime, deadline: Deadline) -> int:
        folder = settings.VAR / "runs" / prefix
        if not folder.is_dir():
            return 0
        uids = [entry.name for entry in folder.iterdir() if UID.fullmatch(entry.name)]
        done = 0
        for at in range(0, len(uids), AT_ONCE):
            done += self.keep(uids[at : at + AT_ONCE], now, deadline)
            if deadline.is_over:
                break
        return done

    def keep(self, uids: list[str], now: datetime, deadline: Deadline) -> int:
        config = live_config.current()
        too_old = now - timedelta(days=config.log_retention_days)
        old = now - timedelta(seconds=config.logs.compress_after_s)
        over = Run.objects.filter(
            ~Exists(phases.unfinished().filter(run=OuterRef("pk"))),
            uid__in=uids,
            state__in=FINAL,
        )
        over = over.filter(ended_at__lt=max(old, too_old))
        done = 0
        for uid, ended_at in over.values_list("uid", "ended_at"):
            if deadline.is_over:
                break
            if (ended_at or now) < too_old:
                done += log_archive.remove(folder_of(uid), deadline)
            else:
                done += make_small(uid, deadline)
        return done


def make_small(uid: str, deadline: Deadline) -> bool:
    """Whether output of this run was made small just now."""
    folder = folder_of(uid)
    large = [s for s in STREAMS if log_archive.is_large(folder, s)]
    try:
        done = [log_archive.compress(folder, stream, deadline) for stream in large]
    except OSError as why:
        log.warning("output cannot be made small", extra={"run": uid, "why": str(why)})
        return False
    return bool(done) and all(done)
