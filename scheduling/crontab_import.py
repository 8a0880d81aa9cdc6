"""From the entries of a crontab to agents and schedules that do the same.

A command runs as cron runs it: by the crontab's SHELL (or /bin/sh) with -c, in the
user's home, with cron's own few variables, however many of it run at once, and not
later when its time was missed. The same command in several lines is one agent.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import transaction

from agents import names
from agents.errors import KosError
from agents.models import Agent
from scheduling import fleet
from scheduling.crontab import PATH, SHELL, Job, Line
from scheduling.fleet import By, Entry, Plan, Step

# Both keep the command one word of an argument list: nothing is quoted or expanded.
IN_HOME = 'cd "$HOME" && exec "$0" -c "$1"'
IN_HOME_WITH_INPUT = f"{IN_HOME} <<EOF\n$2\nEOF\n"
OURS = {"SHELL", "CRON_TZ", "RANDOM_DELAY"}  # read here, not passed on as they are
TIMEOUT = "1d"  # cron has no limit; a day is longer than any job that comes daily
NOT_A_PROGRAM = {
    *("[", "[[", "test", "if", "then", "else", "cd", "command", "exec", "env", "nice"),
    *("ionice", "sudo", "flock", "chronic", "sleep", "while", "for", "do", "export"),
    *("true", "false", "echo", "perl", "sh", "bash", "python3", "set", "umask", "time"),
}
WORD = re.compile(r"[A-Za-z0-9_.+/-]+")
BESIDE_THE_POINT = re.compile(  # quoted words, tests, assignments, redirections
    r"""'[^']*'|"[^"]*"|(?:\btest|\[)\s[^;&|]*|\b[A-Za-z_]\w*=\S*|[0-9]*[<>]+&?\s*\S*"""
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the crontab comes from and whose machine it is."""

    label: str  # of the file: part of the agents' ids
    timezone: str
    own_user: str  # who imports; the entries of a user's crontab are theirs
    is_root: bool
    home_of: Callable[[str], str | None]  # None: no such user


@dataclass(frozen=True, slots=True)
class Wish:
    """What one entry asks for, or why it cannot be had."""

    line: Line
    definition: dict[str, Any]
    schedule: dict[str, Any] | None  # None: at boot only


def import_lines(
    lines: Sequence[Line], place: Place, by: By, *, dry_run: bool
) -> list[Line]:
    """Make agents and schedules of the entries; each line comes back accounted for.

    What is refused of one line does not stop the others. A dry run does it all and
    takes it back.
    """
    wishes, told = _wishes(lines, place)
    with transaction.atomic():
        made = _plan(wishes, by)
        faults = _faults(made) | _carry_out(made, by)
        if dry_run:
            transaction.set_rollback(True)
    for wish in wishes:
        told[wish.line.number] = _settled(wish, wishes, faults, made.steps)
    return [told.get(line.number, line) for line in lines]


def _wishes(lines: Sequence[Line], place: Place) -> tuple[list[Wish], dict[int, Line]]:
    """What the entries ask for, and the lines that were refused on the way."""
    ids, told, wishes = Ids(place.label), dict[int, Line](), list[Wish]()
    for line in lines:
        if line.job is not None:
            try:
                wishes.append(_wish(line, line.job, ids, place))
            except ValueError as fault:
                told[line.number] = _refused(line, str(fault))
        elif line.outcome == "setting" and (said := _unusable(line)):
            told[line.number] = _refused(line, said)
    return _merged(wishes), told


def _unusable(line: Line) -> str:
    """Why a setting cannot reach the program, if it cannot."""
    name = line.said.split(" ", 1)[0]
    try:
        names.variable(name)
    except ValueError as fault:
        return str(fault)
    return ""


def _refused(line: Line, said: str) -> Line:
    return replace(line, outcome="refused", said=said, job=None)


def _wish(line: Line, job: Job, ids: Ids, place: Place) -> Wish:
    user = job.user or place.own_user
    home = place.home_of(user)
    if home is None:
        raise ValueError(f"there is no user {user} on this machine; cron skips it too")
    definition = {
        "agent_id": ids.of(job),
        "exec_env": "subprocess",
        "entry_point": SHELL,
        "args": _arguments(job),
        "env": _environment(job, user, home),
        "tags": ["crontab", f"crontab:{place.label}"],
        "timeout": TIMEOUT,
        "start_at_boot": job.is_at_boot,
    }
    if job.user and (place.is_root or job.user != place.own_user):
        definition["run_as"] = job.user
    return Wish(line, definition, None if job.is_at_boot else _schedule(job, place))


def _arguments(job: Job) -> list[str]:
    shell = job.settings.get("SHELL") or SHELL
    if job.stdin is None:
        return ["-c", IN_HOME, shell, job.command]
    # a here-document ends in a new line of its own, so one is taken off
    return ["-c", IN_HOME_WITH_INPUT, shell, job.command, job.stdin.removesuffix("\n")]


def _environment(job: Job, user: str, home: str) -> dict[str, str]:
    given = {"HOME": home, "PATH": PATH, **job.settings}
    kept = {name: value for name, value in given.items() if name not in OURS}
    usable = {name: value for name, value in kept.items() if _is_variable(name)}
    return {**usable, "SHELL": job.settings.get("SHELL") or SHELL, "LOGNAME": user}


def _is_variable(name: str) -> bool:
    try:
        names.variable(name)
    except ValueError:
        return False
    return True


def _schedule(job: Job, place: Place) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "cron": job.rule,
        "timezone": job.settings.get("CRON_TZ") or place.timezone,
        "overlap": "allow_all",
        "missed": "skip",
    }
    delay = job.settings.get("RANDOM_DELAY", "")
    if delay.isdigit() and int(delay):
        shape["jitter"] = int(delay) * 60
    return shape


class Ids:
    """Agent ids that say what runs and stay the same from import to import."""

    def __init__(self, label: str) -> None:
        self.label = slug(label, 20) or "crontab"
        self.seen: dict[str, list[Mapping[str, str]]] = {}

    def of(self, job: Job) -> str:
        """Equal jobs have one id; the same command under other settings another."""
        parts = "\0".join((job.user or "", job.command, job.stdin or ""))
        digest = hashlib.sha256(parts.encode()).hexdigest()[:6]
        known = self.seen.setdefault(digest, [])
        if job.settings not in known:
            known.append(job.settings)
        number = known.index(job.settings)
        tail = f"{digest}-{number + 1}" if number else digest
        return f"{self.label}-{slug(program_of(job.command), 24) or 'job'}-{tail}"


def program_of(command: str) -> str:
    """The name people know the command by: its first program that is not a helper."""
    bare = BESIDE_THE_POINT.sub(" ", command)
    words: list[str] = [w.rsplit("/", 1)[-1] for w in WORD.findall(bare)]
    useful = [w for w in words if w and w[0].isalpha() and w not in NOT_A_PROGRAM]
    return (useful or words or ["job"])[0]


def slug(text: str, most: int) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", text)[:most].strip("-_")


def _merged(wishes: Sequence[Wish]) -> list[Wish]:
    """One definition for each agent: started at boot if any of its lines says so."""
    at_boot = {
        wish.definition["agent_id"]
        for wish in wishes
        if wish.definition["start_at_boot"]
    }
    for wish in wishes:
        wish.definition["start_at_boot"] = wish.definition["agent_id"] in at_boot
    return list(wishes)


# --- the plan, by line: an entry's agent stands at "7:agent", its time at "7:time" --


def _plan(wishes: Sequence[Wish], by: By) -> Plan:
    agents: dict[str, Entry] = {}
    timetable = []
    for wish in wishes:
        agent_id, number = wish.definition["agent_id"], wish.line.number
        agents.setdefault(agent_id, Entry(f"{number}:agent", wish.definition))
        if wish.schedule is not None:
            shape = {"agent": agent_id, **wish.schedule}
            timetable.append(Entry(f"{number}:time", shape))
    return fleet.plan(list(agents.values()), timetable, by)


def _faults(made: Plan) -> dict[str, str]:
    faults: dict[str, str] = {}
    for fault in made.faults:
        where, _, said = fault.partition(": ")
        faults.setdefault(where, said)
    return faults


def _carry_out(made: Plan, by: By) -> dict[str, str]:
    """Do the steps agent by agent; one none of whose times was taken is not made."""
    faults: dict[str, str] = {}
    by_agent: dict[str, list[Step]] = {}
    for step in made.steps:
        by_agent.setdefault(step.agent_id, []).append(step)
    for steps in by_agent.values():
        with transaction.atomic():
            own = {s.where: said for s in steps if (said := _refusal(s, by))}
            times = {s.where for s in steps if s.where.endswith(":time")}
            if own and times <= own.keys():
                transaction.set_rollback(True)
        faults |= own
    return faults


def _refusal(step: Step, by: By) -> str:
    """Do the step; what was said against it, or nothing."""
    try:
        with transaction.atomic():
            fleet.carry_out_step(step, by)
    except KosError as refusal:
        return str(refusal)
    return ""


def _settled(
    wish: Wish,
    wishes: Iterable[Wish],
    faults: Mapping[str, str],
    steps: Iterable[Step],
) -> Line:
    """The line with what became of it."""
    number, agent_id = wish.line.number, wish.definition["agent_id"]
    twins = (w.line.number for w in wishes if w.definition["agent_id"] == agent_id)
    said = faults.get(f"{next(twins)}:agent") or faults.get(f"{number}:time")
    if said:
        return _refused(wish.line, said)
    own = [step for step in steps if step.where.split(":")[0] == str(number)]
    is_same = all(step.verb == "unchanged" for step in own)
    when = wish.schedule["cron"] if wish.schedule else "when a node starts"
    verb = "unchanged" if is_same else "new or changed"
    return replace(wish.line, said=f"agent {agent_id}, {when} ({verb})")


def left_over(lines: Iterable[Line], by: By) -> list[str]:
    """Agents that an earlier import of this crontab made and that no line asks for."""
    asked = {line.said.split(",")[0].removeprefix("agent ") for line in lines}
    made = Agent.objects.filter(
        retired_at=None, versions__number=1, versions__created_by=by.actor
    )
    return sorted(set(made.values_list("agent_id", flat=True)) - asked)
