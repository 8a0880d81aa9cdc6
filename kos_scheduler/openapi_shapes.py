"""The shapes every answer shares, as OpenAPI components. Pure: settings read it."""

from __future__ import annotations

from typing import Any

OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
LIST: dict[str, Any] = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": OBJECT},
        "next": {"type": "string", "nullable": True},
        "total": {"type": "integer"},
    },
}
ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["code", "detail"],
    "properties": {
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "fields": {
            "type": "object",
            "additionalProperties": {"type": "array", "items": {"type": "string"}},
        },
    },
}
COMPONENTS = {"schemas": {"Error": ERROR, "Object": OBJECT, "Page": LIST}}
