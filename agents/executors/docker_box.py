"""What of a run's folder a container sees, and what its init tells there.

- out, err: appended to by the program itself, so that nobody in between loses a byte
- work/: its working folder, read-write
- status-TOKEN: how it stands, by the init (docker_init/init.c)
- control-TOKEN: when it is to be ended and how much output is kept, for the init

- notify/: with the socket on which its program says how it is; kept by the holder

status and control are never replaced: all containers of an attempt share them, so that
only one of their inits runs the program and all heed the same control.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agents.executors import output_cap

INSIDE = "/kos"
WORK = f"{INSIDE}/work"
INIT = f"{INSIDE}/init"
NOTIFY_SOCKET = f"{INSIDE}/notify/socket"
WRITE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
CONTROL_BYTES = 48
LOCK = "hhqqi4x"  # struct flock
NOTHING_FOUND, A_FOLDER = 0, 2  # what the init found in place of a program


@dataclass(frozen=True, slots=True)
class Status:
    """What the init wrote last. `stage`: "" (nothing yet), "running", "failed" (the
    program could not be run), "ended"."""

    stage: str = ""
    errno: int = 0
    what: int = 0
    wait_status: int = 0
    timed_out: bool = False
    ooms: int | None = None
    cpu_s: float | None = None  # of the end; of "running": used before the program
    peak_bytes: int | None = None


def prepare(
    folder: Path, token: int, user: tuple[int, int], most_bytes: int, *, work: Path
) -> None:
    """Make what the container sees, writable for its user and nobody else. What is
    there of this attempt stays as it is."""
    owned = user if os.geteuid() == 0 else None
    for name in ("out", "err"):
        _make(folder / name, os.O_APPEND, owned)
    with contextlib.suppress(FileExistsError):
        _make(status_path(folder, token), os.O_EXCL, owned, b" " * 255 + b"\n")
    if not control_path(folder, token).exists():
        write_control(folder, token, 0, most_bytes)
    place = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchmod(place, 0o700)
        if owned:
            os.fchown(place, *owned)
    finally:
        os.close(place)


def status_path(folder: Path, token: int) -> Path:
    return folder / f"status-{token}"


def control_path(folder: Path, token: int) -> Path:
    return folder / f"control-{token}"


def write_control(folder: Path, token: int, kill_at_ns: int, output_bytes: int) -> None:
    """Tell the init when to end the run (CLOCK_MONOTONIC; 0: never) and its cap.

    In place: the container has this very file. Silent when the folder is gone.
    """
    most_bytes = max(output_bytes, output_cap.LEAST_CAP_BYTES)
    text = f"{kill_at_ns} {most_bytes}".ljust(CONTROL_BYTES - 1) + "\n"
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(control_path(folder, token), WRITE, 0o644)
        try:
            os.fchmod(fd, 0o644)
            os.pwrite(fd, text.encode(), 0)
        finally:
            os.close(fd)


def is_held(folder: Path, token: int) -> bool:
    """Whether an init of this attempt is alive, whatever the engine knows of it."""
    try:
        fd = os.open(status_path(folder, token), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        asked = struct.pack(LOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found = struct.unpack(LOCK, fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    finally:
        os.close(fd)
    return bool(found[0] != fcntl.F_UNLCK)


def read_status(folder: Path, token: int) -> Status:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(status_path(folder, token), flags)
    except OSError:
        return Status()
    try:
        words = os.pread(fd, 256, 0).decode(errors="replace").split()
    finally:
        os.close(fd)
    try:
        return _understood(words)
    except (ValueError, IndexError):
        return Status()  # the agent may write here too: at worst it hides its end


def _understood(words: list[str]) -> Status:
    if not words:
        return Status()
    stage, numbers = words[0], [int(word) for word in words[1:]]
    if stage == "running":
        return Status("running", cpu_s=_known(numbers[0], 1e9))
    if stage == "failed":
        return Status("failed", errno=numbers[0], what=numbers[1])
    if stage == "ended" and 0 <= numbers[0] <= 0xFFFF:
        status, timed_out, ooms, cpu_ns, peak = numbers
        return Status(
            "ended",
            wait_status=status,
            timed_out=bool(timed_out),
            ooms=ooms if ooms >= 0 else None,
            cpu_s=_known(cpu_ns, 1e9),
            peak_bytes=peak if peak >= 0 else None,
        )
    return Status()


def _known(number: int, unit: float) -> float | None:
    return number / unit if number >= 0 else None


def environment(env: Mapping[str, str], work: Path, name: str) -> dict[str, str]:
    """The run's environment with its work folder where the container has it."""
    inside = {key: _moved(value, str(work)) for key, value in env.items()}
    inside.setdefault("HOME", WORK)
    return {**inside, "KOS_RUN": name}


def _moved(value: str, work: str) -> str:
    if value == work or value.startswith(work + "/"):
        return WORK + value[len(work) :]
    return value


def _make(
    path: Path, how: int, owned: tuple[int, int] | None, content: bytes = b""
) -> None:
    fd = os.open(path, WRITE | how, 0o600)
    try:
        os.fchmod(fd, 0o600)
        if owned:
            os.fchown(fd, *owned)
        if content:
            os.pwrite(fd, content, 0)
    finally:
        os.close(fd)
