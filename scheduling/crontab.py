"""A crontab, read as cron reads it: every line is an entry, a setting, or explained.

Pure. Follows the cron of Debian (Vixie cron): settings apply to the lines below them,
the first unescaped % ends a command and the rest is its standard input, and a command
is one string for the shell. Nothing is expanded here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from scheduling.triggers import cron_rule

Outcome = Literal["taken", "setting", "ignored", "refused"]
REBOOT = "@reboot"
MAX_COMMAND_CHARS = 998  # of Debian's cron; a longer line is an error there
MAX_LINES = 10_000

SETTING = re.compile(
    r"""\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<plain>[^\s=]+))"""
    r"""\s*=(?P<value>.*)"""
)
TIMES = re.compile(r"\s*(?P<rule>@\S+|\S+(?:[ \t]+\S+){4})(?:[ \t]+(?P<rest>.*))?")
USER = re.compile(r"(?P<user>\S+)(?:[ \t]+(?P<command>.*))?")
USER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\$?", re.ASCII)
SHELL, PATH = "/bin/sh", "/usr/bin:/bin"  # what cron itself starts with
MAIL = ("MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING")


@dataclass(frozen=True, slots=True)
class Job:
    """One entry, with the settings that stand above it."""

    rule: str  # five fields, an alias, or @reboot
    command: str
    stdin: str | None  # None: nothing after a %
    user: str | None  # of the system form
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def is_at_boot(self) -> bool:
        return self.rule == REBOOT


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    text: str
    outcome: Outcome
    said: str  # for people: why it is ignored or refused, what it sets
    job: Job | None = None


def parse(
    text: str, *, system: bool | None = None, users: Collection[str] = ()
) -> list[Line]:
    """Every line of a crontab, in order.

    `system`: entries have a user column; None finds out by whether the sixth word of
    most entries is one of `users`.
    """
    rows = text.split("\n")
    if rows[-1] == "":
        rows.pop()
    if system is None:
        system = looks_like_system(rows, users)
    settings: dict[str, str] = {}
    return [_line(n, row, system, settings) for n, row in enumerate(rows, 1)]


def looks_like_system(rows: Iterable[str], users: Collection[str]) -> bool:
    """Whether most entries name a known user before a command."""
    named = []
    for row in rows:
        if _is_blank(row) or row.lstrip().startswith("#") or SETTING.fullmatch(row):
            continue
        times = TIMES.fullmatch(row)
        sixth = USER.fullmatch(times["rest"] or "") if times else None
        command = (sixth["command"] or "") if sixth else ""
        has_command = command != "" and not command.startswith("-")  # else an option
        named.append(bool(sixth and sixth["user"] in users and has_command))
    return sum(named) * 2 > len(named)


def _is_blank(row: str) -> bool:
    return not row.strip(" \t")


def _line(number: int, row: str, system: bool, settings: dict[str, str]) -> Line:
    """One line; a setting is added to `settings`."""

    def told(outcome: Outcome, said: str, job: Job | None = None) -> Line:
        return Line(number, row, outcome, said, job)

    if number > MAX_LINES:
        return told("refused", f"beyond the first {MAX_LINES} lines")
    if _is_blank(row):
        return told("ignored", "blank")
    if row.lstrip(" \t").startswith("#"):
        return told("ignored", "comment")
    if said := _unreadable(row):
        return told("refused", said)
    if (match := SETTING.fullmatch(row)) is not None:
        return told(*_setting(match, settings))
    try:
        return told("taken", "", _job(row, system, dict(settings)))
    except ValueError as fault:
        return told("refused", str(fault))


def _unreadable(row: str) -> str:
    if row.endswith("\r"):
        return "ends with a carriage return, which cron would pass to the command"
    if "\0" in row or any("\ud800" <= c <= "\udfff" for c in row):
        return "is not UTF-8 text"
    return ""


def _setting(match: re.Match[str], settings: dict[str, str]) -> tuple[Outcome, str]:
    name = next(n for n in match.group("double", "single", "plain") if n is not None)
    value = match["value"].strip(" \t")
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        value = value[1:-1]
    if name in MAIL:
        return "ignored", "mail is not sent; each run keeps its output"
    settings[name] = value
    return "setting", f"{name} is set for the lines below"


def _job(row: str, system: bool, settings: dict[str, str]) -> Job:
    """The entry of a line. Raises ValueError with the reason it cannot be taken."""
    match = TIMES.fullmatch(row)
    if match is None:
        raise ValueError("is neither five time fields and a command nor NAME=value")
    rule, rest, user = match["rule"], match["rest"] or "", None
    if rule.lower() == REBOOT:
        rule = REBOOT
    else:
        cron_rule.parse(rule)  # CronError is a ValueError with the reason
    if system:
        column = USER.fullmatch(rest)
        user, rest = (column["user"], column["command"] or "") if column else ("", "")
        if not USER_NAME.fullmatch(user):
            raise ValueError(f"names no user before the command: {user[:40]!r}")
    if not rest:
        raise ValueError("has no command")
    if len(rest) > MAX_COMMAND_CHARS:
        raise ValueError(f"has a command longer than {MAX_COMMAND_CHARS} characters")
    command, after = split_at_percent(rest)
    if not command.strip():
        raise ValueError("has no command before the %")
    rule = " ".join(rule.split())
    return Job(rule, command, stdin_of(after) if after else None, user, settings)


def split_at_percent(text: str) -> tuple[str, str]:
    """The command, its \\% turned into %, and what follows the first bare %."""
    command: list[str] = []
    escaped = False
    for place, character in enumerate(text):
        if escaped and character == "%":
            command[-1] = "%"
        elif character == "%":
            return "".join(command), text[place + 1 :]
        else:
            command.append(character)
        escaped = character == "\\" and not escaped
    return "".join(command), ""


def stdin_of(text: str) -> str:
    """What the command reads: % is a new line, \\% a percent, the end a new line."""
    written: list[str] = []
    escaped = False
    for character in text:
        if escaped and character != "%":
            written.append("\\")
        if not escaped and character == "%":
            character = "\n"
        escaped = character == "\\"
        if not escaped:
            written.append(character)
    if escaped:
        written.append("\\")
    if written and written[-1] != "\n":
        written.append("\n")
    return "".join(written)
