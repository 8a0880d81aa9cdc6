"""The seed's life-cycle hooks: what is done before an agent starts, in order.

Each step is a command of the agent's own, with its own time limit, run in the agent's
environment and work folder. A step that fails fails the run, with the step named.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from agents.executors.base import LaunchSpec

SAID_MOST_CHARS = 160


class HookFailed(Exception):
    """A hook step ended badly; the text tells which and how."""


@dataclass(frozen=True, slots=True)
class Hook:
    command: tuple[str, ...]
    time_limit_s: float


async def pre_start(hooks: tuple[Hook, ...], spec: LaunchSpec) -> None:
    """Go through the steps in order. Raises HookFailed at the first that fails."""
    work = spec.folder / "work"
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number, hook in enumerate(hooks, 1):
        await _run(f"pre-start hook {number}", hook, work, dict(spec.env))


async def _run(name: str, hook: Hook, work: Path, env: dict[str, str]) -> None:
    try:
        step = await asyncio.create_subprocess_exec(
            *hook.command,
            cwd=work,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise HookFailed(f"{name} cannot start: {error.strerror}") from error
    try:
        _, said = await asyncio.wait_for(step.communicate(), hook.time_limit_s)
    except TimeoutError:
        raise HookFailed(f"{name} took over {hook.time_limit_s:g} s") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(step.pid, signal.SIGKILL)
    if step.returncode:
        last = said.decode(errors="replace").strip()[-SAID_MOST_CHARS:]
        raise HookFailed(f"{name} ended with {step.returncode}: {last}")
