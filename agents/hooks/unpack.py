"""Unpack tar, tar.gz and zip into a folder of ours, trusting nothing that they say.

Refused by name: absolute paths, "..", links that lead out, devices and pipes, twins,
and more entries or bytes than allowed, counted as they come and not as they claim.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import os
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from agents.hooks import beneath
from agents.hooks.beneath import Owner, Unsafe
from agents.hooks.budget import Budget, HookFailed

CHUNK = 1 << 20
MOST_HEADER_BYTES = 1 << 20  # of one entry: names and attributes are read as a whole
MOST_DIRECTORY_BYTES = 32 << 20  # of a zip: Python reads it as a whole
MOST_TARGET_BYTES = 4096
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
END_OF_ZIP, ENTRY_OF_ZIP = b"PK\x05\x06", b"PK\x01\x02"
LONG = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


@dataclass(frozen=True, slots=True)
class Caps:
    entries: int
    bytes: int


class Target:
    """The folder everything goes into, and what went there so far."""

    def __init__(self, root: int, caps: Caps, budget: Budget, owner: Owner) -> None:
        self.root, self.caps, self.budget, self.owner = root, caps, budget, owner
        self.entries = self.bytes = 0

    def entry(self, name: str) -> tuple[str, ...]:
        """Count it and take its name apart. Raises HookFailed."""
        self.budget.check()
        self.entries += 1
        if self.entries > self.caps.entries:
            raise HookFailed(f"has more than {self.caps.entries} entries")
        try:
            return beneath.parts_of(name)
        except Unsafe as unsafe:
            raise HookFailed(f"the entry {shown(name)} {unsafe}") from None

    def folder(self, parts: tuple[str, ...]) -> None:
        with beneath.inside(self.root, parts, make=True, owner=self.owner):
            pass

    def file(self, parts: tuple[str, ...], content: IO[bytes], mode: int) -> None:
        with self._parent(parts) as (parent, name):
            fd = os.open(name, WRITE, 0o600, dir_fd=parent)
            with os.fdopen(fd, "wb", buffering=0) as file:
                while chunk := content.read(CHUNK):
                    self.budget.check()
                    self.bytes += len(chunk)
                    if self.bytes > self.caps.bytes:
                        raise HookFailed(f"holds more than {self.caps.bytes} bytes")
                    file.write(chunk)
                os.fchmod(fd, 0o644 | (mode & 0o111))
            beneath.own(parent, name, self.owner)

    def link(self, parts: tuple[str, ...], target: str) -> None:
        if not beneath.stays_inside(parts, target):
            raise HookFailed(
                f"the link {shown('/'.join(parts))} leads out, to {shown(target)}"
            )
        plain = "/".join(p for p in target.split("/") if p not in ("", ".")) or "."
        with self._parent(parts) as (parent, name):
            os.symlink(plain, name, dir_fd=parent)
            beneath.own(parent, name, self.owner)

    def twin(self, parts: tuple[str, ...], of: tuple[str, ...]) -> None:
        """A hard link to a file that was unpacked before."""
        os.close(beneath.open_file(self.root, of))
        with (
            self._parent(parts) as (parent, name),
            beneath.inside(self.root, of[:-1]) as other,
        ):
            os.link(
                of[-1],
                name,
                src_dir_fd=other,
                dst_dir_fd=parent,
                follow_symlinks=False,
            )

    @contextlib.contextmanager
    def _parent(self, parts: tuple[str, ...]) -> Iterator[tuple[int, str]]:
        if not parts:
            raise HookFailed("an entry has no name")
        folders = parts[:-1]
        with beneath.inside(self.root, folders, make=True, owner=self.owner) as parent:
            yield parent, parts[-1]


def shown(name: str) -> str:
    text = ascii(name)
    return text if len(text) <= 80 else f"{text[:76]}…'"


def unpack(
    archive: BinaryIO, into: Path, caps: Caps, budget: Budget, owner: Owner
) -> tuple[int, int]:
    """Unpack into the empty folder `into`; how many entries and bytes came.

    Raises HookFailed, saying what is wrong with the archive, and HookStopped.
    """
    archive.seek(0)
    head = archive.read(512)
    archive.seek(0)
    with beneath.folder(into) as root:
        target = Target(root, caps, budget, owner)
        try:
            if head.startswith(b"\x1f\x8b"):
                with gzip.GzipFile(fileobj=archive, mode="rb") as plain:
                    _tar(cast(IO[bytes], plain), target)
            elif head.startswith((b"PK\x03\x04", END_OF_ZIP)):
                _zip(archive, target)
            elif head[257:262] == b"ustar":
                _tar(archive, target)
            else:
                raise HookFailed("is no tar, tar.gz or zip")
        except FileExistsError as twin:
            name = shown(str(twin.filename))
            raise HookFailed(f"the entry {name} comes twice") from None
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as broken:
            raise HookFailed(f"is broken: {broken}") from None
        except (gzip.BadGzipFile, struct.error, NotImplementedError) as broken:
            raise HookFailed(f"is broken: {broken}") from None
        except ValueError as broken:
            raise HookFailed(f"is broken: {broken}") from None
        except OSError as error:
            raise HookFailed(f"cannot be unpacked: {_why(error)}") from None
    return target.entries, target.bytes


def _why(error: OSError) -> str:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return "an entry goes through a link or a file"
    return str(error.strerror)


# -- tar ------------------------------------------------------------------------------


class BoundedInfo(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> BoundedInfo:
        info = super().frombuf(buf, encoding, errors)
        if info.type in LONG and info.size > MOST_HEADER_BYTES:
            raise HookFailed(f"an entry has a header of {info.size} bytes")
        return info


def _tar(plain: IO[bytes], target: Target) -> None:
    with tarfile.open(fileobj=plain, mode="r|", tarinfo=BoundedInfo) as tar:
        while (info := tar.next()) is not None:
            cast(Any, tar).members = []  # or they would all be kept
            _tar_entry(tar, info, target)


def _tar_entry(tar: tarfile.TarFile, info: tarfile.TarInfo, target: Target) -> None:
    parts = target.entry(info.name)
    if info.isdir():
        target.folder(parts)
    elif info.isreg():
        content = tar.extractfile(info)
        assert content is not None, "a regular file has content"
        target.file(parts, content, info.mode)
    elif info.issym():
        target.link(parts, info.linkname)
    elif info.islnk():
        target.twin(parts, target.entry(info.linkname))
    else:
        raise HookFailed(f"the entry {shown(info.name)} is a device or a pipe")


# -- zip ------------------------------------------------------------------------------


def _zip(archive: BinaryIO, target: Target) -> None:
    _check_directory(archive, target.caps)
    with zipfile.ZipFile(archive) as bundle:
        for info in bundle.infolist():
            _zip_entry(bundle, info, target)


def _check_directory(archive: BinaryIO, caps: Caps) -> None:
    """Look at the list of entries before it is read into memory as a whole."""
    size = archive.seek(0, os.SEEK_END)
    tail_at = max(0, size - (1 << 16) - 22)
    archive.seek(tail_at)
    tail = archive.read()
    found = tail.rfind(END_OF_ZIP)
    if found < 0 or len(tail) - found < 22:
        raise HookFailed("is broken: a zip without its end")
    (listed,) = struct.unpack_from("<I", tail, found + 12)
    end = tail_at + found
    if found >= 76 and tail[found - 20 : found - 16] == b"PK\x06\x07":  # zip64
        (listed,) = struct.unpack_from("<Q", tail, found - 76 + 40)
        end -= 76
    if listed > min(MOST_DIRECTORY_BYTES, end):
        raise HookFailed(f"is broken: a list of {listed} bytes")
    archive.seek(end - listed)
    if archive.read(listed).count(ENTRY_OF_ZIP) > caps.entries:
        raise HookFailed(f"has more than {caps.entries} entries")
    archive.seek(0)


def _zip_entry(bundle: zipfile.ZipFile, info: zipfile.ZipInfo, target: Target) -> None:
    name, mode = info.filename, info.external_attr >> 16
    parts = target.entry(name)
    if info.flag_bits & 1:
        raise HookFailed(f"the entry {shown(name)} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise HookFailed(f"the entry {shown(name)} is packed in an unusual way")
    kind = stat.S_IFMT(mode)
    if info.is_dir():
        target.folder(parts)
    elif kind == stat.S_IFLNK:
        with bundle.open(info) as content:
            text = content.read(MOST_TARGET_BYTES + 1)
        target.link(parts, os.fsdecode(text))
    elif kind in (0, stat.S_IFREG):
        with bundle.open(info) as content:
            target.file(parts, content, mode)
    else:
        raise HookFailed(f"the entry {shown(name)} is a device or a pipe")
