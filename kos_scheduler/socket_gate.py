"""Who is at the other end of a WebSocket: puts `actor` and `kos_role` into its scope.

The same two ways as for HTTP: the session's cookie, or an API token. The consumer
refuses an empty role, and asks `kos_still_allowed` again while the socket is open.
"""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from kos_scheduler.auth import NOBODY, ROLE_AT_LOGIN, Caller, by_token, role_of_user
from kos_scheduler.roles import API, RULES, allows

MOVING = RULES[f"{API}occurrences/{{}}/move/"]["POST"]


class SocketGate:
    """ASGI middleware around the sockets' router."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        headers = dict(scope.get("headers", ()))
        caller = await identify(headers)

        async def still_allowed() -> bool:
            return await identify(headers) == caller

        scope = {
            **scope,
            "actor": caller.actor,
            "kos_role": caller.role,
            "kos_may_move": allows(caller.role, MOVING),
            "kos_still_allowed": still_allowed,
        }
        return await self.app(scope, receive, send)


@sync_to_async
def identify(headers: dict[bytes, bytes]) -> Caller:
    authorization = headers.get(b"authorization")
    if authorization is not None:
        return by_token(authorization.decode("latin-1"))
    return by_cookie(headers.get(b"cookie", b"").decode("latin-1"))


def by_cookie(cookies: str) -> Caller:
    """The user of the session cookie; nobody when it is old, forged or outdated."""
    try:
        morsel = SimpleCookie(cookies).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return NOBODY
    if morsel is None:
        return NOBODY
    request = HttpRequest()
    engine = import_module(settings.SESSION_ENGINE)
    request.session = engine.SessionStore(morsel.value)
    user = get_user(request)
    if not user.is_authenticated:
        return NOBODY
    role = role_of_user(user)
    if request.session.get(ROLE_AT_LOGIN, role) != role:
        return NOBODY
    return Caller(f"user:{user.get_username()}", role, by_session=True)
