"""Fetch, copy and archive: within their bounds, and never out of the run's folder."""

from __future__ import annotations

import io
import os
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents import agent_lifecycle_hooks as hooks
from agents.config_keys import Archive, Paths, Preload, SchedulerConfig
from agents.hooks import archive, fetch, preload
from agents.hooks.budget import Budget, HookFailed, HookStopped
from agents.hooks.cache import Cache
from agents.hooks.fetch import Reach
from tests.depot import Depot, open_depot

HERE = Reach(1000, ("127.0.0.1",))


@pytest.fixture(scope="module")
def depot() -> Iterator[Depot]:
    with open_depot() as depot:
        depot.files.update(small=b"data", large=b"x" * 1001)
        yield depot


def fetched(url: str, reach: Reach = HERE) -> bytes:
    into = io.BytesIO()
    fetch.fetch(url, into, reach, Budget(30))
    return into.getvalue()


def test_a_file_is_fetched_over_redirects(depot: Depot) -> None:
    depot.leads_to["there"] = "/small"
    assert fetched(depot.url("there")) == b"data"


def test_what_is_too_large_missing_or_leads_nowhere_is_refused(depot: Depot) -> None:
    with pytest.raises(HookFailed, match="1001 bytes, more than 1000"):
        fetched(depot.url("large"))
    with pytest.raises(HookFailed, match="answered 404"):
        fetched(depot.url("missing"))
    depot.leads_to["round"] = depot.url("round")
    with pytest.raises(HookFailed, match="leads on more than 5 times"):
        fetched(depot.url("round"))
    with pytest.raises(HookFailed, match="cannot be fetched"):
        fetched("http://127.0.0.1:1/")


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "0.0.0.0", "10.1.2.3", "192.168.0.1"),
        *("169.254.169.254", "[::ffff:127.0.0.1]", "[fe80::1]", "[fd00::1]"),
        *("224.0.0.1", "2130706433", "0x7f000001"),
    ],
)
def test_a_private_host_is_not_reached_unless_it_is_named(host: str) -> None:
    with pytest.raises(HookFailed, match=r"private network|no host"):
        fetched(f"http://{host}/x", Reach(1000))


def test_a_redirect_to_a_private_host_is_not_followed(depot: Depot) -> None:
    depot.leads_to["inside"] = "http://169.254.169.254/secret"
    with pytest.raises(HookFailed, match="private network"):
        fetched(depot.url("inside"))
    depot.leads_to["file"] = "file:///etc/passwd"
    with pytest.raises(HookFailed, match="not a URL of http"):
        fetched(depot.url("file"))


def test_secrets_of_a_url_are_not_told() -> None:
    assert fetch.shown("https://u:p@a.example/x?token=1") == "https://a.example/x"


# -- preload --------------------------------------------------------------------------


def bring(tmp_path: Path, config: SchedulerConfig | None = None, **said: Any) -> Path:
    work = tmp_path / "run" / "work"
    work.mkdir(parents=True, exist_ok=True)
    usual = {"to": "it", "sha256": None, "unpack": False, "cache": True}
    job = preload.Job(
        options={**usual, **said},
        work=work,
        staging=tmp_path / "run" / "hooks" / "preload-1",
        owner=None,
        config=config or SchedulerConfig(),
        cache=Cache(tmp_path / "cache"),
    )
    preload.preload(job, Budget(30))
    return work / "it"


def test_a_file_of_the_work_folder_is_copied_but_no_link_followed(
    tmp_path: Path,
) -> None:
    work = tmp_path / "run" / "work"
    work.mkdir(parents=True)
    (work / "a").write_text("mine")
    (work / "link").symlink_to("/etc/passwd")
    os.mkfifo(work / "pipe")
    assert bring(tmp_path, **{"from": "a"}).read_text() == "mine"
    for name in ("link", "pipe", "missing", "."):
        with pytest.raises(HookFailed):
            bring(tmp_path, **{"from": name})
    assert os.listdir(tmp_path / "run" / "hooks") == []


def test_a_local_file_is_bounded_and_comes_from_an_allowed_folder(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "a").write_bytes(b"x" * 100)
    (data / "out").symlink_to("/etc")
    paths = Paths(preload_roots=(str(data),))
    allowed = SchedulerConfig(paths=paths)
    assert bring(tmp_path, allowed, **{"from": f"{data}/a"}).stat().st_size == 100
    small = replace(allowed, preload=Preload(max_bytes=99))
    for config, source, why in (
        (small, f"{data}/a", "more than 99 bytes"),
        (SchedulerConfig(), f"{data}/a", "preload_roots"),
        (allowed, "/etc/passwd", "preload_roots"),
        (allowed, f"{data}/../../etc/passwd", "No such file|goes up|Not a directory"),
        (allowed, f"{data}/out/passwd", "links are not followed"),
    ):
        with pytest.raises((HookFailed, ValueError), match=why):
            bring(tmp_path, config, **{"from": source})


# -- archive --------------------------------------------------------------------------


def keep(tmp_path: Path, what: list[str], config: SchedulerConfig | None = None) -> Any:
    kept, run = tmp_path / "kept", tmp_path / "run"
    kept.mkdir(exist_ok=True)
    paths = Paths(archive_roots=(str(kept),))
    job = archive.Job(
        options={"what": what, "to": f"{kept}/deep/er", "name": None},
        folder=run,
        name="a.tar.gz",
        uid="u",
        config=config or SchedulerConfig(paths=paths),
    )
    archive.archive(job, Budget(30))
    with tarfile.open(kept / "deep" / "er" / "a.tar.gz") as tar:
        return sorted(tar.getnames())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = tmp_path / "run"
    for name in ("work/data/deep", "work/artefacts", "hooks/pre-start-1"):
        (run / name).mkdir(parents=True)
    for name in ("out", "err", "work/a.csv", "work/b.txt", "work/data/deep/c"):
        (run / name).write_text(name)
    (run / "hooks/pre-start-1/out").write_text("hook")
    (run / "work/artefacts/model").write_text("m")
    (run / "work/passwd.csv").symlink_to("/etc/passwd")
    (run / "work/data/etc").symlink_to("/etc")
    os.mkfifo(run / "work/pipe.csv")
    return run


@pytest.mark.parametrize(
    ("what", "names"),
    [
        (["output"], ["err", "out"]),
        (["logs"], ["hooks/pre-start-1/out"]),
        (["artefacts"], ["work/artefacts/model"]),
        (["*.csv"], ["work/a.csv"]),
        (["data/**"], ["work/data/deep/c"]),
        (["output", "[ab].*"], ["err", "out", "work/a.csv", "work/b.txt"]),
        (["data/*"], []),
    ],
)
def test_an_archive_has_what_was_meant_and_no_links(
    tmp_path: Path, run: Path, what: list[str], names: list[str]
) -> None:
    assert keep(tmp_path, what) == names


def test_an_archive_that_would_be_too_large_leaves_nothing(
    tmp_path: Path, run: Path
) -> None:
    with (run / "work" / "sparse.csv").open("wb") as file:
        file.truncate(1 << 40)
    paths = Paths(archive_roots=(str(tmp_path / "kept"),))
    config = SchedulerConfig(paths=paths, archive=Archive(max_bytes=1 << 20))
    with pytest.raises(HookFailed, match="more than 1048576 bytes"):
        keep(tmp_path, ["*.csv"], config)
    assert os.listdir(tmp_path / "kept" / "deep" / "er") == []
    with pytest.raises(HookFailed, match="archive_roots"):
        keep(tmp_path, ["*.csv"], SchedulerConfig())


def test_a_folder_without_end_is_not_gone_down_for_ever(
    tmp_path: Path, run: Path
) -> None:
    here = os.open(run / "work", os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=here)
        there = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    assert keep(tmp_path, ["a.csv", "d/**"]) == ["work/a.csv"]


# -- a kind of somebody else's --------------------------------------------------------


def test_another_kind_of_step_can_be_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def dispatch(step: hooks.Step, place: hooks.Place, budget: Budget) -> str:
        seen.append((step.options, place.uid))
        return "sent"

    monkeypatch.setattr(hooks, "_works", {})
    hooks.register("dispatch", dispatch)
    spec = {"on_shutdown": [{"dispatch": {"file": "x"}, "timeout_s": 5}]}
    (step,) = hooks.steps_of(spec, "on_shutdown")
    config, cache = SchedulerConfig(), Cache(tmp_path)
    place = hooks.Place("u", "a", tmp_path, None, config, cache)
    assert hooks.perform(step, place, Budget(5)) == "sent"
    assert seen == [({"file": "x"}, "u")]
    assert (step.name, step.command) == ("dispatch", ())


def test_a_pause_ends_when_the_step_is_not_wanted_any_more() -> None:
    budget = Budget(60)
    threading.Timer(0.05, budget.stop).start()
    with pytest.raises(HookStopped):
        budget.pause(60)
