"""What a run leaves, read through one door whatever an agent put there."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async

from agents import live_config
from agents.config_sections import Artefacts
from agents.errors import NotFound
from monitor import retention
from scheduling import artefacts, launch, runs
from scheduling.artefacts import Listing
from scheduling.models import Run
from scheduling.run_folders import artefacts_name
from scheduling.run_state import RunState as S
from tests.conftest import NOON

API = "/api/v1"
UID = "d" * 32
LIMITS = Artefacts()


@pytest.fixture
def folder(settings, tmp_path: Path) -> Iterator[Path]:
    """The empty folder of a run's artefacts, and a file outside that is nobody's."""
    settings.VAR = tmp_path / "var"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("precious")
    path = Path(artefacts_name(UID))
    path.mkdir(parents=True)
    return path


def names(found: Listing) -> list[str]:
    return [item.name for item in found.items]


def test_files_are_listed_by_name_with_their_sizes(folder) -> None:
    (folder / "b").mkdir()
    (folder / "b" / "two.txt").write_text("22")
    (folder / "a.txt").write_text("1")
    found = artefacts.listing(UID, LIMITS)
    assert [(i.name, i.size) for i in found.items] == [("a.txt", 1), ("b/two.txt", 2)]
    assert found.cut is None


def test_a_run_that_left_nothing_has_an_empty_list(folder) -> None:
    assert artefacts.listing("e" * 32, LIMITS) == Listing((), None)


@pytest.mark.parametrize("what", ["link", "linked folder", "pipe", "socket", "device"])
def test_only_plain_files_are_listed_or_opened(folder, tmp_path, what) -> None:
    place = folder / "trap"
    if what == "link":
        place.symlink_to(tmp_path / "outside" / "precious")
    elif what == "linked folder":
        place.symlink_to(tmp_path / "outside")
    elif what == "pipe":
        os.mkfifo(place)
    elif what == "socket":
        os.chdir(folder)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("trap")
    else:
        os.mknod(place, 0o20644, os.makedev(1, 5))  # /dev/zero
    (folder / "plain").write_text("1")
    found = artefacts.listing(UID, LIMITS)
    assert names(found) == ["plain"]
    assert found.cut == "1 entries that are not plain files are left out"
    for name in ("trap", "trap/precious"):
        began = time.monotonic()
        with pytest.raises(NotFound):
            artefacts.open(UID, name)
        assert time.monotonic() - began < 1


@pytest.mark.parametrize(
    "name",
    [
        *(
            "../../../outside/precious",
            "..",
            ".",
            "",
            "/etc/passwd",
            "a//b",
            "a/",
            "./a",
        ),
        *("a\0b", "a\nb", "x" * 5000, "/".join("x" * 100)),
    ],
)
def test_a_name_goes_only_down(folder, name) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "b").write_text("1")
    with pytest.raises(NotFound):
        artefacts.open(UID, name)


def test_a_work_folder_that_became_a_link_leads_nowhere(folder, tmp_path) -> None:
    work = folder.parent
    shutil.rmtree(work)
    (tmp_path / "outside" / "artefacts").mkdir()
    (tmp_path / "outside" / "artefacts" / "x").write_text("1")
    work.symlink_to(tmp_path / "outside")
    assert artefacts.listing(UID, LIMITS).items == ()
    with pytest.raises(NotFound):
        artefacts.open(UID, "x")


def test_ten_thousand_files_cost_no_more_than_the_limit(folder) -> None:
    for number in range(10_000):
        (folder / f"{number:05}").touch()
    began = time.monotonic()
    found = artefacts.listing(UID, LIMITS)
    assert time.monotonic() - began < 2
    assert len(found.items) == LIMITS.max_files
    assert found.cut == "there are more than 1000 files"


def test_ten_thousand_links_are_not_looked_at_for_ever(folder) -> None:
    for number in range(10_000):
        (folder / f"{number:05}").symlink_to("/etc/passwd")
    found = artefacts.listing(UID, LIMITS)
    odd = "3000 entries that are not plain files are left out"
    assert (found.items, found.cut) == ((), f"there are too many entries; {odd}")


def test_a_huge_file_is_left_out_and_said(folder) -> None:
    (folder / "a").write_text("small")
    with (folder / "b").open("wb") as huge:
        huge.truncate(2**42)  # sparse
    found = artefacts.listing(UID, LIMITS)
    assert names(found) == ["a"]
    assert found.cut == f"together they exceed {LIMITS.max_bytes} bytes"


def test_folders_within_folders_end_somewhere(folder) -> None:
    os.chdir(folder)
    for _ in range(200):
        os.mkdir("d")
        os.chdir("d")
    Path("deep").touch()
    found = artefacts.listing(UID, LIMITS)
    assert (found.items, found.cut is not None) == ((), True)


@pytest.mark.parametrize("at_s", [-(10**9), 2**40, 2**53])
def test_a_file_of_any_time_is_listed(folder, at_s) -> None:
    (folder / "a").touch()
    try:
        os.utime(folder / "a", (at_s, at_s))
    except OSError:  # more than this file system knows
        os.utime(folder / "a", (2**33, 2**33))
    assert names(artefacts.listing(UID, LIMITS)) == ["a"]


def test_a_name_that_is_no_text_is_left_out(folder) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe")).touch()
    (folder / "new\nline").touch()
    assert artefacts.listing(UID, LIMITS).items == ()


# --- over HTTP


@pytest.fixture
def run(agent) -> Run:
    run = runs.request_run(agent, actor="t", now=NOON)
    return runs.move(run, S.CANCELLED, actor="t", now=NOON, ended_at=NOON)


def left_by(run: Run, name: str, data: bytes) -> Path:
    path = Path(artefacts_name(run.uid)) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.mark.django_db
def test_the_list_is_cut_where_the_configuration_says(run, viewer) -> None:
    for name in "abc":
        left_by(run, name, b"x" * 3000)
    listed = f"{API}/runs/{run.uid}/artefacts/"
    assert len(viewer.get(listed).json()["items"]) == 3
    for key, value, cut in (
        ("artefacts.max_files", 2, "there are more than 2 files"),
        ("artefacts.max_bytes", 4096, "together they exceed 4096 bytes"),
    ):
        live_config.set_overrides({key: value}, actor="t", now=NOON)
        live_config.forget()
        assert viewer.get(listed).json()["cut"] == cut


@pytest.mark.django_db(transaction=True)
def test_a_file_comes_whole_and_as_a_file_to_keep(run, user_of, async_client) -> None:
    data = os.urandom(artefacts.PIECE_BYTES * 2 + 17)
    left_by(run, "deep/a report.html", data)
    user = user_of("viewer")

    async def fetch() -> tuple[object, bytes]:
        await sync_to_async(async_client.force_login)(user)
        path = f"{API}/runs/{run.uid}/artefacts/deep/a%20report.html?download"
        answer = await async_client.get(path)
        return answer, b"".join([piece async for piece in answer.streaming_content])

    answer, got = asyncio.run(fetch())
    assert got == data
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"] == 'attachment; filename="a report.html"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Length"] == str(len(data))
    answer.close()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "way", ["..%2F..%2Fout", "%2e%2e/out", "trap", "none", "%00", "a%0ab", "a//b"]
)
def test_what_is_not_a_file_of_the_run_is_not_found(run, viewer, way) -> None:
    os.mkfifo(left_by(run, "a", b"").parent / "trap")
    (Path(artefacts_name(run.uid)).parents[1] / "out").write_text("output")
    answer = viewer.get(f"{API}/runs/{run.uid}/artefacts/{way}")
    assert answer.status_code in (400, 404), answer.content


@pytest.mark.django_db
def test_an_artefact_of_a_run_that_is_unknown_is_not_found(viewer) -> None:
    for path in ("", "a"):
        answer = viewer.get(f"{API}/runs/{'0' * 32}/artefacts/{path}")
        assert answer.status_code == 404


@pytest.mark.django_db
def test_a_file_that_becomes_shorter_is_not_passed_off_as_whole(run) -> None:
    path = left_by(run, "a", b"x" * 1000)
    file = artefacts.open(run.uid, "a")
    path.write_bytes(b"x")
    with pytest.raises(OSError, match="shorter"):
        list(artefacts.pieces(file, 0, file.size))
    file.close()


@pytest.mark.django_db
def test_retention_takes_them_with_the_run(run) -> None:
    path = left_by(run, "a", b"1")
    live_config.set_overrides({"log_retention_days": 1}, actor="t", now=NOON)
    live_config.forget()
    run_ended_long_ago = NOON.replace(day=28)
    retention.Keeper().turn(run_ended_long_ago, 60, retention.PREFIXES)
    assert not path.exists()


@pytest.mark.django_db
def test_the_program_is_told_where_to_leave_them(agent) -> None:
    run = runs.request_run(agent, actor="t", now=NOON)
    for state in (S.ADMITTED, S.STARTING):
        run = runs.move(run, state, actor="t", now=NOON)
    (start,) = launch.starts([run.pk], node="n1", now=NOON)
    assert start.spec.env["KOS_ARTEFACTS"] == artefacts_name(run.uid)
