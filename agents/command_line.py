"""A command as people paste it, taken apart into a program and its arguments.

What needs a shell (a pipe, a redirection, `&&`) is given to `/bin/sh -c` as it stands,
never re-quoted. Pure.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

from agents.errors import Invalid
from agents.text import unstorable

MAX_CHARS = 32_768
ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.ASCII | re.DOTALL)
WORKS_WITHIN = {"": "|&;<>()`$*?~\n", '"': "`$", "'": ""}  # by the quotes around it


@dataclass(frozen=True, slots=True)
class Command:
    entry_point: str
    args: list[str]
    env: dict[str, str] = field(default_factory=dict)
    note: str = ""


def parse_command(text: object) -> Command:
    """The program and arguments of a command line. Raises Invalid."""
    if not isinstance(text, str) or not text.strip():
        raise _wrong(
            "must be a command such as \"python3 report.py --day 'last monday'\""
        )
    if len(text) > MAX_CHARS:
        raise _wrong(f"is longer than {MAX_CHARS} characters")
    if said := unstorable(text):
        raise _wrong(said)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _wrong(f"cannot be taken apart: {str(error).lower()}") from None
    if _needs_shell(text):
        return Command("/bin/sh", ["-c", text.strip()], note="uses the shell")
    env = _leading_assignments(words)
    rest = words[len(env) :]
    if not rest:
        raise _wrong("names no program")
    return Command(rest[0], rest[1:], env)


def _needs_shell(text: str) -> bool:
    """Whether an operator or expansion of the shell stands where it would work."""
    quote, escaped = "", False
    for character in text.strip():
        if escaped:
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        elif character in WORKS_WITHIN[quote]:
            return True
    return False


def _leading_assignments(words: list[str]) -> dict[str, str]:
    env: dict[str, str] = {}
    for word in words:
        match = ASSIGNMENT.fullmatch(word)
        if match is None or match[1] in env:
            break
        env[match[1]] = match[2]
    return env


def _wrong(said: str) -> Invalid:
    return Invalid(f"command: {said}", {"command": [said]})
