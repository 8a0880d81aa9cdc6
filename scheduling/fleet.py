"""A whole fleet as one description: compared with what is there, then made so.

`plan` reads and decides; the steps it gives are values that can be shown. `carry_out`
does them. Applying the same description again finds nothing to do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from graphlib import CycleError, TopologicalSorter
from typing import Any, Literal

from django.conf import settings
from django.db import transaction

from agents import agent_registry
from agents.allowed import Rules, check
from agents.errors import KosError
from agents.http import iso
from agents.models import Agent
from agents.quantities import QuantityError, parse_duration
from scheduling import schedules
from scheduling.models import Schedule
from scheduling.schedule_input import parse_schedule, shape_of

Verb = Literal["create", "change", "unchanged", "retire", "end"]
VERBS: tuple[Verb, ...] = ("create", "change", "unchanged", "retire", "end")
FROM_NOW = re.compile(r"in (\S+)")  # run_at: "in 20m", once per agent


@dataclass(frozen=True, slots=True)
class Entry:
    """One agent or schedule as it was written, and where."""

    where: str  # "fleet.yaml:12: agents[2]"
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    verb: Verb
    agent_id: str
    where: str = ""
    definition: Mapping[str, Any] | None = None  # of an agent
    schedule: Mapping[str, Any] | None = None  # its HTTP shape
    existing: Schedule | None = None
    what: str = ""  # for people, what changes

    def __str__(self) -> str:
        subject = f"agent {self.agent_id}"
        if self.schedule is not None or self.existing is not None:
            subject = f"schedule of {self.agent_id}"
        return f"{self.verb:9} {subject}" + (f": {self.what}" if self.what else "")


@dataclass(slots=True)
class Plan:
    steps: list[Step] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # "where: what is wrong"

    def count(self, verb: Verb) -> int:
        return sum(step.verb == verb for step in self.steps)


@dataclass(frozen=True, slots=True)
class By:
    """Who applies, when, and what they may do. What they made they may also prune."""

    actor: str
    now: datetime
    rules: Rules
    prune_agents: bool = False
    prune_schedules: bool = False


def plan(agents: Sequence[Entry], timetable: Sequence[Entry], by: By) -> Plan:
    """What it takes to have these agents and schedules."""
    made = Plan()
    known = {
        a.agent_id: a
        for a in Agent.objects.select_related("current").filter(retired_at=None)
    }
    specs = _specs(agents, by, made)
    for entry in _in_order(agents, specs, made):
        made.steps.append(_agent_step(entry, specs[entry.where], known))
    names = {spec["agent_id"] for spec in specs.values()}
    _plan_schedules(timetable, names, known, by, made)
    if by.prune_agents:
        made.steps += [
            Step("retire", name)
            for name in sorted(known.keys() - names)
            if _made_by(known[name], by.actor)
        ]
    return made


def _specs(agents: Sequence[Entry], by: By, made: Plan) -> dict[str, Mapping[str, Any]]:
    """The checked spec of each entry, by where it stands; faults are noted."""
    specs: dict[str, Mapping[str, Any]] = {}
    places: dict[str, str] = {}
    for entry in agents:
        try:
            spec = check(entry.raw, may_unsandboxed=True, rules=by.rules)
        except KosError as fault:
            _note(made, entry, fault)
            continue
        key = spec["agent_id"].lower()
        if key in places:
            first = places[key]
            made.faults.append(f"{entry.where}: {spec['agent_id']} is also at {first}")
            continue
        places[key] = entry.where
        specs[entry.where] = spec
    return specs


def _note(made: Plan, entry: Entry, fault: KosError) -> None:
    said = [f"{k}: {text}" for k, texts in fault.fields.items() for text in texts]
    made.faults += [f"{entry.where}: {text}" for text in said or [str(fault)]]


def _in_order(
    agents: Sequence[Entry], specs: Mapping[str, Mapping[str, Any]], made: Plan
) -> list[Entry]:
    """Entries so that what an agent depends on comes before it."""
    entries = {e.where: e for e in agents if e.where in specs}
    by_id = {spec["agent_id"]: where for where, spec in specs.items()}
    needs = {
        where: [by_id[n] for n in specs[where]["depends_on"] if n in by_id]
        for where in entries
    }
    try:
        return [entries[where] for where in TopologicalSorter(needs).static_order()]
    except CycleError as circle:
        around = " → ".join(specs[where]["agent_id"] for where in circle.args[1])
        made.faults.append(f"depends_on forms a circle: {around}")
        return []


def _agent_step(
    entry: Entry, spec: Mapping[str, Any], known: Mapping[str, Agent]
) -> Step:
    agent_id, agent = spec["agent_id"], known.get(spec["agent_id"])
    if agent is None:
        return Step("create", agent_id, entry.where, entry.raw)
    enabled_too = "enabled" in entry.raw
    if not agent_registry.differs(agent, spec, enabled_too=enabled_too):
        return Step("unchanged", agent_id, entry.where, entry.raw)
    changed = [key for key, value in spec.items() if agent.spec.get(key) != value]
    return Step("change", agent_id, entry.where, entry.raw, what=", ".join(changed))


def _made_by(agent: Agent, actor: str) -> bool:
    return agent.versions.filter(number=1, created_by=actor).exists()


# --- schedules: the same agent, kind and rule is the same schedule ------------------


def _plan_schedules(
    timetable: Sequence[Entry],
    names: set[str],
    known: Mapping[str, Agent],
    by: By,
    made: Plan,
) -> None:
    free = _existing(known.values())
    for entry in timetable:
        agent_id = entry.raw.get("agent")
        if not isinstance(agent_id, str) or agent_id not in names | known.keys():
            said = f"agent: there is no agent {str(agent_id)[:70]!r}"
            made.faults.append(f"{entry.where}: {said}")
            continue
        try:
            made.steps.append(_schedule_step(entry, free.get(agent_id, []), by))
        except KosError as fault:
            _note(made, entry, fault)
    if by.prune_schedules:
        made.steps += [
            Step("end", row.agent.agent_id, existing=row, what=f"{row.kind} {row.rule}")
            for name in sorted(names)
            for row in free.get(name, [])
            if row.ended_at is None and row.created_by == by.actor
        ]


def _existing(agents: Iterable[Agent]) -> dict[str, list[Schedule]]:
    """Each agent's schedules, live ones first; each is matched at most once."""
    rows: dict[str, list[Schedule]] = {}
    own = Schedule.objects.filter(agent__in=list(agents), graph="")
    found = own.select_related("agent")
    for row in sorted(found, key=lambda r: (r.ended_at is not None, r.pk)):
        rows.setdefault(row.agent.agent_id, []).append(row)
    return rows


def _schedule_step(entry: Entry, free: list[Schedule], by: By) -> Step:
    agent_id = entry.raw["agent"]
    shape, is_relative = _resolved(entry.raw, by.now)
    columns = parse_schedule(shape, default_zone=settings.TIME_ZONE).columns
    kind, rule = columns["kind"], columns["rule"]
    twin = next((row for row in free if _is_twin(row, columns, is_relative, by)), None)
    what = f"{kind} {rule}" if kind != "interval" else f"every {rule} s"
    if twin is None:
        return Step("create", agent_id, entry.where, schedule=shape, what=what)
    free.remove(twin)
    changed = [
        name
        for name, value in columns.items()
        if getattr(twin, name) != value and not (is_relative and name == "rule")
    ]
    if twin.ended_at is not None or not changed:
        return Step("unchanged", agent_id, entry.where, existing=twin, what=what)
    whole = shape_of(columns, agent_id)
    what += f" ({', '.join(changed)})"
    return Step("change", agent_id, entry.where, None, whole, twin, what)


def _resolved(raw: Mapping[str, Any], now: datetime) -> tuple[dict[str, Any], bool]:
    """The shape with `run_at: "in 20m"` as an instant, and whether it was so."""
    run_at = raw.get("run_at")
    match = FROM_NOW.fullmatch(run_at) if isinstance(run_at, str) else None
    if match is None:
        return dict(raw), False
    try:
        wait_s = parse_duration(match[1])
    except QuantityError:
        return dict(raw), False  # refused as no instant, with the usual sentence
    at = (now + timedelta(seconds=wait_s)).replace(microsecond=0)
    return {**raw, "run_at": iso(at)}, True


def _is_twin(
    row: Schedule, columns: Mapping[str, Any], is_relative: bool, by: By
) -> bool:
    if row.kind != columns["kind"]:
        return False
    if is_relative:  # once per agent: a later "in 20m" is not another wish
        return row.created_by == by.actor
    may_be_over = row.kind == "run_at"
    return row.rule == columns["rule"] and (row.ended_at is None or may_be_over)


# --- doing it -----------------------------------------------------------------------


def carry_out(made: Plan, by: By) -> None:
    """Do all steps or none. Raises KosError naming the step at fault."""
    with transaction.atomic():
        for step in made.steps:
            try:
                carry_out_step(step, by)
            except KosError as fault:
                where = step.where or f"{step.verb} {step.agent_id}"
                raise type(fault)(f"{where}: {fault}") from fault


def carry_out_step(step: Step, by: By) -> None:
    if step.verb == "unchanged":
        return
    if step.schedule is not None or step.existing is not None:
        _do_schedule(step, by)
    else:
        _do_agent(step, by)


def _do_agent(step: Step, by: By) -> None:
    stamp: dict[str, Any] = {"actor": by.actor, "now": by.now}
    if step.verb == "retire":
        agent_registry.retire(agent_registry.resolve(step.agent_id), **stamp)
        return
    assert step.definition is not None
    rights: dict[str, Any] = {"may_unsandboxed": True, "rules": by.rules, **stamp}
    if step.verb == "create":
        agent_registry.register(step.definition, **rights)
    else:
        agent = agent_registry.resolve(step.agent_id)
        agent_registry.replace(agent, step.definition, **rights)


def _do_schedule(step: Step, by: By) -> None:
    stamp: dict[str, Any] = {"actor": by.actor, "now": by.now}
    if step.verb == "create":
        assert step.schedule is not None
        agent = agent_registry.resolve(step.agent_id)
        schedules.create(agent, step.schedule, **stamp)
        return
    assert step.existing is not None
    if step.verb == "end":
        schedules.end(step.existing, **stamp)
    else:
        assert step.schedule is not None
        schedules.change(step.existing, step.schedule, **stamp)
