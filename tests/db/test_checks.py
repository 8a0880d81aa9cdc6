"""What `check`, `doctor` and the settings say about an installation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.core.management import call_command

from agents.models import Node
from kos_scheduler import checks, database_url
from tests.conftest import NOON

ROOT = Path(__file__).resolve().parents[2]


def ids(found: Any) -> list[str]:
    return [message.id for message in found]


def manage(*argv: str, var: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command in a process of its own, as people run it."""
    kept = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *argv],
        env={**kept, "KOS_VAR": str(var), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_production_settings_pass_the_deploy_check(tmp_path: Path) -> None:
    done = manage(
        *("check", "--deploy", "--fail-level", "WARNING"),
        var=tmp_path,
        KOS_PRODUCTION="1",
        KOS_ALLOWED_HOSTS="kos.example",
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("process", ["scheduler", "node", "worker", "rqscheduler"])
def test_a_lean_process_checks_without_what_views_need(
    tmp_path: Path, process: str
) -> None:
    heavy = "rest_framework", "channels", "django.contrib.admin", "unfold"
    code = (
        "import django, sys; django.setup(); from django.core.checks import run_checks;"
        f"run_checks(); print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "PATH": os.environ["PATH"],
            "KOS_VAR": str(tmp_path),
            "KOS_PROCESS": process,
            "DJANGO_SETTINGS_MODULE": "kos_scheduler.settings",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_wrong_configuration_stops_every_command_with_one_line(
    tmp_path: Path,
) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("scheduler_mode: fast\n")
    done = manage("check", var=tmp_path, KOS_CONFIG=str(file))
    assert done.returncode == 1
    assert done.stderr.startswith(f"configuration: {file}: line 1: scheduler_mode: ")
    assert "Traceback" not in done.stderr


def test_a_token_before_the_tables_says_what_to_do(tmp_path: Path) -> None:
    done = manage("token", "--name", "ci", var=tmp_path)
    assert done.returncode == 1
    assert "manage.py migrate" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_redis_that_is_away_is_told(settings: LazySettings) -> None:
    from agents import redis

    assert ids(checks.redis_answers()) == []
    settings.REDIS_URL = "unix:///nowhere.sock"
    redis.connection.cache_clear()
    try:
        assert ids(checks.redis_answers()) == ["kos.W001"]
    finally:
        redis.connection.cache_clear()


def test_secrets_others_can_read_are_told(
    settings: LazySettings, tmp_path: Path
) -> None:
    settings.VAR = tmp_path
    key = tmp_path / "secret-key"
    key.write_text("x")
    key.chmod(0o644)
    settings.SECRET_KEY = "short"
    assert ids(checks.secrets_are_private()) == ["kos.E002", "kos.E003"]


def test_a_state_folder_others_can_write_is_told(
    settings: LazySettings, tmp_path: Path
) -> None:
    settings.VAR = tmp_path
    tmp_path.chmod(0o777)
    assert ids(checks.state_folder_is_private()) == ["kos.E004"]
    tmp_path.chmod(0o700)
    assert ids(checks.state_folder_is_private()) == []


def test_a_node_as_root_is_warned(
    settings: LazySettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PROCESS = "node"
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert ids(checks.not_root()) == ["kos.W002"]
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert ids(checks.not_root()) == []


@pytest.mark.django_db
def test_doctor_names_what_is_missing_and_the_cure(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        call_command("doctor")
    said = capsys.readouterr().out
    assert ended.value.code == 1
    assert "nobody is an administrator" in said
    assert "-> manage.py createsuperuser" in said
    assert "no node has ever reported" in said


@pytest.mark.django_db
def test_doctor_is_content_with_a_sound_installation(user_of: Any, capsys: Any) -> None:
    user_of("admin")
    Node.objects.create(
        name="a",
        cpu_millis=1000,
        memory_bytes=10**9,
        heartbeat_at=NOON.replace(year=2020),
    )
    call_command("doctor")
    said = capsys.readouterr().out
    assert "there is an administrator" in said
    assert "node a has not reported since 2020-11-23 12:00:00 UTC" in said


def test_a_postgresql_url_becomes_settings() -> None:
    found = database_url.parse(
        "postgresql://kos:p%40ss%2F@db.example:5433/kos_main?sslmode=require"
    )
    assert found["ENGINE"] == "django.db.backends.postgresql"
    assert (found["USER"], found["PASSWORD"]) == ("kos", "p@ss/")
    assert (found["HOST"], found["PORT"], found["NAME"]) == (
        "db.example",
        "5433",
        "kos_main",
    )
    assert found["OPTIONS"]["sslmode"] == "require"


def test_a_socket_folder_may_stand_in_the_query() -> None:
    found = database_url.parse("postgres:///kos?host=/run/postgresql")
    assert (found["HOST"], found["PORT"], found["NAME"]) == (
        "/run/postgresql",
        "",
        "kos",
    )


@pytest.mark.parametrize(
    "url",
    [
        "mysql://a:secret@b/c",
        "sqlite:///x",
        "postgresql://u:secret@h/",
        "postgresql://u:secret@h:port/db",
        "postgresql://u:secret@h/db?options=-csearch_path",
        "postgresql://u:secret@h/a/b",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(database_url.DatabaseUrlError) as caught:
        database_url.parse(url)
    assert "secret" not in str(caught.value)
