"""Runs on demand: what a caller may ask for, checked once, all faults together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from agents import agent_registry
from agents.definition_deadlines import DEADLINE_KEYS
from agents.errors import Invalid
from agents.http import instant
from agents.models import Agent, Node
from agents.priority import Priority
from scheduling import gangs, runs, spawn_deadlines
from scheduling.models import Run, new_uid
from scheduling.schedule_input import concurrency_of

SPAWN_FIELDS = (
    *("agent", "params", "count", "priority", "at", "node"),
    *("concurrency", "gang"),
    *DEADLINE_KEYS,
)
MOST_AT_ONCE = 1000
PARAMS_MOST_BYTES = 32 * 2**10  # they travel in one environment variable
FURTHEST = timedelta(days=366)


def spawn(body: Mapping[str, Any], *, actor: str, now: datetime) -> list[Run]:
    """Queue `count` runs of the agent, due at `at`; as a `gang` they start together.
    Without a word of gangs each is as many as the agent starts at once.

    Raises Invalid naming each wrong field, NotFound for the agent, NotAllowedNow for
    one that may not run now.
    """
    faults: dict[str, list[str]] = {}
    count = body.get("count", 1)
    if type(count) is not int or not 1 <= count <= MOST_AT_ONCE:
        faults["count"] = [f"expected a whole number from 1 to {MOST_AT_ONCE}"]
    gang = body.get("gang")
    if "gang" in body and not isinstance(gang, bool):
        faults["gang"] = ["expected true or false"]
    params = body.get("params", {})
    if not isinstance(params, dict):
        faults["params"] = ["expected an object"]
    elif len(orjson.dumps(params)) > PARAMS_MOST_BYTES:
        faults["params"] = [f"larger than {PARAMS_MOST_BYTES} bytes"]
    concurrency = _concurrency(body.get("concurrency"), faults)
    priority = _priority(body.get("priority"), faults)
    due_at = _due_at(body.get("at"), now, faults)
    deadlines = spawn_deadlines.read(body, due_at or now, faults)
    node = _node(body.get("node"), faults)
    name = body.get("agent")
    if not isinstance(name, str):
        faults["agent"] = ["expected the id of an agent"]
    if faults:
        raise Invalid(f"{next(iter(faults))}: {next(iter(faults.values()))[0]}", faults)
    agent = agent_registry.resolve(str(name))
    spawn_deadlines.check(deadlines, agent)
    together = _together(gang, count, agent)
    return runs.request_many(
        agent,
        count,
        actor=actor,
        now=now,
        due_at=due_at,
        params=params,
        priority=priority,
        concurrency=concurrency,
        deadlines=deadlines,
        **({"pinned_node": node} if node else {}),
        **together,
    )


def _together(gang: bool | None, count: int, agent: Agent) -> dict[str, Any]:
    """What the gang's word says of the runs. Raises Invalid for too many of them."""
    if gang is False:
        return {"gang": ""}
    if gang and count > 1:
        return {"gang": new_uid(), "gang_size": count}
    size = gangs.of_agent(agent.spec)
    if count * size > MOST_AT_ONCE:
        said = f"{agent.agent_id} starts {size} at once; at most {MOST_AT_ONCE} in all"
        raise Invalid(f"count: {said}", {"count": [said]})
    return {}


def _priority(word: Any, faults: dict[str, list[str]]) -> int | None:
    if word is None:
        return None
    words = [p.word for p in Priority]
    if word not in words:
        faults["priority"] = [f"expected one of {', '.join(words)}"]
        return None
    return int(Priority.from_word(word))


def _node(name: Any, faults: dict[str, list[str]]) -> Node | None:
    if name is None:
        return None
    found = Node.objects.filter(name=name).first() if isinstance(name, str) else None
    if found is None:
        faults["node"] = ["expected the name of a node"]
    return found


def _concurrency(stated: Any, faults: dict[str, list[str]]) -> dict[str, Any] | None:
    try:
        return None if stated is None else concurrency_of(stated)
    except ValueError as error:
        faults["concurrency"] = [str(error)]
        return None


def _due_at(at: Any, now: datetime, faults: dict[str, list[str]]) -> datetime | None:
    if at is None:
        return None
    try:
        due_at = instant(at, field="at")
    except Invalid as wrong:
        faults.update(wrong.fields)
        return None
    if not now - timedelta(minutes=1) <= due_at <= now + FURTHEST:
        faults["at"] = ["expected an instant from now to a year ahead"]
    return due_at
