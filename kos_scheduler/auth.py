"""Who is asking, and may they? The one gate in front of every URL.

`identify` finds the caller (a session or an API token); `Enforcer` applies the table
of kos_scheduler/roles.py to every resolved URL, pages and admin included. What the
rest of the code sees is `request.actor` ("user:anna", "token:ci") and
`request.kos_role`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.conf import settings
from django.contrib.auth import logout
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http import HttpResponseRedirect as Redirect
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.timezone import now as clock  # noqa: TID251 - entry point
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from agents import journal, live_config
from kos_scheduler import rates, tokens
from kos_scheduler.api_errors import answer
from kos_scheduler.roles import (
    ANYONE,
    API,
    ROLES,
    RULES,
    SPAWNING,
    Rule,
    allows,
    rule_for,
    written,
)

__all__ = ["ROLES", "RULES", "actor_of", "identify", "role_of"]

SAFE = ("GET", "HEAD", "OPTIONS")
ROLE_AT_LOGIN = "kos_role"  # session key; another role now means: sign in again


@dataclass(frozen=True, slots=True)
class Caller:
    actor: str = "anonymous"
    role: str = ""
    by_session: bool = False
    fault: str = ""  # why the credentials sent were refused


NOBODY = Caller()


def actor_of(request: Any) -> str:
    """ "user:…", "token:…" or "anonymous" of a Django or DRF request."""
    return str(getattr(request, "actor", NOBODY.actor))


def role_of(request: Any) -> str:
    """The role of a Django or DRF request; "" for nobody."""
    return str(getattr(request, "kos_role", NOBODY.role))


def identify(request: HttpRequest) -> Caller:
    """The caller, by Authorization header if there is one, else by session."""
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is not None:
        return by_token(header)
    return by_session(request)


def by_token(header: str) -> Caller:
    scheme, _, text = header.strip().partition(" ")
    if scheme.lower() != "bearer":
        return Caller(fault="expected Authorization: Bearer")
    if text.count(".") == 2:
        return Caller(
            fault="signed spawn tokens are not accepted yet; use an API token"
        )
    token = tokens.find(text.strip(), now=clock())
    if token is None:
        return Caller(fault="the API token is not known, was revoked, or has expired")
    return Caller(f"token:{token.name}", token.role)


def by_session(request: HttpRequest) -> Caller:
    """The signed-in user. A session older than a change of role is ended."""
    user = request.user
    if not user.is_authenticated:
        return NOBODY
    role = role_of_user(user)
    if request.session.setdefault(ROLE_AT_LOGIN, role) != role:
        logout(request)
        return Caller(fault="your role has changed; sign in again")
    return Caller(f"user:{user.get_username()}", role, by_session=True)


def role_of_user(user: Any) -> str:
    """The highest role among a user's groups; "" when there is none."""
    if not user.is_active:
        return ""
    if user.is_superuser:
        return ROLES[-1]
    held = set(user.groups.values_list("name", flat=True))
    return next((role for role in reversed(ROLES) if role in held), "")


class Enforcer:
    """Middleware: identifies the caller, then refuses all that no rule allows."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.csrf = CsrfCheck(get_response)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        request.actor, request.kos_role = NOBODY.actor, NOBODY.role  # type: ignore[attr-defined]
        try:
            return self.get_response(request)
        finally:
            journal.via.door = ""

    def process_view(
        self, request: HttpRequest, view: Any, args: Any, kwargs: Any
    ) -> HttpResponseBase | None:
        match = request.resolver_match
        journal.via.door = door_of(match.route) if match is not None else ""
        rule = rule_for(match.route) if match is not None else None
        if rule is not None and allows("", rule.get(request.method or "", ROLES[-1])):
            request.kos_allowed = True  # type: ignore[attr-defined]
            return None
        if rule is not None and set(rule.values()) == {ANYONE}:
            return not_offered(request, rule)
        caller = identify(request)
        request.actor, request.kos_role = caller.actor, caller.role  # type: ignore[attr-defined]
        refusal = decide(request, caller, rule)
        if refusal is None and self.needs_csrf_check(request, caller, view):
            refusal = self.csrf.refusal(request)
        if refusal is None and match is not None:
            refusal = too_often(match.route, caller)
        request.kos_allowed = refusal is None  # type: ignore[attr-defined]
        return refusal

    def needs_csrf_check(self, request: HttpRequest, caller: Caller, view: Any) -> bool:
        """Django's own middleware checks the views that are not exempt (DRF's are)."""
        exempt = getattr(view, "csrf_exempt", False)
        return caller.by_session and exempt and request.method not in SAFE


def door_of(route: str) -> str:
    """What the journal says of a change that came this way; "" for the usual one."""
    if route.startswith("admin/"):
        return "admin"
    return "voice" if route == f"{API}voice/" else ""


def decide(
    request: HttpRequest, caller: Caller, rule: Rule | None
) -> HttpResponseBase | None:
    """None: go on. Else the refusal (or, for OPTIONS, the whole answer)."""
    method = request.method or ""
    if not caller.role:
        return not_signed_in(request, caller)
    if rule is None:
        return answer("forbidden", "no rule allows this")
    needed = rule.get(method)
    if needed is not None and allows(caller.role, needed):
        return None
    if not any(allows(caller.role, least) for least in rule.values()):
        return answer("forbidden", f"this needs the role {lowest(rule)}")
    if method == "OPTIONS" or needed is None:
        return not_offered(request, rule)
    return answer("forbidden", f"this needs the role {needed}")


def not_offered(request: HttpRequest, rule: Rule) -> HttpResponse:
    """What the route has instead; for OPTIONS that is the answer."""
    allow = {"Allow": ", ".join((*rule, "OPTIONS"))}
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers=allow)
    said = f"{request.method} is not offered"
    return answer("method_not_allowed", said, headers=allow)


def too_often(route: str, caller: Caller) -> HttpResponseBase | None:
    """Starting agents has a limit per caller, counted in this process."""
    if written(route) not in SPAWNING:
        return None
    most = live_config.current().security.spawns_per_minute
    now_s = time.monotonic()
    seen, left_s = rates.local.read(f"spawn:{caller.actor}", now_s)
    if seen >= most:
        wait = {"Retry-After": str(int(left_s) + 1)}
        return answer("too_many", f"more than {most} starts a minute", headers=wait)
    rates.local.add(f"spawn:{caller.actor}", 60, now_s)
    return None


def lowest(rule: Rule) -> str:
    return min(rule.values(), key=ROLES.index)


def not_signed_in(request: HttpRequest, caller: Caller) -> HttpResponseBase:
    """401, or for a page asked for by a browser the way to the log-in."""
    is_page = not request.path.startswith(("/api/", "/metrics"))
    if is_page and request.method in SAFE and not caller.actor.startswith("token:"):
        if caller.actor != NOBODY.actor:  # signed in, but holds no role
            return answer("forbidden", "you have no role here; ask an administrator")
        return Redirect(f"{settings.LOGIN_URL}?next={quote(request.get_full_path())}")
    if caller.actor != NOBODY.actor:
        return answer("forbidden", "you have no role here; ask an administrator")
    return answer("unauthorized", caller.fault or "sign in, or send an API token")


class CsrfCheck(CsrfViewMiddleware):
    """Django's CSRF check, answering with our JSON."""

    def _reject(self, request: HttpRequest, reason: str) -> HttpResponse:
        return answer("forbidden", f"CSRF: {reason}")

    def refusal(self, request: HttpRequest) -> HttpResponseBase | None:
        self.process_request(request)
        return self.process_view(request, lambda *_: HttpResponse(), (), {})


class GateAuthentication(BaseAuthentication):
    """DRF: the middleware has already found out who it is."""

    def authenticate(self, request: Request) -> tuple[Any, None] | None:
        plain = request._request
        return (plain.user, None) if getattr(plain, "kos_role", "") else None

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="kos"'


class GatePermission(BasePermission):
    """DRF: nothing passes that did not come through the Enforcer."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return bool(getattr(request._request, "kos_allowed", False))
