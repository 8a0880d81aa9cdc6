"""Wait until an agent answers over HTTP on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from agents.hooks.budget import Budget, HookFailed

ANSWER_S = 10.0  # for one try, at most
MOST_ANSWER_BYTES = 1 << 20  # how much of a warm answer is read


def warm_up(options: Mapping[str, Any], budget: Budget) -> str:
    """Ask until the expected status comes. Raises HookFailed when the time is over,
    with what was seen last, and HookStopped."""
    url, expected, tries = options["http"], options["expect"], 0
    last = "nothing"
    with httpx.Client(trust_env=False, follow_redirects=False) as client:
        while True:
            tries += 1
            last = _ask(client, url, budget)
            if last == str(expected):
                count = "at once" if tries == 1 else f"at the {tries}. try"
                return f"answered {expected} {count}"
            try:
                budget.pause(options["every_s"])
            except HookFailed as over:
                raise HookFailed(f"{over}; the last answer was {last}") from None


def _ask(client: httpx.Client, url: str, budget: Budget) -> str:
    """The status, or what happened instead."""
    try:
        left_s = max(0.1, min(ANSWER_S, budget.left_s))
        with client.stream("GET", url, timeout=left_s) as answer:
            read = 0
            for chunk in answer.iter_raw(1 << 16):
                read += len(chunk)
                if read > MOST_ANSWER_BYTES or not budget.left_s:
                    break
            return str(answer.status_code)
    except httpx.HTTPError as error:
        return str(error) or type(error).__name__
