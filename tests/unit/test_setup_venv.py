"""What keeps `make run` from making its venv is told in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import ROOT

SCRIPT = ROOT / "tools" / "setup_venv"
NO_VENV = f"""#!/bin/sh
case "$2" in *ensurepip*) exit 1 ;; esac
exec {sys.executable} "$@"
"""
TOO_OLD = """#!/bin/sh
case "$2" in *exit*) exit 1 ;; esac
echo 3.9
"""


@pytest.fixture
def only_tools(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has what a shell script needs, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "cmp", "sed"):
        (folder / name).symlink_to(shutil.which(name) or name)
    return {**os.environ, "PATH": str(folder)}


def setup(python: object, folder: Path, env: dict[str, str]) -> tuple[int, list[str]]:
    (folder / "pins.txt").write_text("")
    ran = subprocess.run(
        ["/bin/sh", str(SCRIPT), str(python), "venv", "pins.txt"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
    )
    return ran.returncode, ran.stderr.splitlines()


def program(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o700)
    return path


def test_no_python_at_all(tmp_path: Path, only_tools: dict[str, str]) -> None:
    code, [line] = setup("python3", tmp_path, only_tools)
    assert code == 1
    assert "Python 3.11 or newer is needed; python3 is missing." in line
    assert "make run PYTHON=" in line


def test_an_old_python(tmp_path: Path, only_tools: dict[str, str]) -> None:
    old = program(tmp_path / "python3", TOO_OLD)
    code, [line] = setup(old, tmp_path, only_tools)
    assert code == 1
    assert "is 3.9. Install one" in line


def test_a_missing_venv_module(tmp_path: Path, only_tools: dict[str, str]) -> None:
    bare = program(tmp_path / "python3", NO_VENV)
    code, [line] = setup(bare, tmp_path, only_tools)
    assert code == 1
    assert "sudo apt install python3-venv" in line


def test_unchanged_pins_are_not_installed_again(tmp_path: Path) -> None:
    assert setup(sys.executable, tmp_path, dict(os.environ)) == (0, [])
    without_index = {**os.environ, "PIP_CONFIG_FILE": "/nonexistent/pip.conf"}
    pip = tmp_path / "venv" / "bin" / "pip"
    pip.unlink()
    assert setup(sys.executable, tmp_path, without_index) == (0, [])
    assert not pip.exists()
