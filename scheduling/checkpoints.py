"""The folder in which a program saves its work, so that the next attempt goes on there.

It is in the run's work folder, where every environment shows it. The next attempt's
start takes it over from the attempt before, whole; so it is always the newest one's.
The program owns it: what is in it is moved, never opened.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from agents import agent_lifecycle_hooks as hooks
from agents.executors.base import LaunchSpec
from scheduling.models import Run
from scheduling.run_folders import work_name

FOLDER = "checkpoint"
DONE = "done"  # the program makes it when what a signal asked for is saved


def prepare(spec: LaunchSpec, run_id: int, attempt: int) -> dict[str, str]:
    """Make the folder; its variables. Raises OSError, HookFailed."""
    hooks.make_folders(spec)
    own = spec.work_folder / FOLDER
    if attempt > 1 and not _is_folder(own):
        _take_over(run_id, own)
    if not _is_folder(own):
        own.mkdir(mode=0o700)
        owner = hooks.owner_of(spec)
        if owner is not None:
            os.chown(own, *owner, follow_symlinks=False)
    env = {"KOS_CHECKPOINT": f"{work_name(spec.uid)}/{FOLDER}"}
    if attempt > 1 and any(name != DONE for name in os.listdir(own)):
        env["KOS_RESUME"] = "1"
    return env


def _take_over(run_id: int, own: Path) -> None:
    mine = Run.objects.filter(pk=run_id).values_list("retry_of__uid", flat=True)
    before = mine.first()
    if before:
        theirs = Path(work_name(before)) / FOLDER
        if _is_folder(theirs):
            theirs.rename(own)
            _forget_done(own)


def _is_folder(path: Path) -> bool:
    """A folder itself: a link of the program's making leads nowhere."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def is_done(spec: LaunchSpec) -> bool:
    return os.path.lexists(spec.work_folder / FOLDER / DONE)


def forget_done(spec: LaunchSpec) -> None:
    _forget_done(spec.work_folder / FOLDER)


def _forget_done(folder: Path) -> None:
    with suppress(OSError):
        if _is_folder(folder):
            os.unlink(folder / DONE)
