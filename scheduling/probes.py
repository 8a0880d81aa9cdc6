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

import httpx

from scheduling.reached import Way
from scheduling.run_folders import folder_of

HANGS_UP_S = 0.25  # by then Docker has found that nobody in the container listens


class NotWell(Exception):
    """What was found instead, for people."""


@dataclass(frozen=True, slots=True)
class Look:
    """Where to look: a probe of a spec, for one run."""

    uid: str
    by: str  # "port", "http" or "command"
    target: Any
    timeout_s: float
    way: Way
    env: Mapping[str, str]


async def look(at: Look) -> None:
    """Return when all is well. Raises NotWell."""
    does = {"port": _port, "http": _http, "command": _command}[at.by]
    try:
        await asyncio.wait_for(does(at), at.timeout_s)
    except TimeoutError:
        raise NotWell(f"no answer within {at.timeout_s:g} s") from None


async def _port(at: Look) -> None:
    port = at.way.port(at.target)
    nobody = NotWell(f"nothing listens on port {port}")
    try:
        reader, writer = await asyncio.open_connection(at.way.host, port)
    except OSError:
        raise nobody from None
    try:
        within_s = min(HANGS_UP_S, at.timeout_s / 2)
        if at.way.address and await _is_hung_up(reader, within_s):
            raise nobody
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _is_hung_up(reader: asyncio.StreamReader, within_s: float) -> bool:
    """Docker's proxy takes every connection to a port it publishes, and ends at once
    those that nobody in the container takes from it."""
    try:
        return not await asyncio.wait_for(reader.read(1), within_s)
    except TimeoutError:
        return False  # it is held open: somebody waits for words
    except OSError:
        return True


async def _http(at: Look) -> None:
    url = at.way.url(at.target)
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
