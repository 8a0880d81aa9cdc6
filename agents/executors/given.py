"""What a run is given in its work folder before it starts: a folder for what it wants
to leave, and secrets as files of its own user.

Standard library only: the holder uses it too. Everything goes by descriptor, since the
work folder may have been another attempt's; what is confidential is taken away again by
`take_back`, which follows no link either.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from typing import Any

ARTEFACTS = "artefacts"
SECRETS = ".secrets"
VARIABLES = ".secret-env"  # for systemd, which would show them to everybody
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
Owner = tuple[int, int] | None  # user and group numbers; None: ours


def put(work: str, given: Mapping[str, Any], owner: Owner) -> None:
    """Make the folders and files. `given` is as `wire` says it."""
    work_fd = os.open(work, FOLDER)
    try:
        if given["artefacts"]:
            os.close(_folder(work_fd, ARTEFACTS, owner))
        if given["files"]:
            _forget(work_fd, SECRETS)
            place = _folder(work_fd, SECRETS, owner)
            try:
                for name, value in given["files"].items():
                    _file(place, name, value, owner)
            finally:
                os.close(place)
    finally:
        os.close(work_fd)


def put_variables(work: str, env: Mapping[str, str]) -> str:
    """The variables as a file that systemd reads; its path."""
    work_fd = os.open(work, FOLDER)
    try:
        _forget(work_fd, VARIABLES)
        lines = [f'{name}="{_quoted(value)}"\n' for name, value in env.items()]
        _file(work_fd, VARIABLES, "".join(lines), None)
    finally:
        os.close(work_fd)
    return f"{work}/{VARIABLES}"


def take_back(folder: str) -> None:
    """Remove every secret from the folder of a run that is over. Idempotent."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        folder_fd = os.open(folder, FOLDER)
        try:
            work_fd = os.open("work", FOLDER, dir_fd=folder_fd)
            try:
                _forget(work_fd, SECRETS)
                _forget(work_fd, VARIABLES)
            finally:
                os.close(work_fd)
        finally:
            os.close(folder_fd)


def _folder(work_fd: int, name: str, owner: Owner) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=work_fd)
    place = os.open(name, FOLDER, dir_fd=work_fd)
    if owner is not None:
        os.fchown(place, *owner)
    return place


def _file(place: int, name: str, value: str, owner: Owner) -> None:
    fd = os.open(name, FRESH, 0o400, dir_fd=place)
    with os.fdopen(fd, "wb") as file:
        if owner is not None:
            os.fchown(fd, *owner)
        file.write(value.encode())


def _forget(work_fd: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        try:
            os.unlink(name, dir_fd=work_fd)
        except (IsADirectoryError, PermissionError):
            shutil.rmtree(name, dir_fd=work_fd)


def _quoted(value: str) -> str:
    """As systemd reads a value in double quotes."""
    for special in '\\"`$':
        value = value.replace(special, f"\\{special}")
    return value
