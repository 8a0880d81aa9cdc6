"""What a schedule that waits for an event must not ask for, seen with the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agents import live_config, names
from agents.errors import Invalid
from agents.models import Node
from scheduling.kinds.event import WILD, source_of
from scheduling.models import Schedule
from scheduling.webhook_models import Hook


def check(schedule: Schedule) -> None:
    """Raises Invalid for a hook or node that is not there, a file outside the allowed
    folders, and for an agent that would fire itself."""
    if schedule.kind != "event":
        return
    source, rule = source_of(schedule.rule)
    said = CHECKS[source](rule[source], schedule)
    if said:
        raise Invalid(f"event: {said}", {"event": [said]})


def _webhook(name: str, schedule: Schedule) -> str:
    if Hook.objects.filter(name=name).exists():
        return ""
    return f"there is no hook named {name}; make it first, under hooks/"


def _run(wanted: Mapping[str, Any], schedule: Schedule) -> str:
    agent, spec = schedule.agent, schedule.agent.spec
    fires_itself = (
        wanted.get("agent") == agent.agent_id
        or wanted.get("tag") in spec["tags"]
        or wanted.get("capability") in spec["capabilities"]
    )
    return f"the end of a run of {agent.agent_id} would start it again" * fires_itself


def _node(wanted: Mapping[str, Any], schedule: Schedule) -> str:
    return _unknown_node(wanted.get("name"))


def _unknown_node(name: str | None) -> str:
    if name is None or Node.objects.filter(name=name).exists():
        return ""
    return f"there is no node {name}"


def _file(wanted: Mapping[str, Any], schedule: Schedule) -> str:
    roots = live_config.current().events.file_roots
    path = wanted["path"]
    if not names.is_under(fixed_part(path), roots):
        allowed = ", ".join(roots) or "none, see events.file_roots"
        return f"{path} is not below an allowed folder ({allowed})"
    return _unknown_node(wanted.get("node"))


def fixed_part(path: str) -> str:
    """The folders of a path before the first part that is a pattern."""
    parts = path.split("/")
    plain = next((i for i, p in enumerate(parts) if any(c in p for c in WILD)), -1)
    return "/".join(parts[:plain]) or "/"


CHECKS: Mapping[str, Callable[[Any, Schedule], str]] = {
    "webhook": _webhook,
    "run": _run,
    "node": _node,
    "file": _file,
}
