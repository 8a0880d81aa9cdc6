"""One look at a run: does its port take connections, does its URL answer, does the
command end well? Each has its own time limit and blocks nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from agents.definition_health import port_of
from scheduling.run_folders import folder_of

HOST = "127.0.0.1"


class NotWell(Exception):
    """What was found instead, for people."""


@dataclass(frozen=True, slots=True)
class Look:
    """Where to look: a probe of a spec, for one run."""

    uid: str
    by: str  # "port", "http" or "command"
    target: Any
    timeout_s: float
    ports: Mapping[str, tuple[int, int]]  # as the definition names them
    given: Mapping[str, int]  # as this run was given them
    env: Mapping[str, str]


async def look(at: Look) -> None:
    """Return when all is well. Raises NotWell."""
    does = {"port": _port, "http": _http, "command": _command}[at.by]
    try:
        await asyncio.wait_for(does(at), at.timeout_s)
    except TimeoutError:
        raise NotWell(f"no answer within {at.timeout_s:g} s") from None


def port_for(at: Look, port: int | str) -> int:
    """The port on this machine that a name or number of the definition means."""
    if isinstance(port, str):
        return at.given.get(port, at.ports.get(port, (0, 0))[0])
    for name, (first, last) in at.ports.items():
        if first <= port <= last and name in at.given:
            return at.given[name]
    return port


async def _port(at: Look) -> None:
    port = port_for(at, at.target)
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        raise NotWell(f"nothing listens on port {port}") from None
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def _http(at: Look) -> None:
    url = url_for(at)
    try:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=at.timeout_s) as client,
            client.stream("GET", url) as answer,
        ):
            status = answer.status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = str(error) or type(error).__name__
        raise NotWell(f"{url} does not answer: {why}") from None
    if not 200 <= status < 400:
        raise NotWell(f"{url} answers {status}")


def url_for(at: Look) -> str:
    parts = urlsplit(at.target)
    port = port_for(at, port_of(at.target))
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    found: str = urlunsplit(parts._replace(netloc=f"{host}:{port}"))
    return found


async def _command(at: Look) -> None:
    try:
        step = await asyncio.create_subprocess_exec(
            *at.target,
            cwd=folder_of(at.uid) / "work",
            env=dict(at.env),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise NotWell(f"{at.target[0]} cannot start: {error.strerror}") from None
    try:
        code = await step.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(step.pid, signal.SIGKILL)
    if code:
        raise NotWell(f"{at.target[0]} ended with {code}")
