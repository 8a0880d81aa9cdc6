"""The compact payloads of bad_inputs_open.json, written out as the bytes to send.

{"$raw": s}, {"$raw_b64": b}, {"$repeat": [unit, count]}, {"$concat": [...]},
{"$join": [unit, count, separator]}, {"$list": [item, count]},
{"$map": [key prefix, value, count]}, {"$base": name, "set": {}, "unset": []},
else plain JSON.
"""

from __future__ import annotations

import base64
import json
from typing import Any

BASES: dict[str, dict[str, Any]] = {
    "agent": {
        "agent_id": "bad_case",
        "capabilities": ["prompt_analysis"],
        "exec_env": "docker",
        "entry_point": "/app/start.sh",
        "priority": "high",
        "tags": ["llm"],
        "cpu": 2,
        "gpu": 0,
        "memory": "4GB",
    },
    "schedule": {"agent": "prompt_optimizer", "cron": "0 9 * * *", "timezone": "UTC"},
}


def expand(payload: Any) -> bytes:
    if isinstance(payload, dict):
        if "$raw" in payload:
            return str(payload["$raw"]).encode("utf-8", "surrogatepass")
        if "$raw_b64" in payload:
            return base64.b64decode(payload["$raw_b64"])
    written = value_of(payload)
    if isinstance(payload, dict) and payload.keys() & {"$concat", "$repeat", "$join"}:
        return str(written).encode()
    return json.dumps(written).encode()


def value_of(payload: Any) -> Any:
    if isinstance(payload, list):
        return [value_of(one) for one in payload]
    if not isinstance(payload, dict):
        return payload
    form = next(iter(payload), "")
    if form == "$base":
        return based(payload)
    if form.startswith("$"):
        return FORMS[form](payload[form])
    return {key: value_of(one) for key, one in payload.items()}


def based(payload: dict[str, Any]) -> dict[str, Any]:
    changed = {key: value_of(one) for key, one in payload.get("set", {}).items()}
    whole = {**BASES[payload["$base"]], **changed}
    return {k: v for k, v in whole.items() if k not in payload.get("unset", ())}


def concat(parts: list[Any]) -> str:
    return "".join(p if isinstance(p, str) else value_of(p) for p in parts)


def join(form: list[Any]) -> str:
    unit, count, separator = form
    units = (unit % i if "%d" in unit else unit for i in range(count))
    return separator.join(units)


FORMS = {
    "$repeat": lambda form: form[0] * form[1],
    "$join": join,
    "$concat": concat,
    "$list": lambda form: [value_of(form[0])] * form[1],
    "$map": lambda form: {f"{form[0]}{i}": form[1] for i in range(form[2])},
}
