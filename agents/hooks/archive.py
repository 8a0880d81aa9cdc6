"""Keep what a run leaves, as one tar.gz under an allowed folder of the node.

Only regular files below the run's own folder go in; links are left out, whatever they
lead to. The archive appears under its name when it is whole.
"""

from __future__ import annotations

import fnmatch
import gzip
import os
import stat
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from agents.config_keys import SchedulerConfig
from agents.hooks import beneath
from agents.hooks.budget import Budget, HookFailed, sized

LEVEL = 6
MOST_FILES = 1_000_000
WHOLE = {  # word -> names in the run's folder, as globs
    "output": ("out", "err", "out.*", "err.*"),
    "logs": ("log", "log*", "*.jsonl", "*.jsonl.*", "hooks/*/out", "hooks/*/err"),
    "artefacts": ("artefacts/**", "work/artefacts/**"),
}


@dataclass(frozen=True, slots=True)
class Job:
    options: Mapping[str, Any]
    folder: Path  # the run's own
    name: str  # of the archive, where the options give none
    uid: str
    config: SchedulerConfig


def globs_of(what: list[str]) -> list[str]:
    """Names in the run's folder; what is no word is a glob in its work folder."""
    return [glob for one in what for glob in WHOLE.get(one, (f"work/{one}",))]


def matches(name: str, globs: list[str]) -> bool:
    """ "**" at the end is everything below; "*" stays within one folder."""
    for glob in globs:
        if glob.endswith("/**") and name.startswith(glob[:-2]):
            return True
        parts, wanted = name.split("/"), glob.split("/")
        if len(parts) == len(wanted) and all(
            fnmatch.fnmatchcase(part, want)
            for part, want in zip(parts, wanted, strict=True)
        ):
            return True
    return False


def archive(job: Job, budget: Budget) -> str:
    """Write it, again if it was written before. Raises HookFailed, HookStopped."""
    found = beneath.root_of(job.options["to"], job.config.paths.archive_roots)
    if found is None:
        raise HookFailed(
            f"{job.options['to']} is not under an allowed folder (paths.archive_roots)"
        )
    root, parts = found
    name = job.options["name"] or job.name
    try:
        with (
            beneath.folder(Path(root)) as at,
            beneath.inside(at, parts, make=True) as into,
        ):
            return _write(job, into, name, budget)
    except OSError as error:
        raise HookFailed(f"{error.strerror or error}") from None


def _write(job: Job, into: int, name: str, budget: Budget) -> str:
    part = f".{job.uid}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(part, flags, 0o640, dir_fd=into)
    try:
        with os.fdopen(fd, "wb") as file:
            count, size = _fill(job, cast(IO[bytes], file), budget)
            file.flush()
            os.fsync(fd)
        os.rename(part, name, src_dir_fd=into, dst_dir_fd=into)
    except BaseException:
        os.unlink(part, dir_fd=into)
        raise
    files = "1 file" if count == 1 else f"{count} files"
    return f"{name}: {files}, {sized(size)}"


def _fill(job: Job, file: IO[bytes], budget: Budget) -> tuple[int, int]:
    most_bytes, count, size = job.config.archive.max_bytes, 0, 0
    globs = globs_of(job.options["what"])
    with (
        gzip.GzipFile("", "wb", LEVEL, fileobj=file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name, fd, seen in files_below(job.folder, globs):
            with os.fdopen(fd, "rb") as content:
                budget.check()
                count, size = count + 1, size + seen.st_size
                if size > most_bytes or count > MOST_FILES:
                    raise HookFailed(f"there is more than {most_bytes} bytes to keep")
                info = tarfile.TarInfo(name)
                info.size, info.mtime = seen.st_size, int(seen.st_mtime)
                info.mode = stat.S_IMODE(seen.st_mode) & 0o755
                tar.addfile(info, cast(IO[bytes], Watched(content, budget)))
                cast(Any, tar).members = []  # or they would all be kept
    return count, size


class Watched:
    """A file that asks the budget at each read."""

    def __init__(self, file: IO[bytes], budget: Budget) -> None:
        self.file, self.budget = file, budget

    def read(self, size: int = -1) -> bytes:
        self.budget.check()
        return self.file.read(size)


def files_below(
    folder: Path, globs: list[str]
) -> Iterator[tuple[str, int, os.stat_result]]:
    """(name, descriptor, stat) of each regular file that is meant, in order."""
    for place, folders, files, at in os.fwalk(folder, follow_symlinks=False):
        below = os.path.relpath(place, folder)
        folders.sort()
        if below.count("/") >= beneath.MOST_PARTS:
            folders.clear()  # made to be without end
        for file in sorted(files):
            name = file if below == "." else f"{below}/{file}"
            if not matches(name, globs):
                continue
            try:
                fd = os.open(file, beneath.READ, dir_fd=at)
            except OSError:
                continue  # a link, or it went
            seen = os.fstat(fd)
            if stat.S_ISREG(seen.st_mode):
                yield name, fd, seen
            else:
                os.close(fd)
