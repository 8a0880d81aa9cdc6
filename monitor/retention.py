"""`log_retention_days`, kept: what runs wrote is removed when they ended that long ago.

The run itself and its events stay; only its folder on this machine goes, once no hook
has anything to do in it any more. Folders are removed a few at a time, since a file
system that just lost thousands is slow for minutes after.
"""

from __future__ import annotations

import logging
import shutil
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef

from agents import live_config
from scheduling import phases
from scheduling.models import Run
from scheduling.run_folders import folder_of
from scheduling.run_state import FINAL

log = logging.getLogger(__name__)
EVERY_S = 600.0
AT_ONCE = 500  # folders one turn removes; the rest in the next


def remove_old_output(now: datetime) -> int:
    """Remove the folders of runs that ended too long ago; how many went."""
    bound = now - timedelta(days=live_config.current().log_retention_days)
    removed = 0
    for prefix in sorted((settings.VAR / "runs").glob("[0-9a-f][0-9a-f]")):
        uids = [folder.name for folder in prefix.iterdir()]
        over = Run.objects.filter(
            ~Exists(phases.unfinished().filter(run=OuterRef("pk"))),
            uid__in=uids,
            state__in=FINAL,
            ended_at__lt=bound,
        ).values_list("uid", flat=True)
        for uid in over[: AT_ONCE - removed]:
            shutil.rmtree(folder_of(uid), ignore_errors=True)
            removed += 1
        if removed >= AT_ONCE:
            break
    if removed:
        log.info("old output removed", extra={"folders": removed})
    return removed
