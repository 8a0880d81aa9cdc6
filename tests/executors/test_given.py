"""Secrets and the folder for artefacts, as programs of every environment find them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from agents.executors.base import Container, Ended, Given, LaunchSpec
from agents.executors.docker_spec import Rules, container_config
from agents.executors.given import take_back
from agents.executors.systemd_unit import Launch, properties
from tests.executors.harness import ENV, Bench

VALUE = 'pa$$ "word" `x` \\n back\\slash %h\nand a line'
SECRET = "sesame-opens-4711"
SHOW = """
printf %s "$TOKEN" > shown-env
cat "$KOS_SECRETS/db-key" > shown-file
stat -c '%a %u' "$KOS_SECRETS/db-key" > mode
id -u > me
touch "$KOS_ARTEFACTS/report.txt"
"""


def given_to(bench: Bench, uid: str, given: Given, script: str) -> Ended:
    work = bench.folder / uid / "work"
    env = {
        **ENV,
        "KOS_SECRETS": f"{work}/.secrets",
        "KOS_ARTEFACTS": f"{work}/artefacts",
    }
    return bench.run("sh", "-ec", script, uid=uid, env=env, given=given)


def test_a_program_finds_its_secrets_as_variable_and_as_file(real_bench: Bench) -> None:
    given = Given({"TOKEN": VALUE}, {"db-key": SECRET}, artefacts=True)
    uid = "a" * 32
    end = given_to(real_bench, uid, given, SHOW)
    work = real_bench.folder / uid / "work"
    assert end.exit_code == 0, real_bench.text(uid, "err")
    assert (work / "shown-env").read_text() == VALUE
    assert (work / "shown-file").read_text() == SECRET
    mode, owner = (work / "mode").read_text().split()
    assert (mode, owner) == ("400", (work / "me").read_text().strip())
    assert (work / "artefacts" / "report.txt").exists()


def test_nothing_of_ours_holds_a_secret_when_it_was_taken_back(
    real_bench: Bench, tmp_path: Path
) -> None:
    uid = "b" * 32
    given_to(real_bench, uid, Given({"TOKEN": SECRET}, {"db-key": SECRET}), "true")
    take_back(str(real_bench.folder / uid))
    found = [path for path in files_below(tmp_path) if SECRET in text_of(path)]
    assert found == []


def test_taking_back_follows_no_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("kept")
    work = tmp_path / "run" / "work"
    work.mkdir(parents=True)
    (work / ".secrets").symlink_to(other)
    take_back(str(tmp_path / "run"))
    assert (other / "precious").exists()
    assert not os.path.lexists(work / ".secrets")


def test_an_old_link_in_the_place_of_a_secret_is_not_written_through(
    tmp_path: Path,
) -> None:
    from agents.executors import given

    victim = tmp_path / "victim"
    victim.write_text("untouched")
    work = tmp_path / "work"
    work.mkdir()
    (work / ".secrets").symlink_to(tmp_path)
    given.put(
        str(work), {"env": {}, "files": {"victim": "x" * 9}, "artefacts": False}, None
    )
    assert victim.read_text() == "untouched"
    assert (work / ".secrets" / "victim").read_text() == "x" * 9


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    from agents.executors import given

    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "artefacts").symlink_to(tmp_path)
    with pytest.raises(OSError, match="artefacts"):
        given.put(f"{tmp_path}/work", {"env": {}, "files": {}, "artefacts": True}, None)


def files_below(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()]


def text_of(path: Path) -> str:
    """Nothing, for one that has just gone: folders are got ready beside us."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes().decode(errors="replace")
    return ""


def test_a_unit_tells_nobody_its_secrets(tmp_path: Path) -> None:
    given = Given({"TOKEN": SECRET}, {"db-key": SECRET})
    spec = LaunchSpec("a", 1, ("true",), tmp_path, {"PLAIN": "shown"}, given=given)
    told = properties(Launch("u", spec, "/bin/true", None, (), ("TOKEN",)))
    by_name = {name: value for name, _, value in told}
    assert "PLAIN=shown" in by_name["Environment"]
    assert SECRET not in repr(told) + repr(spec)
    assert "TOKEN" not in by_name["UnsetEnvironment"], "it would be taken out again"


def test_a_container_carries_no_secret_in_its_labels(tmp_path: Path) -> None:
    login = {"username": "kos", "password": SECRET}
    spec = LaunchSpec(
        "a",
        1,
        ("true",),
        tmp_path,
        container=Container("image", registry_auth=login),
        given=Given({"TOKEN": SECRET}),
    )
    config = container_config(spec, Rules(node="n"), ["true"])
    assert config.pop("environment")["TOKEN"] == SECRET
    assert SECRET not in repr(config) + repr(spec)
