"""What a new holder makes of the log its forerunner left.

A run that was started is a child of the guard by now: its exit comes from there. One
that was about to start is looked for. One whose exit nobody could see is lost, and what
lives of it is ended.
"""

from __future__ import annotations

import os
import time

from agents.executors import (
    cgroup_trees,
    cgroups,
    children,
    jails,
    spawn,
    strangers,
    strays,
)
from agents.executors.held import Run
from agents.executors.holder_folder import node_name
from agents.executors.holder_log import Log, boot_id, load
from agents.executors.state import State

SETTLE_WITHIN_S = 1.0  # for a child between vfork and exec, or a zombie of the guard's
MARKER = b"\0KOS_HOLDER="  # in the environment of guard and holder, never of a run


def recover(folder: str, lock_fd: int, log: Log, guard: int) -> State:
    """The state to go on with; what had to be found out is in the log by then."""
    known = load(folder)
    only = os.environ.get("KOS_CGROUPS", "")
    trees = cgroup_trees.settle_in(node_name(folder, lock_fd), only)
    groups = cgroups.Groups(trees)
    same_boot = known.boot == boot_id()
    for run in known.runs.values() if same_boot else ():
        run.group = groups.adopt(run.slot, run.slot_cpu_s, run.slot_ooms)
    groups.tidy()
    state = State(folder, groups, known.runs, known.over)
    log.begin(list(known.runs.values()))
    pidfds = strangers.handed_on()
    for run in list(known.runs.values()):
        if not same_boot:
            log.note(f"E {run.uid} {run.token} {time.time_ns()} - l - -")
            state.forget(run)
        elif run.pid or settle_intent(run, log, state, guard):
            place(run, state, guard, pidfds)
            if run.jailed and not run.up:
                run.jail_until = time.monotonic() + jails.UP_WITHIN_S
                state.settling.append(run)
    return state


def place(run: Run, state: State, guard: int, pidfds: dict[str, int]) -> None:
    """Decide who sees the end of a run that was started."""
    if run.status is not None:
        return  # its end is being made
    seen = children.stat(run.pid)
    is_it = seen is not None and seen.begun == run.begun
    if is_it and seen is not None and seen.parent == os.getpid():
        state.by_pid[run.pid] = run
    elif is_it and seen is not None and seen.parent == guard:
        run.adopted = True
        run.pidfd = strangers.open_pidfd(run)
        state.adopted[run.pid] = run
    elif run.uid in pidfds:
        run.adopted = True
        run.pidfd = pidfds[run.uid]
        state.strangers.append(run)
    else:
        # gone: the guard wrote its exit before it reaped, so it is there or nobody saw
        exits = strays.read(strays.path(state.folder), 0)[0]
        ended = [s for s in exits if (s.exit.pid, s.begun) == (run.pid, run.begun)]
        if ended:
            take_exit(run, ended[-1].exit)
        else:
            run.lost = run.adopted = True


def take_exit(run: Run, seen: children.Exit) -> None:
    run.status, run.cpu_s, run.peak_bytes = seen.status, seen.cpu_s, seen.peak_bytes


def settle_intent(run: Run, log: Log, state: State, guard: int) -> bool:
    """The holder died between "about to start" and "started". Which was it?"""
    until = time.monotonic() + SETTLE_WITHIN_S
    pid = 0
    while not pid:
        pids = [p for p in children.below(guard) if p != os.getpid()]
        ours = [p for p in pids if children.run_of(p) == run.name]
        pid = min(ours, key=_begun, default=0)
        if pid or time.monotonic() > until or not any(map(_is_unclear, pids)):
            break
        time.sleep(0.001)
    if pid:
        run.begun = _begun(pid)
    else:
        pid = _ended_unseen(run, state)
    ran = not run.jailed or jails.read(run).started_ns is not None
    if not pid and ran and spawn.left_traces(run.folder, run.token):
        run.lost = run.adopted = True  # it ran, and how it ended nobody saw
        return False
    if not pid:
        log.note(f"N {run.uid} {run.token}")
        spawn.unmark_attempt(run.folder, run.token)
        del state.runs[run.uid]
        if run.group is not None:
            state.groups.end_all(run.group)
            state.groups.give_back(run.group)
        return False
    run.pid = pid
    if run.jailed:
        log.note(f"J {run.uid} {run.token} {pid} {run.begun}")
        return True
    mono = time.monotonic()
    run.up = True
    if run.time_limit_s is not None:
        run.limit_at = mono + run.time_limit_s
    log.note(
        f"S {run.uid} {run.token} {time.time_ns()} {pid} {run.begun} {mono:.3f} "
        f"{run.slot or '-'}"
    )
    return True


def _begun(pid: int) -> int:
    seen = children.stat(pid)
    return seen.begun if seen else 0


def _is_unclear(pid: int) -> bool:
    """Between vfork and exec it still shows our environment; a zombie is the guard's
    to report in a moment."""
    seen = children.stat(pid)
    if seen is None:
        return False
    return seen.state == "Z" or MARKER in children.environ(pid)


def _ended_unseen(run: Run, state: State) -> int:
    """The pid of a program that ended before anybody wrote that it had started."""
    others = {(r.pid, r.begun) for r in state.runs.values()}
    for stray in strays.read(strays.path(state.folder), 0)[0]:
        began_s = (stray.begun + 1) / children.TICKS
        if (
            stray.session == stray.exit.pid
            and stray.slot in ("", run.slot)  # v1 forgets the group of a zombie
            and began_s >= run.intent_at
            and (stray.exit.pid, stray.begun) not in others
        ):
            run.begun = stray.begun
            take_exit(run, stray.exit)
            return stray.exit.pid
    return 0
