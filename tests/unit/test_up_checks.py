"""What keeps `up` from starting is told in one line that says what to do."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from kos_scheduler import up_checks
from kos_scheduler.up_checks import UpError, listen, lock_var, open_var


def test_a_new_var_is_private(tmp_path: Path) -> None:
    open_var(tmp_path / "var")
    assert (tmp_path / "var").stat().st_mode & 0o777 == 0o700


def test_a_second_start_in_the_same_var_is_told_who_has_it(tmp_path: Path) -> None:
    lock = lock_var(tmp_path)
    with pytest.raises(UpError, match=rf"process {os.getpid()}\).*another folder"):
        lock_var(tmp_path)
    os.close(lock)
    os.close(lock_var(tmp_path))


def test_a_var_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UpError, match=r"Cannot write in VAR .*file/var"):
        open_var(tmp_path / "file" / "var")


def test_a_var_too_long_for_a_socket_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UpError, match="too long for a socket"):
        open_var(tmp_path / ("x" * 120))


def test_a_taken_port_is_told_with_another_to_try() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UpError, match=r"taken by another program.*PORT="),
    ):
        listen("127.0.0.1", taken.getsockname()[1])


def test_a_port_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UpError, match="no port 70000"):
        listen("127.0.0.1", 70000)


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(UpError, match=r"192\.0\.2\.1"):
        listen("192.0.2.1", 0)


def test_an_old_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up_checks.sys, "version_info", (3, 10, 9))
    with pytest.raises(UpError, match=r"3\.11 or newer is needed, this one is 3\.10"):
        up_checks.check_machine()
