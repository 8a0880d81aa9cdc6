"""The four roles and the one table of who may do what. Default deny.

A role may do all that the roles before it may. RULES maps each route, its parameters
written as {}, to the least role of every method; a route or a method that is not
here is refused, and a test walks the resolver to find one that was forgotten.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

ROLES = ("viewer", "operator", "editor", "admin")
ANYONE = ""  # no session and no token needed

Rule = Mapping[str, str]
PARAMETER = re.compile(r"<[^<>]*>|\(\?P<\w+>(?:[^()\\]|\\.|\([^()]*\))*\)")
READ = ("GET", "HEAD")


def allows(role: str, needed: str) -> bool:
    """Whether `role` ("" for nobody in particular) reaches `needed`."""
    return needed == ANYONE or (
        role in ROLES and ROLES.index(role) >= ROLES.index(needed)
    )


def reads(role: str = "viewer", **writes: str) -> Rule:
    """GET and HEAD for `role`, other methods for the roles named."""
    return {**dict.fromkeys(READ, role), **writes}


def acts(role: str) -> Rule:
    """A route that only takes a POST."""
    return {"POST": role}


API = "api/v1/"
PAGES: tuple[str, ...] = (
    "",
    "schedule",
    "agents",
    "queue",
    "graph",
    "runs",
    "nodes",
    "triggers",
)
PAGES += ("audit", "settings")

RULES: dict[str, Rule] = {
    # open: says only that we are there, and how to come in
    f"{API}health/": reads(ANYONE),
    "login/": reads(ANYONE, POST=ANYONE),
    # who am I
    "logout/": acts("viewer"),
    f"{API}me/": reads(),
    # agents
    f"{API}agents/": reads(POST="editor"),
    f"{API}agents/{{}}/": reads(PATCH="editor", DELETE="editor"),
    f"{API}agents/{{}}/start/": acts("operator"),
    f"{API}agents/{{}}/stop/": acts("operator"),
    f"{API}agents/{{}}/restart/": acts("operator"),
    f"{API}agents/{{}}/reset/": acts("operator"),
    f"{API}agents/{{}}/versions/": reads(),
    f"{API}agents/{{}}/rollback/": acts("editor"),
    f"{API}agents/{{}}/endpoints/": reads(),
    f"{API}agents/{{}}/forecast/": reads(),
    f"{API}agents/parse-command/": acts("viewer"),
    f"{API}agents/import/": acts("viewer"),
    f"{API}environments/": reads(),
    f"{API}secrets/": reads("editor"),
    f"{API}secrets/{{}}/": {"PUT": "admin", "DELETE": "admin"},
    # schedules and the calendar
    f"{API}schedules/": reads(POST="editor"),
    f"{API}schedules/preview/": acts("viewer"),
    f"{API}schedules/{{}}/": reads(PATCH="editor", DELETE="editor"),
    f"{API}schedules/{{}}/pause/": acts("editor"),
    f"{API}schedules/{{}}/resume/": acts("editor"),
    f"{API}schedules/{{}}/preview/": reads(),
    f"{API}calendars/": reads(POST="editor"),
    f"{API}calendars/{{}}/": reads(PUT="editor", DELETE="editor"),
    # calendars that others read, and views one keeps
    f"{API}feeds/": reads(POST="viewer"),
    f"{API}feeds/{{}}/": {"DELETE": "viewer"},
    "ical/{}.ics": reads(ANYONE),  # the address is the secret
    f"{API}views/": reads(POST="viewer"),
    f"{API}views/{{}}/": {"PATCH": "viewer", "DELETE": "viewer"},
    # sensors and conditions
    f"{API}sensors/": reads(POST="editor"),
    f"{API}sensors/{{}}/": reads(PATCH="editor", DELETE="editor"),
    f"{API}sensors/{{}}/value/": acts("operator"),
    f"{API}sensors/{{}}/readings/": reads(),
    f"{API}mqtt/": reads(),
    f"{API}conditions/test/": acts("viewer"),
    # occurrences
    f"{API}schedules/{{}}/fire/": acts("editor"),
    # what fires what, and trying it
    f"{API}triggers/": reads(),
    f"{API}schedules/{{}}/test-fire/": acts("operator"),
    # windows of time in which nothing may start
    f"{API}windows/": reads(POST="editor"),
    f"{API}windows/{{}}/": reads(PATCH="editor", DELETE="editor"),
    # webhooks that come in: the signature is the proof
    f"{API}hooks/": reads("editor", POST="admin"),
    f"{API}hooks/{{}}/": acts(ANYONE),
    f"{API}hooks/{{}}/settings/": reads("editor", PATCH="admin", DELETE="admin"),
    f"{API}hooks/{{}}/rotate/": acts("admin"),
    f"{API}hooks/{{}}/test/": acts("editor"),
    f"{API}hooks/{{}}/deliveries/": reads("editor"),
    f"{API}schedules/{{}}/backfill/": acts("operator"),
    f"{API}backfills/": reads(),
    f"{API}backfills/{{}}/": reads(),
    f"{API}backfills/{{}}/cancel/": acts("operator"),
    f"{API}occurrences/{{}}/move/": acts("operator"),
    f"{API}occurrences/{{}}/why/": reads(),
    f"{API}undo/{{}}/": acts("operator"),
    f"{API}bulk/move/": acts("operator"),
    f"{API}bulk/schedules/": acts("operator"),
    f"{API}voice/": acts("viewer"),  # what it does asks for the role of that
    f"{API}timeline/": reads(),
    f"{API}timeline/grid/": reads(),
    f"{API}timeline/days/": reads(),
    f"{API}capacity/": reads(),
    f"{API}overview/": reads(),
    f"{API}queue/": reads(),
    f"{API}queue/reorder/": acts("operator"),
    f"{API}queue/bulk/": acts("operator"),
    f"{API}plan/": reads(),
    # graphs
    f"{API}agents/graph/": reads(),
    f"{API}agents/graph/edges/": {"POST": "editor", "DELETE": "editor"},
    f"{API}graphs/": reads(POST="editor"),
    f"{API}graphs/{{}}/": reads(PATCH="editor", DELETE="editor"),
    f"{API}graphs/{{}}/start/": acts("operator"),
    f"{API}graph-runs/": reads(),
    f"{API}graph-runs/{{}}/": reads(),
    f"{API}graph-runs/{{}}/cancel/": acts("operator"),
    f"{API}graph-runs/{{}}/retry/": acts("operator"),
    # limits: part of the configuration
    f"{API}limits/": reads(POST="admin"),
    f"{API}limits/{{}}/": {"PATCH": "admin", "DELETE": "admin"},
    f"{API}plan/what-if/": acts("viewer"),
    # runs
    f"{API}runs/": reads(),
    f"{API}runs/by-agent/": reads(),
    f"{API}runs/{{}}/": reads(),
    f"{API}runs/{{}}/stop/": acts("operator"),
    f"{API}runs/{{}}/retry/": acts("operator"),
    f"{API}runs/{{}}/signal/": acts("operator"),
    f"{API}runs/{{}}/hold/": acts("operator"),
    f"{API}runs/{{}}/release/": acts("operator"),
    f"{API}runs/{{}}/boost/": acts("operator"),
    f"{API}runs/{{}}/deadline/": {"PUT": "operator", "POST": "operator"},
    f"{API}runs/{{}}/freeze/": acts("operator"),
    f"{API}runs/{{}}/thaw/": acts("operator"),
    f"{API}runs/{{}}/why/": reads(),
    f"{API}runs/{{}}/logs/": reads(),
    f"{API}runs/{{}}/log-lines/": reads(),
    f"{API}runs/{{}}/lines/": reads(),
    f"{API}runs/{{}}/usage/": reads(),
    f"{API}runs/{{}}/attempts/": reads(),
    f"{API}runs/{{}}/log.jsonl": reads(),
    f"{API}runs/{{}}/output/{{}}/": reads(),
    f"{API}runs/{{}}/result/": reads(),
    f"{API}runs/{{}}/artefacts/": reads(),
    f"{API}runs/{{}}/artefacts/{{}}": reads(),
    f"{API}deliveries/": reads(),
    f"{API}deliveries/{{}}/replay/": acts("operator"),
    f"{API}spawn/": acts("operator"),
    f"{API}bus/": reads(),
    # the installation
    f"{API}nodes/": reads(),
    f"{API}nodes/{{}}/history/": reads(),
    f"{API}nodes/{{}}/cordon/": acts("admin"),
    f"{API}nodes/{{}}/uncordon/": acts("admin"),
    f"{API}nodes/{{}}/drain/": acts("admin"),
    f"{API}nodes/{{}}/lost/": acts("admin"),
    f"{API}nodes/{{}}/taints/": {"PUT": "admin"},
    f"{API}audit/": reads(),
    f"{API}audit/export/": reads(),
    f"{API}audit/verify/": reads(),
    f"{API}about/": reads(),
    f"{API}demo/": acts("admin"),
    f"{API}config/": reads(PATCH="admin", PUT="admin"),
    f"{API}tokens/": reads("admin", POST="admin"),
    f"{API}tokens/{{}}/": {"DELETE": "admin"},
    f"{API}openapi.yaml": reads(),
    "metrics": reads(),
    **{page: reads() for page in PAGES},
    **{f"{page}/{{}}": reads() for page in PAGES if page},
}
# these start programs: limited per caller, security.spawns_per_minute
SPAWNING = frozenset(
    {
        f"{API}spawn/",
        f"{API}voice/",
        f"{API}agents/{{}}/start/",
        f"{API}agents/{{}}/reset/",
        f"{API}graphs/{{}}/start/",
        f"{API}schedules/{{}}/test-fire/",
    }
)
ADMIN_SITE: Rule = reads("admin", POST="admin")  # everything under /admin/


def rule_for(route: str) -> Rule | None:
    """The rule of a resolved route, or None when there is none: refused."""
    if route.startswith("admin/"):
        return ADMIN_SITE
    return RULES.get(written(route))


def written(route: str) -> str:
    """A route as RULES writes it: "^agents/(?P<pk>[^/.]+)/$" -> "agents/{}/"."""
    plain = PARAMETER.sub("{}", route)
    return plain.replace("^", "").replace("\\Z", "").replace("\\.", ".").rstrip("$")
