"""Files below a folder, reached name by name, so that no symbolic link leads out.

The program of a run may have written to the folder: what lies there is not trusted.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MOST_PARTS = 64
NAME_MAX = 255
Owner = tuple[int, int] | None  # None: whoever we are


class Unsafe(ValueError):
    """A name that leads, or could lead, somewhere else."""


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a relative name that only goes down; () for the folder itself.

    Raises Unsafe for an absolute one, for "..", and for what no file can be called.
    """
    if name.startswith("/"):
        raise Unsafe("is absolute")
    if "\0" in name or "\\" in name:
        raise Unsafe("holds a character that no plain name has")
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise Unsafe('goes up with ".."')
    if len(parts) > MOST_PARTS:
        raise Unsafe(f"has more than {MOST_PARTS} parts")
    if any(len(os.fsencode(part)) > NAME_MAX for part in parts):
        raise Unsafe(f"has a part of more than {NAME_MAX} bytes")
    return parts


def stays_inside(link: Sequence[str], target: str) -> bool:
    """Whether a symbolic link at `link` (its parts) to `target` leads to a place below
    the root: up no further than it lies deep, and then only down."""
    if target.startswith("/") or "\0" in target or not target:
        return False
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    return ups < len(link) and ".." not in parts[ups:]


@contextlib.contextmanager
def folder(at: int | Path) -> Iterator[int]:
    """A descriptor of the folder that everything is below of."""
    if isinstance(at, int):
        yield at
        return
    fd = os.open(at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def inside(
    root: int, parts: Sequence[str], *, make: bool = False, owner: Owner = None
) -> Iterator[int]:
    """A descriptor of the folder that `parts` name below `root`, made where it is
    missing. Raises OSError where a link or a file is in the way."""
    here = os.dup(root)
    try:
        for part in parts:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o755, dir_fd=here)
                    own(here, part, owner)
            there = os.open(part, FOLDER, dir_fd=here)
            os.close(here)
            here = there
        yield here
    finally:
        os.close(here)


def own(at: int, name: str, owner: Owner) -> None:
    if owner is not None:
        os.chown(name, *owner, dir_fd=at, follow_symlinks=False)


def open_file(root: int, parts: Sequence[str]) -> int:
    """A descriptor of the regular file `parts` name below `root`. Raises OSError."""
    if not parts:
        raise IsADirectoryError(21, "Is a directory")
    with inside(root, parts[:-1]) as parent:
        fd = os.open(parts[-1], READ, dir_fd=parent)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(22, "Not a regular file")
    return fd


def root_of(path: str, roots: Sequence[str]) -> tuple[str, tuple[str, ...]] | None:
    """The allowed root that `path` lies below, and the way on from there."""
    own_path = PurePosixPath(path)
    for root in roots:
        if own_path.is_relative_to(root):
            return root, own_path.relative_to(root).parts
    return None


def put(
    staged: Path, root: int, parts: Sequence[str], owner: Owner, away: Path
) -> None:
    """Move a file or folder of ours to its place below `root` in one step. What was
    there goes to `away`, a name of ours, and is removed."""
    with inside(root, parts[:-1], make=True, owner=owner) as parent:
        with contextlib.suppress(FileNotFoundError):
            os.rename(parts[-1], away, src_dir_fd=parent)
        os.rename(staged, parts[-1], dst_dir_fd=parent)
    remove(away)


def remove(path: Path) -> None:
    """A file or a whole folder, whatever it is; links are not followed."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except (OSError, RecursionError):  # made to resist; what can go, goes
        with contextlib.suppress(RecursionError):
            shutil.rmtree(path, ignore_errors=True)
