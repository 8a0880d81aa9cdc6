"""What must be true before anything starts; each is told in one line when it is not."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
from pathlib import Path

OLDEST_PYTHON = (3, 11)
LONGEST_SOCKET_PATH_BYTES = 107  # what Linux has room for in an address
SOCKET_NAME = "valkey.sock"


class UpError(Exception):
    """We cannot start; the message is one line and says what to do."""


def check_machine() -> None:
    if sys.version_info < OLDEST_PYTHON:
        have = ".".join(map(str, sys.version_info[:2]))
        raise UpError(f"Python 3.11 or newer is needed, this one is {have}.")
    if sys.platform != "linux":
        raise UpError(f"Linux is needed (processes, cgroups), this is {sys.platform}.")


def open_var(var: Path) -> None:
    """Afterwards the folder is there, ours to write, and private when we made it."""
    socket_path = os.fsencode(var / SOCKET_NAME)
    if len(socket_path) > LONGEST_SOCKET_PATH_BYTES:
        raise UpError(
            f"The path of VAR is too long for a socket in it: {var}. "
            "Choose a shorter one with VAR=FOLDER."
        )
    try:
        var.mkdir(mode=0o700, parents=True, exist_ok=True)
        (var / "logs").mkdir(mode=0o700, exist_ok=True)
        (var / "up").mkdir(mode=0o700, exist_ok=True)
    except OSError as failed:
        raise UpError(unwritable(var, failed)) from None
    if not os.access(var, os.W_OK | os.X_OK):
        raise UpError(unwritable(var, PermissionError(errno.EACCES, "not ours")))


def unwritable(var: Path, failed: OSError) -> str:
    return (
        f"Cannot write in VAR {var} ({failed.strerror}). "
        "Choose another folder with VAR=FOLDER, or give this one to your user."
    )


def lock_var(var: Path) -> int:
    """The descriptor that holds VAR for us, until we end however we end."""
    try:
        lock = os.open(var / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as failed:
        raise UpError(unwritable(var, failed)) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(lock, 20).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise UpError(
            f"VAR {var} is in use: kOS already runs there (process {owner}). "
            "Stop it first, or choose another folder with VAR=FOLDER."
        ) from None
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def listen(host: str, port: int) -> socket.socket:
    """The web server's socket. We keep it open while that server restarts, so a
    client waits a moment instead of being refused."""
    if not 0 <= port <= 65535:
        raise UpError(f"There is no port {port}; choose one up to 65535.")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=512)
    except OSError as failed:
        if failed.errno == errno.EADDRINUSE:
            raise UpError(
                f"Port {port} is taken by another program. "
                f"Choose another, for example PORT={port % 65535 + 1}."
            ) from None
        if failed.errno == errno.EACCES:
            raise UpError(
                f"Port {port} is not for your user. "
                "Choose one above 1023, for example PORT=8000."
            ) from None
        raise UpError(
            f"Cannot listen on {host}, port {port}: {failed.strerror}."
        ) from None
