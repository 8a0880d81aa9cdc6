"""From a spec to what systemd is asked for: folder, program, user; and why a start that
systemd tried came to nothing."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from agents.executors import given
from agents.executors.base import BadSpec, LaunchSpec
from agents.executors.jail_init import Refused, find_program
from agents.executors.process import UID
from agents.executors.spawn import WRITE
from agents.executors.systemd_end import NO_START

MOST_ARGUMENT_BYTES = 128 << 10  # the kernel's own bound for one string
MOST_BYTES = 1 << 20  # systemd keeps each list as one line of a file, of at most 1 MiB
EXEC_FAILED, CHDIR_FAILED = 203, 200  # exit codes of systemd's child before the program


def check(spec: LaunchSpec) -> None:
    """Raises BadSpec for what is no spec at all."""
    if not UID.fullmatch(spec.uid):
        raise BadSpec(f"not a uid: {spec.uid!r}")
    if not spec.folder.is_absolute():
        raise BadSpec(f"not an absolute folder: {spec.folder}")


def program_of(spec: LaunchSpec) -> str:
    """The program's absolute path. Raises Refused where it cannot be started."""
    work = str(spec.work_folder)
    name = spec.argv[0] if spec.argv else ""
    found = os.path.join(work, find_program(name, dict(spec.env), work))
    _check_strings(spec.argv, "argument")
    env = {**spec.env, **(spec.given.env if spec.given else {})}
    _check_strings((f"{key}={value}" for key, value in env.items()), "variable")
    if wrong := [key for key in env if not _is_name(key)]:
        raise Refused(
            f"cannot be passed to a program by systemd: a variable named {wrong[0]!r}"
        )
    return os.path.normpath(found)


def _is_name(key: str) -> bool:
    return key.isascii() and key.isidentifier()


def _check_strings(strings: Iterable[str], what: str) -> None:
    total = 0
    for at, text in enumerate(strings):
        if "\0" in text:
            raise Refused(f"cannot be passed to a program: a NUL in {what} {at}")
        try:
            size = len(text.encode()) + 1
        except UnicodeEncodeError:
            raise Refused(
                f"cannot be passed to a program by systemd: {what} {at} is no UTF-8"
            ) from None
        total += size + text.count("\\") + text.count('"') + text.count("\n")
        if size > MOST_ARGUMENT_BYTES:
            raise Refused(f"cannot start it: {what} {at} is too long")
    if total > MOST_BYTES:
        raise Refused(f"cannot start it: {what}s are too long for systemd")


def hand_over(spec: LaunchSpec, user: str | None) -> None:
    """Make the run's output files, and its folder the user's own. Raises Refused."""
    for stream in ("out", "err"):
        os.close(os.open(f"{spec.folder}/{stream}", WRITE | os.O_CLOEXEC, 0o600))
    owner = None if user is None else _numbers(user)
    if owner is not None:
        for name in (spec.folder, spec.work_folder):
            os.chown(name, *owner)
    if spec.given is not None:
        given.put(str(spec.work_folder), asdict(spec.given), owner)
        if spec.given.env:
            given.put_variables(str(spec.work_folder), spec.given.env)


def _numbers(user: str) -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise Refused(f"no such user: {user}") from None
    return entry.pw_uid, entry.pw_gid


def why_no_start(code: int, facts: Mapping[str, str | None]) -> str | None:
    """Why systemd's child ended with this code; None: the program itself did.

    A program may well end with such a code on its own, and then nothing is wrong.
    """
    program, user = facts.get("program") or "", facts.get("user")
    if code not in NO_START:
        return None
    if code == EXEC_FAILED:
        return _why_no_exec(program, user)
    if code == CHDIR_FAILED and user is not None:
        work = f"{facts.get('folder')}/work"
        closed = _closed_to(user, Path(work))
        return closed and f"cannot start {program} as {user}: {closed} is closed to it"
    return None


def _why_no_exec(program: str, user: str | None) -> str | None:
    try:
        with open(program, "rb") as file:
            head = file.read(256)
    except OSError as error:
        return f"cannot start {program}: {error.strerror}"
    if head.startswith(b"#!"):
        words = head[2:].partition(b"\n")[0].split()
        if not words or not os.access(words[0], os.X_OK):
            return f"cannot start {program}: it or its interpreter does not exist"
    elif not head.startswith(b"\x7fELF"):
        return f"cannot start {program}: not a program (a script needs its #! line)"
    closed = _closed_to(user, Path(program)) if user is not None else None
    return closed and f"cannot start {program} as {user}: {closed} is closed to it"


def _closed_to(user: str, path: Path) -> str | None:
    """The first of the path's parts that this user may not enter or run."""
    entry = pwd.getpwnam(user)
    groups = os.getgrouplist(user, entry.pw_gid)
    for part in (*reversed(path.parents), path):
        try:
            seen = part.stat()
        except OSError:
            return str(part)
        if seen.st_uid == entry.pw_uid:
            allowed = seen.st_mode & 0o100
        elif seen.st_gid in groups:
            allowed = seen.st_mode & 0o010
        else:
            allowed = seen.st_mode & 0o001
        if not allowed and entry.pw_uid != 0:
            return str(part)
    return None
