"""Bring a file into a run's work folder before its program starts: fetched or copied,
checked, unpacked if wanted, and put in its place in one step.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from agents.config_keys import SchedulerConfig
from agents.hooks import beneath
from agents.hooks.beneath import Owner
from agents.hooks.budget import Budget, HookFailed, sized
from agents.hooks.cache import CHUNK, Cache, check_digest
from agents.hooks.fetch import Reach, fetch
from agents.hooks.unpack import Caps, unpack


@dataclass(frozen=True, slots=True)
class Job:
    """What is wanted: `options` as the definition states them."""

    options: Mapping[str, Any]
    work: Path
    staging: Path  # of our own, on the same file system as `work`
    owner: Owner
    config: SchedulerConfig
    cache: Cache


def preload(job: Job, budget: Budget) -> str:
    """Do it, again if it was done before; what is told of it in words.

    Raises HookFailed, HookStopped.
    """
    beneath.remove(job.staging)
    job.staging.mkdir(mode=0o700, parents=True)
    try:
        return _preload(job, budget)
    except OSError as error:
        raise HookFailed(f"{error.strerror or error}") from None
    finally:
        beneath.remove(job.staging)


def _preload(job: Job, budget: Budget) -> str:
    options, parts = job.options, beneath.parts_of(job.options["to"])
    file, was_there = _source(job, budget)
    with file:
        size = os.fstat(file.fileno()).st_size
        staged = job.staging / "ready"
        if options["unpack"]:
            staged.mkdir(mode=0o755)
            own(staged, job.owner)
            caps = Caps(
                job.config.preload.max_entries, job.config.preload.max_unpacked_bytes
            )
            entries, _ = unpack(file, staged, caps, budget, job.owner)
        else:
            _copy_to(staged, file, budget)
            own(staged, job.owner)
        with beneath.folder(job.work) as root:
            beneath.put(staged, root, parts, job.owner, job.staging / "before")
    how = " from the cache" if was_there else ""
    what = f", {entries} entries" if options["unpack"] else ""
    return f"{sized(size)}{how}{what}"


def own(path: Path, owner: Owner) -> None:
    if owner is not None:
        os.chown(path, *owner, follow_symlinks=False)


def _source(job: Job, budget: Budget) -> tuple[BinaryIO, bool]:
    """The file, checked where a checksum is stated, and whether it was in the cache."""
    sha256, caps = job.options["sha256"], job.config.preload

    def bring(into: BinaryIO) -> None:
        _bring(job, into, budget)

    if sha256 and job.options["cache"] and caps.cache_bytes:
        return job.cache.take(sha256, bring, most_bytes=caps.cache_bytes, budget=budget)
    file = (job.staging / "fetched").open("x+b")
    try:
        bring(file)
        file.flush()
        if sha256:
            check_digest(file, sha256, budget)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file, False


def _bring(job: Job, into: BinaryIO, budget: Budget) -> None:
    source, caps = job.options["from"], job.config.preload
    if "://" in source:
        fetch(source, into, Reach(caps.max_bytes, caps.private_hosts), budget)
        return
    fd = _local(job, source)
    with os.fdopen(fd, "rb") as file:
        _copy(file, into, budget, most_bytes=caps.max_bytes)


def _local(job: Job, source: str) -> int:
    """A descriptor of a file of this machine, or of the work folder."""
    root, parts = str(job.work), beneath.parts_of(source.lstrip("/"))
    if source.startswith("/"):
        found = beneath.root_of(source, job.config.paths.preload_roots)
        if found is None:
            raise HookFailed(
                f"{source} is not under an allowed folder (paths.preload_roots)"
            )
        root, parts = found
    try:
        with beneath.folder(Path(root)) as at:
            return beneath.open_file(at, parts)
    except OSError as error:
        said = f"{source}: {error.strerror}; links are not followed"
        raise HookFailed(said) from None


def _copy_to(path: Path, file: BinaryIO, budget: Budget) -> None:
    with path.open("xb") as copy:
        _copy(file, cast(BinaryIO, copy), budget)
        os.fchmod(copy.fileno(), 0o644)


def _copy(
    file: BinaryIO, into: BinaryIO, budget: Budget, *, most_bytes: int | None = None
) -> None:
    copied = 0
    while chunk := file.read(CHUNK):
        budget.check()
        copied += len(chunk)
        if most_bytes is not None and copied > most_bytes:
            raise HookFailed(f"has more than {most_bytes} bytes")
        into.write(chunk)
