"""The seed's `agent_registry.py`: agents with their capabilities, environments
(Docker, systemd, subprocess, sandbox), start-up requirements and ports.

The only writer of Agent and AgentVersion. A change of the definition is one more
immutable version and the Event that tells of it, in one transaction; the same
definition again changes nothing. Whether an agent is enabled is not part of a version.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import BooleanField, QuerySet
from django.db.models.expressions import RawSQL
from django.dispatch import Signal

from agents import journal, names, requirements
from agents.allowed import Rules, check, check_allowed
from agents.definition_synonyms import check_unique
from agents.errors import (
    AlreadyExists,
    ChangedMeanwhile,
    Invalid,
    NotAllowedNow,
    NotFound,
)
from agents.models import Agent, AgentVersion
from agents.prepared import Prepared
from agents.priority import Priority
from agents.quantities import shown
from agents.redis import wake

# Sent in the transaction that retires an agent, with agent, actor and now: whoever
# keeps something for it (its schedules) ends that too, or raises to prevent it.
retiring = Signal()
EDITING = 0x6B4F53  # names the lock; the same in every process
BY_ID = Prepared(Agent, "current", rest="WHERE t0.agent_id = %s")


def resolve(agent_id: str, *, retired_too: bool = False) -> Agent:
    """The agent of this id. Raises NotFound, also for one that was retired."""
    if names.AGENT_ID.fullmatch(agent_id):
        agent = BY_ID.first(agent_id)
        if agent and (retired_too or agent.retired_at is None):
            return agent
    raise NotFound(f"there is no agent {shown(agent_id)}")


def find(
    *,
    capability: str | None = None,
    tag: str | None = None,
    kind: str | None = None,
    exec_env: str | None = None,
    enabled: bool | None = None,
    text: str | None = None,
) -> QuerySet[Agent]:
    """Agents that are not retired and fit everything given, by their ids."""
    found = Agent.objects.select_related("current").filter(retired_at__isnull=True)
    exact = {"kind": kind, "exec_env": exec_env, "enabled": enabled}
    found = found.filter(**{k: v for k, v in exact.items() if v is not None})
    if capability is not None:
        found = _holding(found, "capabilities", capability)
    if tag is not None:
        found = _holding(found, "tags", tag)
    if text:
        found = found.filter(agent_id__icontains=text)
    return found.order_by("agent_id")


def _holding(rows: QuerySet[Agent], column: str, item: str) -> QuerySet[Agent]:
    """Rows whose JSON list holds the item; SQLite has no `contains` for JSON."""
    if connection.vendor == "postgresql":
        return rows.filter(**{f"{column}__contains": [item]})
    holds = RawSQL(
        f"EXISTS (SELECT 1 FROM json_each(agents_agent.{column}) WHERE value = %s)",
        [item],
        output_field=BooleanField(),
    )
    return rows.filter(holds)


def register(
    raw: object,
    *,
    actor: str,
    now: datetime,
    may_unsandboxed: bool,
    rules: Rules | None = None,
) -> Agent:
    """Make an agent and its first version. A retired id comes back with its history.

    Raises Invalid, Forbidden, and AlreadyExists for an id taken in any case.
    """
    spec = check(raw, may_unsandboxed=may_unsandboxed, rules=rules)
    try:
        with transaction.atomic():
            _one_editor()
            _check_dependencies(spec)
            _check_synonyms(spec)
            agent = _created(spec, now)
            _add_version(agent, spec, actor=actor, now=now, note="registered")
            _record("agent.registered", agent, actor, now, version=_number(agent))
    except IntegrityError:
        raise _taken(spec["agent_id"]) from None
    return agent


def _created(spec: dict[str, Any], now: datetime) -> Agent:
    twin = Agent.objects.filter(agent_id__iexact=spec["agent_id"]).first()
    if twin is None:
        return Agent.objects.create(
            **_columns(spec), enabled=spec["enabled"], created_at=now, updated_at=now
        )
    if twin.retired_at is None or twin.agent_id != spec["agent_id"]:
        raise _taken(twin.agent_id)
    back = Agent.objects.filter(pk=twin.pk, retired_at=twin.retired_at)
    if not back.update(retired_at=None, held=False, enabled=spec["enabled"]):
        raise _taken(twin.agent_id)
    return Agent.objects.select_related("current").get(pk=twin.pk)


def _taken(agent_id: str) -> AlreadyExists:
    said = f"{agent_id} is registered already; ids that differ only in case are one"
    return AlreadyExists(said, {"agent_id": [said]})


def change(
    agent: Agent,
    raw: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
    may_unsandboxed: bool,
    rules: Rules | None = None,
    base_version: int | None = None,
) -> Agent:
    """Change the keys that are given; null takes one back to its default.

    Raises Invalid, Forbidden, and ChangedMeanwhile if base_version is not current.
    """
    from agents.registration import definition_of

    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with the keys to change")
    with transaction.atomic():
        agent = _locked(agent)
        whole = {**definition_of(agent.spec), "enabled": agent.enabled, **raw}
        whole = {k: v for k, v in whole.items() if v is not None}
        spec = check(whole, may_unsandboxed=may_unsandboxed, rules=rules)
        return _apply(agent, spec, "enabled" in raw, actor, now, base_version)


def replace(
    agent: Agent,
    raw: Mapping[str, Any],
    *,
    actor: str,
    now: datetime,
    may_unsandboxed: bool,
    rules: Rules | None = None,
    base_version: int | None = None,
) -> Agent:
    """Make `raw` the whole definition; what it leaves out is at its default.

    Raises as `change` does.
    """
    spec = check(raw, may_unsandboxed=may_unsandboxed, rules=rules)
    with transaction.atomic():
        agent = _locked(agent)
        return _apply(agent, spec, "enabled" in raw, actor, now, base_version)


def differs(agent: Agent, spec: Mapping[str, Any], *, enabled_too: bool) -> bool:
    """Whether this spec would change the agent."""
    if enabled_too and spec["enabled"] != agent.enabled:
        return True
    return _without_enabled(agent.spec) != _without_enabled(spec)


def _without_enabled(spec: Mapping[str, Any]) -> dict[str, Any]:
    """As a definition: specs of before lack the keys that were added since."""
    from agents.registration import definition_of

    return {key: v for key, v in definition_of(spec).items() if key != "enabled"}


def _one_editor() -> None:
    """Two edits at once could close a circle of dependencies between them, and would
    lock each other out in trying to see it. So they go one after the other: on SQLite
    all writers do."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [EDITING])


def _locked(agent: Agent) -> Agent:
    """The row as it stands, held until the transaction ends. Raises NotAllowedNow."""
    _one_editor()
    own = Agent.objects.select_for_update(of=("self",)).select_related("current")
    agent = own.get(pk=agent.pk)
    if agent.retired_at is not None:
        raise NotAllowedNow(f"{agent.agent_id} is retired; register it again first")
    return agent


def _apply(
    agent: Agent,
    spec: dict[str, Any],
    set_enabled_too: bool,
    actor: str,
    now: datetime,
    base_version: int | None,
) -> Agent:
    if spec["agent_id"] != agent.agent_id:
        said = f"the id of an agent cannot change; this one is {agent.agent_id}"
        raise Invalid(said, {"agent_id": [said]})
    if base_version is not None and base_version != _number(agent):
        raise ChangedMeanwhile(
            f"{agent.agent_id} is at version {_number(agent)}, not {base_version}"
        )
    if differs(agent, spec, enabled_too=False):
        before = _number(agent)
        _check_dependencies(spec)
        _check_synonyms(spec)
        _add_version(agent, spec, actor=actor, now=now, note="changed")
        _record(
            "agent.changed", agent, actor, now, version=_number(agent), before=before
        )
    if set_enabled_too:
        set_enabled(agent, spec["enabled"], actor=actor, now=now)
    return agent


def rollback(
    agent: Agent,
    number: int,
    *,
    actor: str,
    now: datetime,
    may_unsandboxed: bool,
    rules: Rules | None = None,
) -> Agent:
    """Make the definition of an earlier version current again, as a new version.

    Raises NotFound if there is no such version, Forbidden as `register` does.
    """
    with transaction.atomic():
        agent = _locked(agent)
        earlier = agent.versions.filter(number=number).first()
        if earlier is None:
            raise NotFound(f"{agent.agent_id} has no version {number}")
        spec = dict(earlier.spec)
        check_allowed(spec, may_unsandboxed=may_unsandboxed, rules=rules)
        if differs(agent, spec, enabled_too=False):
            _check_dependencies(spec)
            _check_synonyms(spec)
            note = f"rolled back to version {number}"
            _add_version(agent, spec, actor=actor, now=now, note=note)
            _record(
                "agent.rolled_back",
                agent,
                actor,
                now,
                version=_number(agent),
                to=number,
            )
    return agent


def set_enabled(agent: Agent, enabled: bool, *, actor: str, now: datetime) -> Agent:
    """Let the agent run, or not. Silent when it is so already."""
    with transaction.atomic():
        turned = Agent.objects.filter(pk=agent.pk).exclude(enabled=enabled)
        if turned.update(enabled=enabled, updated_at=now):
            kind = "agent.enabled" if enabled else "agent.disabled"
            _record(kind, agent, actor, now)
    agent.enabled = enabled
    return agent


def retire(agent: Agent, *, actor: str, now: datetime) -> Agent:
    """Take the agent out of use; its versions, runs and events stay.

    Raises NotAllowedNow while a run of it is not over.
    """
    with transaction.atomic():
        agent = _locked(agent)
        live = agent.runs.filter(ended_at__isnull=True).count()
        if live:
            runs = "1 run" if live == 1 else f"{live} runs"
            raise NotAllowedNow(
                f"{agent.agent_id} has {runs} that are not over; stop them first"
            )
        agent.retired_at, agent.enabled, agent.updated_at = now, False, now
        agent.save(update_fields=["retired_at", "enabled", "updated_at"])
        retiring.send(Agent, agent=agent, actor=actor, now=now)
        _record("agent.retired", agent, actor, now)
    return agent


def _add_version(
    agent: Agent, spec: dict[str, Any], *, actor: str, now: datetime, note: str
) -> None:
    """Append a version and make it current; the columns repeat what lists need."""
    last = agent.versions.order_by("-number").values_list("number", flat=True).first()
    agent.current = AgentVersion.objects.create(
        agent=agent,
        number=(last or 0) + 1,
        spec=spec,
        created_at=now,
        created_by=actor,
        note=note,
    )
    for column, value in _columns(spec).items():
        setattr(agent, column, value)
    agent.updated_at = now
    agent.save(update_fields=["current", "updated_at", *_columns(spec)])


def _columns(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "agent_id": spec["agent_id"],
        "kind": spec["kind"],
        "exec_env": spec["exec_env"],
        "priority": int(Priority.from_word(spec["priority"])),
        "capabilities": spec["capabilities"],
        "tags": spec["tags"],
    }


def _check_synonyms(spec: Mapping[str, Any]) -> None:
    if spec.get("synonyms"):
        known = Agent.objects.filter(retired_at__isnull=True).select_related("current")
        check_unique(spec, [agent.spec for agent in known])


def _check_dependencies(spec: Mapping[str, Any]) -> None:
    """Raises Invalid where the agents it waits for are nobody, lead back to it, or
    would share a variable of their ports."""
    waits_for = requirements.agents_of(spec)
    if not waits_for:
        return
    from agents.registration import circle_through

    known = Agent.objects.filter(retired_at__isnull=True).select_related("current")
    specs = {a.agent_id: a.spec for a in known}
    edges = {name: requirements.agents_of(one) for name, one in specs.items()}
    missing = [name for name in waits_for if name not in edges]
    circle = circle_through(spec["agent_id"], {**edges, spec["agent_id"]: waits_for})
    circle += circle[:1]
    said = ""
    if missing:
        said = f"there is no agent {missing[0]} to depend on; register it first"
    elif circle:
        said = f"would close a circle: {' → '.join(circle)}"
    elif twin := _shared_variable({name: specs[name] for name in waits_for}):
        said = f"two of their ports would be told as {twin}"
    if said:
        field = "depends_on" if spec["depends_on"] else "requires"
        more = {"cycle": circle} if circle and not missing else {}
        raise Invalid(f"{field}: {said}", {field: [said]}, more)


def _shared_variable(specs: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The first KOS_PEER_… that two ports of these agents would have."""
    seen: set[str] = set()
    for name, spec in specs.items():
        for port in spec["ports"]:
            if (variable := requirements.peer_variable(name, port)) in seen:
                return variable
            seen.add(variable)
    return None


def _number(agent: Agent) -> int:
    assert agent.current is not None
    return agent.current.number


def _record(kind: str, agent: Agent, actor: str, now: datetime, **data: Any) -> None:
    subject = f"agent:{agent.agent_id}"
    journal.record(kind, subject, actor=actor, at=now, agent=agent.agent_id, **data)
    transaction.on_commit(partial(wake, kind), robust=True)
