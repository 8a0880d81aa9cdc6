"""Starting one program: its folder, its limits, its descriptors, then exec.

The holder lends the child what posix_spawn cannot set: it enters the run's control
groups and folder and lowers its own limit of open files, spawns, and comes back. That
is race-free (the program is inside from its first instruction) and cheap.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from typing import Any

from agents.executors import given
from agents.executors.jail_init import Refused, explain, find_program
from agents.executors.ready_folders import ReadyFolders

WRITE = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
STREAMS = [
    (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, "../out", WRITE, 0o600),
    (os.POSIX_SPAWN_OPEN, 2, "../err", WRITE, 0o600),
]
DEFAULTS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}


class RanAlready(Exception):
    """Its attempt file exists: this token was used, whatever became of it."""


def make_folder(folder: str, ready: ReadyFolders | None = None) -> bool:
    """The run's folder with work/ in it. Returns whether the folder is new."""
    if ready is not None and ready.take(folder):
        return True
    try:
        os.mkdir(folder, 0o700)
        new = True
    except FileExistsError:
        new = False
    except FileNotFoundError:
        os.makedirs(folder, 0o700, exist_ok=True)
        new = True
    if new:
        os.mkdir(f"{folder}/work", 0o700)
    else:
        os.chmod(folder, 0o700)
        os.makedirs(f"{folder}/work", 0o700, exist_ok=True)
    return new


def highest_attempt(folder: str) -> int:
    """The highest token that has an attempt file; -1 when none has."""
    tokens = [-1]
    for name in os.listdir(folder):
        if name.startswith("attempt-") and name[8:].isdecimal():
            tokens.append(int(name[8:]))
    return max(tokens)


def mark_attempt(folder: str, token: int, *, fence: str, durable: bool) -> None:
    """The fence that outlives us and, when durable, a power loss too.

    A link to one shared empty file where that can be: a name is all that is needed,
    and an inode more for each run is what file systems are slow at.
    """
    name = f"{folder}/attempt-{token}"
    try:
        os.link(fence, name)
    except FileExistsError:
        raise RanAlready from None
    except OSError:  # no fence yet, too many links to it, or another file system
        _make_attempt(name, fence)
    if durable:
        parent = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        os.fsync(parent)
        os.close(parent)


def _make_attempt(name: str, fence: str) -> None:
    """The attempt's own file, and from now on the one that others link to."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        os.close(os.open(name, flags, 0o400))
    except FileExistsError:
        raise RanAlready from None
    with contextlib.suppress(OSError):
        with contextlib.suppress(FileExistsError):  # left by one who died just here
            os.link(name, f"{fence}.new")
        os.rename(f"{fence}.new", fence)


def unmark_attempt(folder: str, token: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{folder}/attempt-{token}")


def left_traces(folder: str, token: int) -> bool:
    """Whether a child got as far as opening its output in this attempt."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return False
    attempts = [name for name in names if name.startswith("attempt-")]
    return attempts == [f"attempt-{token}"] and os.path.exists(f"{folder}/out")


def work_of(spec: dict[str, Any]) -> str:
    """Where it works: in work/ of its own folder, unless it is told another place."""
    return spec.get("work") or f"{spec['folder']}/work"


def streams_of(spec: dict[str, Any]) -> list[Any]:
    """Where its streams go, as seen from where it works."""
    if "work" not in spec:
        return STREAMS
    out, err = (f"{spec['folder']}/{name}" for name in ("out", "err"))
    return [
        STREAMS[0],
        (os.POSIX_SPAWN_OPEN, 1, out, WRITE, 0o600),
        (os.POSIX_SPAWN_OPEN, 2, err, WRITE, 0o600),
    ]


def spawn(spec: dict[str, Any], name: str) -> int:
    """Start the program in its folder and return its pid. Raises Refused."""
    work = work_of(spec)
    env = {**spec["env"], "KOS_RUN": name}
    try:
        if spec.get("given"):
            env.update(spec["given"]["env"])
            if not spec["run_as"]:
                given.put(work, spec["given"], None)
        program = find_program(spec["argv"][0] if spec["argv"] else "", env, work)
        os.chdir(work)
        if spec["run_as"]:
            return _spawn_as(spec["run_as"], program, spec, env)
        return os.posix_spawn(
            program,
            spec["argv"],
            env,
            setsid=True,
            setsigmask=(),
            setsigdef=DEFAULTS,
            file_actions=streams_of(spec),
        )
    except OSError as error:
        raise Refused(explain(error, spec["argv"][0])) from None
    except (ValueError, TypeError) as error:  # a NUL in argv or env, "=" in a name
        raise Refused(f"cannot be passed to a program: {error}") from None
    finally:
        os.chdir("/")


def user_number(user: str) -> int:
    """Raises Refused."""
    import pwd  # seldom needed, and the holder stays small

    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise Refused(f"no such user: {user}") from None


def _spawn_as(
    user: str, program: str, spec: dict[str, Any], env: dict[str, str]
) -> int:
    """The slower way, for another user: fork, change identity, exec."""
    import pwd  # seldom needed, and the holder stays small
    import subprocess

    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise Refused(f"no such user: {user}") from None
    groups = os.getgrouplist(user, entry.pw_gid)
    folder = spec["folder"] if "work" in spec else ".."
    out, err = (os.open(f"{folder}/{name}", WRITE, 0o600) for name in ("out", "err"))
    try:
        for name in (spec["folder"], "."):
            os.chown(name, entry.pw_uid, entry.pw_gid)
        if spec.get("given"):
            given.put(".", spec["given"], (entry.pw_uid, entry.pw_gid))
        child = subprocess.Popen(
            spec["argv"],
            executable=program,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            user=entry.pw_uid,
            group=entry.pw_gid,
            extra_groups=groups,
            start_new_session=True,
        )
    except subprocess.SubprocessError as error:
        raise Refused(f"cannot start {program} as {user}: {error}") from None
    finally:
        os.close(out)
        os.close(err)
    child.returncode = 0  # not its to wait for
    return child.pid


class OpenFiles:
    """The limit of open files: lent to the child by lowering our own for a moment."""

    def __init__(self) -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.ours = (hard, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, self.ours)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def lend(self, count: int) -> None:
        soft = min(max(count, 16), self.ours[1])
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, self.ours[1]))

    def take_back(self) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, self.ours)

    def pin(self, pid: int, count: int) -> None:
        """The child's hard limit too. (Lowering our own could not be undone.)"""
        most = min(max(count, 16), self.ours[1])
        with contextlib.suppress(ProcessLookupError, PermissionError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
