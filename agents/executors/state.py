"""What the parts of a holder share: the runs it holds and the node's groups."""

from __future__ import annotations

import os

from agents.executors.cgroups import Groups
from agents.executors.held import Run
from agents.executors.holder_log import MOST_OVER
from agents.executors.jails import Jails
from agents.executors.notifying import Voices


class State:
    voices: Voices  # what programs say; set when there is somebody to listen

    def __init__(
        self, folder: str, groups: Groups, runs: dict[str, Run], over: dict[str, int]
    ) -> None:
        self.folder = folder
        self.euid = os.geteuid()
        self.groups = groups
        self.jails = Jails(folder)
        self.runs = runs  # by uid; from the intent to start until nothing is left
        self.by_pid: dict[int, Run] = {}  # children of ours, until reaped
        self.adopted: dict[int, Run] = {}  # children of the guard
        self.strangers: list[Run] = []  # neither, but we have their pidfds
        self.settling: list[Run] = []  # their jails are being made
        self.over = over  # uid -> token of runs that ended, the latest of them

    def forget(self, run: Run) -> None:
        self.runs.pop(run.uid, None)
        self.over[run.uid] = run.token
        if len(self.over) > MOST_OVER:
            del self.over[next(iter(self.over))]
