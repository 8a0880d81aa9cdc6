"""Archives are unpacked below one folder or refused, whatever they claim."""

from __future__ import annotations

import io
import os
import posixpath
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.hooks import beneath
from agents.hooks.budget import Budget, HookFailed, HookStopped
from agents.hooks.unpack import Caps, unpack

CAPS = Caps(entries=100, bytes=1 << 20)
Entry = tuple[str, bytes, str]  # name, kind, content or target


def tar_of(*entries: Entry, mode: str = "w") -> BinaryIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:  # type: ignore[call-overload]
        for name, kind, content in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o6755
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content.encode()))
            else:
                info.linkname = content
                tar.addfile(info)
    file.seek(0)
    return file


def zip_of(*entries: tuple[str, int, str]) -> BinaryIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, mode, content in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            bundle.writestr(info, content)
    file.seek(0)
    return file


def into(folder: Path, archive: BinaryIO, caps: Caps = CAPS) -> Path:
    target = folder / "target"
    target.mkdir()
    unpack(archive, target, caps, Budget(60), None)
    return target


FILE, LINK, TWIN = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_comes_out_as_it_went_in(tmp_path: Path, mode: str) -> None:
    found = into(
        tmp_path,
        tar_of(
            ("d/", tarfile.DIRTYPE, ""),
            ("./d/a", FILE, "one"),
            ("d/deep/er/b", FILE, "two"),
            ("d/to-a", LINK, "a"),
            ("d/deep/up", LINK, "../a"),
            ("twin", TWIN, "d/a"),
            mode=mode,
        ),
    )
    assert (found / "d/a").read_text() == "one"
    assert (found / "d/deep/er/b").read_text() == "two"
    assert (found / "d/deep/up").read_text() == "one"
    assert (found / "twin").stat().st_ino == (found / "d/a").stat().st_ino
    assert stat.S_IMODE((found / "d/a").stat().st_mode) == 0o755  # and no setuid


def test_a_zip_comes_out_as_it_went_in(tmp_path: Path) -> None:
    link = stat.S_IFLNK | 0o777
    archive = zip_of(("d/", 0o755, ""), ("d/a", 0o600, "one"), ("to", link, "d/a"))
    found = into(tmp_path, archive)
    assert (found / "d/a").read_text() == "one"
    assert (found / "to").read_text() == "one"


BAD_TARS = {
    "absolute": [("/etc/evil", FILE, "x")],
    "goes up": [("a/../../evil", FILE, "x")],
    "leads out, to '/etc": [("l", LINK, "/etc")],
    "leads out, to '../": [("l", LINK, "../target2")],
    "leads out, to 'd/..": [("d/x", FILE, ""), ("l", LINK, "d/../../out")],
    "leads out, to 'here/..": [("here", LINK, "."), ("l", LINK, "here/../..")],
    "goes through a link": [("l", LINK, "."), ("l/evil", FILE, "x")],
    "device or a pipe": [("fifo", tarfile.FIFOTYPE, "")],
    "is a device": [("dev", tarfile.CHRTYPE, "")],
    "comes twice": [("a", FILE, "1"), ("a", FILE, "2")],
    'up with ".."': [("h", TWIN, "../outside")],
    "cannot be unpacked": [("h", TWIN, "missing")],
    "more than 100 entries": [(f"n{n}", FILE, "") for n in range(101)],
    "more than 1048576 bytes": [("big", FILE, "x" * ((1 << 20) + 1))],
}


@pytest.mark.parametrize("why", BAD_TARS)
def test_a_hostile_tar_is_refused_and_leaves_nothing_outside(
    tmp_path: Path, why: str
) -> None:
    (tmp_path / "outside").write_text("mine")
    with pytest.raises(HookFailed, match=why):
        into(tmp_path, tar_of(*BAD_TARS[why]))
    assert sorted(os.listdir(tmp_path)) == ["outside", "target"]


@pytest.mark.parametrize(
    ("why", "entry"),
    [
        ("absolute", ("/evil", 0o600, "x")),
        ("goes up", ("../evil", 0o600, "x")),
        ("no plain name", ("..\\evil", 0o600, "x")),
        ("leads out", ("l", stat.S_IFLNK | 0o777, "../../etc")),
        ("device or a pipe", ("p", stat.S_IFIFO | 0o600, "")),
        ("more than 1048576 bytes", ("bomb", 0o600, "\0" * (2 << 20))),
    ],
)
def test_a_hostile_zip_is_refused_and_leaves_nothing_outside(
    tmp_path: Path, why: str, entry: tuple[str, int, str]
) -> None:
    with pytest.raises(HookFailed, match=why):
        into(tmp_path, zip_of(entry))
    assert os.listdir(tmp_path) == ["target"]


def test_a_zip_whose_list_is_too_long_is_refused_before_it_is_read(
    tmp_path: Path,
) -> None:
    archive = zip_of(*((f"n{n}", 0o600, "") for n in range(101)))
    with pytest.raises(HookFailed, match="more than 100 entries"):
        into(tmp_path, archive)
    lies = bytearray(zip_of(("a", 0o600, "x")).read())
    at = lies.rfind(b"PK\x05\x06")
    struct.pack_into("<I", lies, at + 12, 0xFFFFFFF0)
    (tmp_path / "target").rmdir()
    with pytest.raises(HookFailed, match="a list of"):
        into(tmp_path, io.BytesIO(bytes(lies)))


def test_a_tar_whose_header_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 1 << 32
    header = info.tobuf(tarfile.USTAR_FORMAT)
    with pytest.raises(HookFailed, match="a header of 4294967296 bytes"):
        into(tmp_path, io.BytesIO(header + b"\0" * 10240))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1f\x8b\x08",
        b"\x1f\x8b" + b"x" * 600,
        b"PK\x03\x04" + b"x" * 600,
        b"PK\x05\x06" + b"\xff" * 18,
        tar_of(("a", FILE, "x" * 2000)).read()[:1000],
        tar_of(("a", FILE, "x" * 90000), mode="w:gz").read()[:120],
        b"#!/bin/sh\n",
    ],
    ids=range(8),  # what is packed changes with the time
)
def test_a_broken_archive_is_named_as_such(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(HookFailed, match=r"is (broken|no tar)|cannot be unpacked"):
        into(tmp_path, io.BytesIO(data))


def test_unpacking_ends_when_its_time_is_over_or_nobody_wants_it(
    tmp_path: Path,
) -> None:
    over, unwanted = Budget(0, clock=iter(range(9)).__next__), Budget(60)
    unwanted.stop()
    for budget, error in ((over, HookFailed), (unwanted, HookStopped)):
        with pytest.raises(error):
            unpack(tar_of(("a", FILE, "x")), tmp_path, CAPS, budget, None)


# -- any names ------------------------------------------------------------------------

PARTS = st.sampled_from(["a", "b", "..", ".", "", "/", "c d", "é", "a" * 300])
NAMES = st.one_of(st.lists(PARTS, max_size=6).map("/".join), st.text(max_size=30))
ENTRIES = st.tuples(NAMES, st.sampled_from([FILE, LINK, TWIN]), NAMES)


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(entries=st.lists(ENTRIES, max_size=8))
def test_no_archive_reaches_out_of_its_folder(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> None:
    around = tmp_path_factory.mktemp("around")
    try:
        archive = tar_of(*entries)
    except (ValueError, OverflowError):
        return  # no tar can say it
    try:
        target = into(around, archive)
    except HookFailed:
        target = around / "target"
    assert os.listdir(around) == ["target"]
    real = os.path.realpath(target)
    for folder, folders, files in os.walk(target):
        for name in (*folders, *files):
            there = os.path.realpath(os.path.join(folder, name))
            assert f"{there}/".startswith(f"{real}/"), (name, there)


@given(name=NAMES)
def test_a_name_that_is_taken_stays_below(name: str) -> None:
    try:
        parts = beneath.parts_of(name)
    except beneath.Unsafe:
        return
    joined = posixpath.normpath(posixpath.join("/root/run", *parts))
    assert joined == "/root/run" or joined.startswith("/root/run/")
    assert all(part and "/" not in part for part in parts)


# -- what is put into a work folder ---------------------------------------------------


def test_what_a_program_left_in_the_way_leads_nowhere_else(tmp_path: Path) -> None:
    work, outside, staged = (tmp_path / n for n in ("work", "outside", "staged"))
    work.mkdir()
    outside.mkdir()
    staged.write_text("new")
    (work / "models").symlink_to(outside)
    with beneath.folder(work) as root, pytest.raises(OSError, match="Not a directory"):
        beneath.put(staged, root, ("models", "m"), None, tmp_path / "away")
    assert os.listdir(outside) == []


@pytest.mark.parametrize("before", ["file", "folder", "link", "nothing"])
def test_what_was_there_is_replaced(
    tmp_path: Path, before: str, request: pytest.FixtureRequest
) -> None:
    work, staged, outside = tmp_path / "work", tmp_path / "staged", tmp_path / "out"
    work.mkdir()
    outside.mkdir()
    staged.write_text("new")
    make: dict[str, Callable[[], object]] = {
        "file": lambda: (work / "m").write_text("old"),
        "folder": lambda: (work / "m" / "x").mkdir(parents=True),
        "link": lambda: (work / "m").symlink_to(outside),
        "nothing": lambda: None,
    }
    make[before]()
    with beneath.folder(work) as root:
        beneath.put(staged, root, ("m",), None, tmp_path / "away")
    assert (work / "m").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["out", "work"]
