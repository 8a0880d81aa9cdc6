"""Exits that the guard saw, for the holder to read: one line each in `strays`.

They are of programs whose holder died; the guard writes the line before it reaps.
"""

from __future__ import annotations

import os

from agents.executors import children

MOST_BYTES = 1 << 20  # then the older half goes, while no holder is reading


class Stray:
    __slots__ = ("begun", "exit", "session", "slot")

    def __init__(self, line: bytes) -> None:
        pid, status, begun, cpu_s, peak, session, slot = line.split()
        self.exit = children.Exit(int(pid), int(status), float(cpu_s), int(peak))
        self.begun = int(begun)
        self.session = int(session)
        self.slot = "" if slot == b"-" else slot.decode()


def path(folder: str) -> str:
    return f"{folder}/strays"


def read(name: str, start: int) -> tuple[list[Stray], int]:
    """The lines from `start` on, and where they end."""
    try:
        with open(name, "rb") as lines:
            lines.seek(start)
            data = lines.read()
    except FileNotFoundError:
        return [], start
    end = data.rfind(b"\n") + 1
    return [Stray(line) for line in data[:end].splitlines()], start + end


def open_to_write(name: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    return os.open(name, flags, 0o600)


def write(fd: int, seen: children.Exit) -> None:
    stat = children.stat(seen.pid)
    begun, session = (stat.begun, stat.session) if stat else (0, 0)
    line = (
        f"{seen.pid} {seen.status} {begun} {seen.cpu_s:.6f} {seen.peak_bytes} "
        f"{session} {slot_of(seen.pid) or '-'}\n"
    )
    os.write(fd, line.encode())


def slot_of(pid: int) -> str:
    """The name of the run group it is in; a zombie still shows it."""
    for line in children.read_small(f"/proc/{pid}/cgroup").decode().splitlines():
        parent, _, name = line.removesuffix(" (deleted)").rpartition("/")
        if "/kos-" in parent and name[:1] == "r" and name[1:].isdecimal():
            return name
    return ""


def trim(name: str) -> None:
    """Drop the older half of a file grown too long."""
    try:
        if os.path.getsize(name) <= MOST_BYTES:
            return
    except FileNotFoundError:
        return
    kept, _ = read(name, 0)
    with open(name, "rb") as lines:
        data = lines.readlines()[len(kept) // 2 :]
    with open(f"{name}.new", "wb") as fresh:
        fresh.writelines(data)
    os.rename(f"{name}.new", name)
