"""The seed's life-cycle hooks: what is done before an agent starts, once it runs, and
after it has ended, in order, each step with its time limit and its rule for failure.

A command is run by the agent's own executor, as a helper beside the run: in the same
environment, with the same limits and user, in the same work folder. The other steps
are our own code and work in a thread of the node; `register` adds a kind.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agents import names
from agents.config_keys import SchedulerConfig
from agents.executors.base import LaunchSpec, Mount
from agents.hooks.beneath import Owner
from agents.hooks.budget import Budget, HookFailed, HookStopped
from agents.hooks.cache import Cache

__all__ = ["Budget", "HookFailed", "HookStopped", "Place", "Step", "register"]

PRE, POST, END = "pre_start", "post_start", "on_shutdown"
CHECKPOINT = "checkpoint"  # before it is ended to make room
SHORT = {PRE: "pre", POST: "post", CHECKPOINT: "save", END: "end"}
RULE = {
    PRE: "fail",
    POST: "warn",
    CHECKPOINT: "warn",
    END: "warn",
}  # where a spec of before says none
HELPER = re.compile(
    r"(?P<run>[0-9a-f]+)-(?P<when>pre|post|save|end)(?P<number>\d+)(\.\w+)?"
)
NOBODY = 65534
GRACE_S = 5.0
NOT_FOR_HELPERS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
LONGEST_NAME = 80
SAID_MOST_CHARS = 160
SAID_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Step:
    """One hook. `does` is its kind, `options` what the definition says of it."""

    when: str
    number: int  # from 1, in its phase
    does: str
    options: Any
    time_limit_s: float
    on_failure: str  # fail, warn or ignore

    @property
    def name(self) -> str:
        """As people read it: "preload", "warm-up", "archive", a command."""
        if self.does == "run":
            return " ".join(self.options)[:LONGEST_NAME]
        if self.does == "signal":
            return str(self.options)
        return self.does.replace("_", "-")

    @property
    def command(self) -> tuple[str, ...]:
        """What a helper runs; () where this is our own code."""
        if self.does == "run":
            return tuple(self.options)
        if self.does == "warm_up" and self.options["command"]:
            return tuple(self.options["command"])
        return ()

    def outcome(self, *, failed: bool) -> str:
        rules = {"fail": "failed", "warn": "warned", "ignore": "ignored"}
        return rules[self.on_failure] if failed else "done"


@dataclass(frozen=True, slots=True)
class Place:
    """The run a step works for, and what it may use."""

    uid: str
    agent_id: str
    folder: Path  # the run's own
    owner: Owner  # of what is put into its work folder
    config: SchedulerConfig
    cache: Cache

    @property
    def work(self) -> Path:
        return self.folder / "work"


Work = Callable[[Step, Place, Budget], str]  # what is told of it; raises HookFailed


def steps_of(hooks: Mapping[str, Any], when: str) -> tuple[Step, ...]:
    """The steps of a phase, of a spec's "hooks"."""
    return tuple(
        _step(when, number, said) for number, said in enumerate(hooks.get(when, ()), 1)
    )


def _step(when: str, number: int, said: Mapping[str, Any]) -> Step:
    does = next(key for key in said if key not in ("timeout_s", "on_failure"))
    rule = said.get("on_failure", RULE[when])
    return Step(when, number, does, said[does], said["timeout_s"], rule)


# -- commands -------------------------------------------------------------------------


def helper_uid(uid: str, step: Step, attempt: str = "") -> str:
    """The uid of the program that does a step of the run; no run's has a dash."""
    own = f"{uid}-{SHORT[step.when]}{step.number}"
    return f"{own}.{attempt}" if attempt else own


def is_helper(uid: str) -> bool:
    return "-" in uid


def step_of(uid: str) -> tuple[str, str, int] | None:
    """(run, phase, number) of the helper that is a step's only one, else None."""
    found = HELPER.fullmatch(uid)
    if found is None or found[4]:
        return None
    when = next(long for long, short in SHORT.items() if short == found["when"])
    return found["run"], when, int(found["number"])


def helper_folder(folder: Path, step: Step, attempt: str = "") -> Path:
    own = f"{step.when.replace('_', '-')}-{step.number}"
    return folder / "hooks" / (f"{own}.{attempt}" if attempt else own)


def helper(
    spec: LaunchSpec, step: Step, *, time_limit_s: float, attempt: str = "", **env: str
) -> LaunchSpec:
    """The launch of a step's command beside, before or after the run's own."""
    command, mounts = step.command, spec.mounts
    if spec.environment == "sandbox" and names.is_elsewhere(command[0]):
        program = Mount(os.path.realpath(command[0]), command[0])
        mounts = (*mounts, program) if program not in mounts else mounts
    kept = {k: v for k, v in spec.env.items() if k not in NOT_FOR_HELPERS}
    phase = step.when.replace("_", "-")
    return replace(
        spec,
        uid=helper_uid(spec.uid, step, attempt),
        argv=command,
        folder=helper_folder(spec.folder, step, attempt),
        work=spec.work_folder,
        env={**kept, "KOS_HOOK": f"{phase}/{step.number}", **env},
        time_limit_s=time_limit_s,
        grace_s=min(spec.grace_s, GRACE_S),
        container=spec.container and replace(spec.container, ports={}),
        given=None,
        mounts=mounts,
        gpus=() if step.when == END else spec.gpus,
    )


def make_folders(spec: LaunchSpec) -> None:
    """The run's folder, for steps that come before its program."""
    spec.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    spec.work_folder.mkdir(mode=0o700, exist_ok=True)
    (spec.folder / "hooks").mkdir(mode=0o700, exist_ok=True)
    owner = owner_of(spec)
    if spec.run_as and owner is not None:  # who else could not enter it
        for folder in (spec.folder, spec.work_folder):
            os.chown(folder, *owner, follow_symlinks=False)


def owner_of(spec: LaunchSpec) -> Owner:
    """Whose the files of the work folder are; None: the node's own user's."""
    if os.geteuid() != 0:
        return None
    if spec.run_as:
        try:
            entry = pwd.getpwnam(spec.run_as)
        except KeyError:
            raise HookFailed(f"no such user: {spec.run_as}") from None
        return entry.pw_uid, entry.pw_gid
    if spec.environment == "sandbox":
        return NOBODY, NOBODY
    if spec.container is not None:
        uid, _, gid = (spec.container.user or str(NOBODY)).partition(":")
        if uid.isdecimal() and (gid or uid).isdecimal():
            return int(uid), int(gid or uid)
    return None


def last_words(folder: Path) -> str:
    """What a helper said last on its stderr."""
    try:
        with (folder / "err").open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - SAID_MOST_BYTES))
            said = file.read().decode(errors="replace").strip()
    except OSError:
        return ""
    return "".join(c if c.isprintable() else " " for c in said)[-SAID_MOST_CHARS:]


# -- our own code ---------------------------------------------------------------------

_works: dict[str, Work] = {}


def register(name: str, work: Work) -> None:
    """Let steps of this kind be done by `work`, in a thread of the node."""
    _works[name] = work


def perform(step: Step, place: Place, budget: Budget) -> str:
    """Do a step that is our own code. Raises HookFailed and HookStopped."""
    return (_works.get(step.does) or _OURS[step.does])(step, place, budget)


def _preload(step: Step, place: Place, budget: Budget) -> str:
    from agents.hooks import preload  # httpx: only where something is fetched

    staging = place.folder / "hooks" / f"preload-{step.number}"
    return preload.preload(
        preload.Job(
            options=step.options,
            work=place.work,
            staging=staging,
            owner=place.owner,
            config=place.config,
            cache=place.cache,
        ),
        budget,
    )


def _warm_up(step: Step, place: Place, budget: Budget) -> str:
    from agents.hooks import warm_up

    return warm_up.warm_up(step.options, budget)


def _archive(step: Step, place: Place, budget: Budget) -> str:
    from agents.hooks import archive

    name = f"{place.agent_id}-{place.uid}.tar.gz"
    job = archive.Job(step.options, place.folder, name, place.uid, place.config)
    return archive.archive(job, budget)


_OURS: dict[str, Work] = {
    "preload": _preload,
    "warm_up": _warm_up,
    "archive": _archive,
}
