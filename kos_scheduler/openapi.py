"""The contract as OpenAPI: every route with its method, its errors and its security.

Bodies are free-form objects here; docs/api.md says in words what stands in them, and
the server refuses what it does not know by name.
"""

from __future__ import annotations

import re
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

REFUSALS = ("400", "401", "403", "404", "409", "413", "415", "422", "429", "503")
READ_REFUSALS = ("400", "401", "403", "404", "503")


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


class Schema(AutoSchema):
    """What every operation shares; a view needs no serializer to be listed."""

    def get_operation_id(self) -> str:
        """ "post_agents_agent_id_start": the method and the path, so never twice."""
        words = re.findall(r"\w+", self.path.removeprefix("/api/v1/"))
        return "_".join((self.method.lower(), *words))

    def get_tags(self) -> list[str]:
        return [self.path.removeprefix("/api/v1/").split("/")[0]]

    def _get_request_body(self, direction: str = "request") -> dict[str, Any] | None:
        if self.method in ("GET", "DELETE"):
            return None
        return {"content": {"application/json": {"schema": ref("Object")}}}

    def get_response_serializers(self) -> Any:
        refusals = READ_REFUSALS if self.method == "GET" else REFUSALS
        return {**self.success(), **dict.fromkeys(refusals, ref("Error"))}

    def success(self) -> dict[str, Any]:
        if self.method == "DELETE":
            return {"204": None}
        is_list = self.method == "GET" and "}" not in self.path.rsplit("/", 2)[-2]
        return {"200": ref("Page") if is_list else ref("Object")}


class Gate(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How callers identify themselves."""

    target_class = "kos_scheduler.auth.GateAuthentication"
    name = ["token", "session"]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "manage.py token"},
            {"type": "apiKey", "in": "cookie", "name": "kos_session"},
        ]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[str]]]:
        return [{name: []} for name in self.name]
