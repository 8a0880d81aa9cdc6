"""A registration, checked: the seed's JSON ("4GB", "docker") into one normalised spec.

Pure. Every key of the spec is always there and its units stand in its name, so nobody
below has to know the forms people write. `definition_of` is the way back.
"""

from __future__ import annotations

import difflib
from collections import deque
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from agents import definition_hooks
from agents.definition import Definition
from agents.definition_concurrency import concurrency_words
from agents.definition_deadlines import deadlines_spec, deadlines_words
from agents.definition_health import (
    USUAL_LIVENESS,
    USUAL_READINESS,
    probe_spec,
    probe_words,
)
from agents.definition_parts import Docker
from agents.definition_placement import placement_spec, placement_words
from agents.definition_places import as_written, ports_as_written
from agents.definition_results import stored_results, stored_secrets
from agents.errors import Invalid
from agents.quantities import (
    format_bandwidth,
    format_cpu,
    format_memory,
    shown,
)
from agents.text import fault_in

KEYS = tuple(Definition.model_fields)
MAX_FAULTS = 50  # told at once; nobody reads more
Faults = dict[str, list[str]]

SENTENCES = {
    "missing": "is required",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "too_long": "must have at most {max_length} entries",
    "too_short": "must have at least {min_length} entries",
}


def parse_agent(raw: object) -> dict[str, Any]:
    """The normalised spec of a registration. Raises Invalid naming every fault."""
    if not isinstance(raw, Mapping):
        raise Invalid("expected a JSON object with the registration of an agent")
    faults = _unfit(raw)
    fit = {key: value for key, value in raw.items() if key not in faults}
    try:
        definition = Definition.model_validate(fit)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_input=False):
            _add(faults, detail)
    if faults:
        raise _invalid(faults)
    return normalised(definition)


def _unfit(raw: Mapping[Any, Any]) -> Faults:
    """Faults of keys and values that nothing else should look at."""
    faults: Faults = {}
    for key, value in list(raw.items())[: MAX_FAULTS + len(KEYS)]:
        if key not in KEYS:
            faults[key] = [_unknown(key)]
        elif value is None:
            faults[key] = ["must not be null; leave the key out instead"]
        elif said := fault_in(value):
            faults[key] = [said]
    return faults


def _unknown(key: object) -> str:
    close = (
        difflib.get_close_matches(key[:40], KEYS, n=1) if isinstance(key, str) else []
    )
    return "is not a known key" + (f"; did you mean {close[0]}?" if close else "")


def _add(faults: Faults, detail: ErrorDetails) -> None:
    """Note one fault a field, with the way to the part of it that is at fault."""
    field, *inner = detail["loc"] or ("",)
    is_key = bool(inner) and inner[-1] == "[key]"
    where = "" if is_key else ", ".join(_step(step) for step in inner)
    said = _sentence(detail)
    faults.setdefault(str(field), [f"{where}: {said}" if where else said])


def _step(step: int | str) -> str:
    return f"item {step + 1}" if isinstance(step, int) else shown(step)[1:-1]


def _sentence(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    if detail["type"] == "value_error":
        return str(context["error"])
    if detail["type"] == "literal_error":
        return f"must be one of {context['expected']}".replace("'", "")
    if detail["type"] == "extra_forbidden":
        return "is not a known key"
    if detail["type"] in SENTENCES:
        return SENTENCES[detail["type"]].format_map(context)
    return detail["msg"]


def _invalid(faults: Faults) -> Invalid:
    """The error that names them all; keys are made safe to print."""
    safe = {
        (key if key in KEYS else shown(key)[1:-1]): said for key, said in faults.items()
    }
    told = dict(list(safe.items())[:MAX_FAULTS])
    first = next(iter(told))
    more = f" (and {len(safe) - 1} more faults)" if len(safe) > 1 else ""
    return Invalid(f"{first}: {told[first][0]}{more}", told)


def normalised(d: Definition) -> dict[str, Any]:
    """The spec as it is stored in AgentVersion, all keys always present."""
    persistent = d.kind == "persistent"
    return {
        "agent_id": d.agent_id,
        "capabilities": list(d.capabilities),
        "synonyms": list(d.synonyms),
        "exec_env": d.exec_env,
        "entry_point": d.entry_point,
        "args": list(d.args),
        "env": dict(d.env),
        "docker": d.docker.model_dump() if d.docker else None,
        "sandbox": d.sandbox.model_dump() if d.sandbox else None,
        "kind": d.kind,
        "priority": d.priority,
        "tags": list(d.tags),
        "cpu_millis": d.cpu,
        "gpus": d.gpu,
        "memory_bytes": d.memory,
        "bandwidth_bps": d.bandwidth,
        "assumed": [k for k in ("cpu", "memory") if k not in d.model_fields_set],
        "ports": {name: list(ends) for name, ends in d.ports.items()},
        "requires": [item.normalised() for item in d.requires],
        "placement": placement_spec(d.placement),
        "depends_on": list(d.depends_on),
        "cascades": [c.model_dump() for c in d.cascades],
        "hooks": definition_hooks.normalised(d.hooks),
        "timeout_s": d.timeout,
        "deadlines": deadlines_spec(d),
        "retries": _in_seconds(d.retries.model_dump()),
        "restart": {
            "policy": d.restart or ("always" if persistent else "never"),
            **_in_seconds(d.restart_backoff.model_dump()),
        },
        "grace_s": d.grace_period,
        "secrets": stored_secrets(d.secrets),
        "results": stored_results(d.results),
        "artefacts": d.artefacts,
        "run_as": d.run_as,
        "readiness": probe_spec(d.readiness),
        "liveness": probe_spec(d.liveness),
        "watchdog_s": d.watchdog,
        "concurrency": d.concurrency.model_dump() if d.concurrency else None,
        "gang": d.gang,
        "enabled": d.enabled,
        "start_at_boot": d.start_at_boot,
    }


DURATIONS = ("delay", "max_delay", "reset_after")


def _in_seconds(rule: dict[str, Any]) -> dict[str, Any]:
    return {(f"{k}_s" if k in DURATIONS else k): v for k, v in rule.items()}


def definition_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The registration that gives this spec again; what is as usual is left out."""
    full, usual = _full_definition(spec), _usual(spec["kind"])
    image = f"kos/{spec['agent_id'].lower()}"
    docker = Docker(image=None).model_dump() | {"image": image}
    kept = dict[str, Any]()
    for key, value in full.items():
        if key in PARTS and value:
            ordinary = docker if key == "docker" else usual[key]
            value = {k: v for k, v in value.items() if v != ordinary[k]}
        stated = key in ALWAYS_STATED and key not in spec["assumed"]
        if stated or (value != usual[key] and value != {}):
            kept[key] = value
    return kept


PARTS = ("docker", "retries", "restart_backoff")
ALWAYS_STATED = (
    *("agent_id", "capabilities", "exec_env", "entry_point"),
    *("priority", "tags", "cpu", "gpu", "memory"),
)


@cache
def _usual(kind: str) -> dict[str, Any]:
    """The full definition of an agent of this kind that states only what it must."""
    least = {"agent_id": "a", "exec_env": "subprocess", "entry_point": "true"}
    return _full_definition(parse_agent({**least, "kind": kind})) | {
        "kind": "ephemeral"
    }


def _full_definition(spec: Mapping[str, Any]) -> dict[str, Any]:
    restart = _in_words(spec["restart"])
    same = ("agent_id", "capabilities", "exec_env", "entry_point", "args", "env")
    also = ("depends_on", "cascades", "secrets", "run_as", "enabled")
    return {
        **{key: spec[key] for key in same},
        "docker": spec["docker"],
        "sandbox": spec.get("sandbox"),  # not in definitions of before
        "kind": spec["kind"],
        "priority": spec["priority"],
        "tags": spec["tags"],
        "cpu": format_cpu(spec["cpu_millis"]),
        "gpu": spec["gpus"],
        "memory": format_memory(spec["memory_bytes"]),
        "bandwidth": spec["bandwidth_bps"] and format_bandwidth(spec["bandwidth_bps"]),
        "ports": ports_as_written(spec["ports"]),
        "requires": [as_written(item) for item in spec["requires"]],
        "placement": placement_words(spec.get("placement")),
        **{key: spec[key] for key in also},
        "results": spec.get("results", []),  # not in definitions of before
        "artefacts": spec.get("artefacts", False),
        "synonyms": spec.get("synonyms", []),
        "hooks": definition_hooks.in_words(spec["hooks"]),
        "timeout": spec["timeout_s"],
        **deadlines_words(spec.get("deadlines")),
        "retries": _in_words(spec["retries"]),
        "restart": restart.pop("policy"),
        "restart_backoff": restart,
        "grace_period": spec["grace_s"],
        "readiness": probe_words(spec.get("readiness"), USUAL_READINESS),
        "liveness": probe_words(spec.get("liveness"), USUAL_LIVENESS),
        "watchdog": spec.get("watchdog_s"),
        "concurrency": concurrency_words(spec),
        "gang": spec.get("gang"),
        "start_at_boot": spec["start_at_boot"],
    }


def _in_words(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removesuffix("_s"): value for key, value in rule.items()}


def cascade_cycles(specs: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Each circle of agents that trigger one another, once, from its first name on."""
    edges = {s["agent_id"]: [c["agent"] for c in s["cascades"]] for s in specs}
    found: list[list[str]] = []
    for name in sorted(edges):
        if not any(name in circle for circle in found):
            found += [c] if (c := circle_through(name, edges)) else []
    return found


def circle_through(name: str, edges: Mapping[str, Iterable[str]]) -> list[str]:
    """The shortest way along the edges from the name back to itself; [] if none."""
    came_from: dict[str, str] = {}
    waiting = deque([name])
    while waiting:
        here = waiting.popleft()
        for there in edges.get(here, ()):
            if there == name:
                return _way_back(here, name, came_from)
            if there not in came_from:
                came_from[there] = here
                waiting.append(there)
    return []


def _way_back(last: str, first: str, came_from: Mapping[str, str]) -> list[str]:
    path = [last]
    while path[-1] != first:
        path.append(came_from[path[-1]])
    return path[::-1]
