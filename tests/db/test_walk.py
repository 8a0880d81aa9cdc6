"""Every URL, every method, every role, found by walking the resolver.

A new route without a rule fails here, and so does a rule whose route is gone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver

from kos_scheduler.roles import ANYONE, RULES, allows, rule_for, written

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PEOPLE = ("anonymous", "", "viewer", "operator", "editor", "admin")
CONVERTER = re.compile(r"<(?:(\w+):)?(\w+)>")
SAMPLES = {"int": "999999", "uuid": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}
GROUP = re.compile(r"\(\?P<\w+>(?:[^()]|\([^()]*\))*\)")


OPEN = {0}


def routes() -> list[str]:
    return sorted(set(flat(get_resolver().url_patterns, "")))


def flat(patterns: list[Any], prefix: str) -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from flat(pattern.url_patterns, route)
        else:
            assert isinstance(pattern, URLPattern)
            yield route


def sample(route: str) -> str:
    """A path of this route whose things do not exist."""
    path = CONVERTER.sub(lambda m: SAMPLES.get(m[1] or "str", "no-such"), route)
    path = GROUP.sub("1", path).replace("\\Z", "").replace("\\.", ".")
    return "/" + path.replace("^", "").rstrip("$")


def answer(client: Any, method: str, path: str) -> int:
    if method in ("POST", "PUT", "PATCH", "DELETE"):
        data = {"data": "{}", "content_type": "application/json"}
        return int(client.generic(method, path, **data).status_code)
    return int(client.generic(method, path).status_code)


def expected(method: str, rule: Any, who: str) -> set[int] | None:
    """The statuses the table asks for; None: whatever the view says but 401, 403."""
    if method == "TRACE":
        return {405}
    role = "" if who == "anonymous" else who
    needed = rule.get(method)
    if needed == ANYONE:
        return OPEN  # the log-in answers a wrong password with 401
    if needed is not None and allows(role, needed):
        return None
    if set(rule.values()) == {ANYONE}:
        return {204} if method == "OPTIONS" else {405}
    if not role:
        return {401, 302, 403} if who == "anonymous" else {403}
    if not any(allows(role, least) for least in rule.values()):
        return {403}
    if method == "OPTIONS":
        return {204}
    return {403} if needed is not None else {405}


def test_every_route_has_a_rule() -> None:
    assert [route for route in routes() if rule_for(route) is None] == []


def test_every_rule_has_a_route() -> None:
    assert sorted(set(RULES) - {written(route) for route in routes()}) == []


def test_health_the_log_in_signed_webhooks_and_feeds_alone_are_open() -> None:
    opened = {route for route, rule in RULES.items() if ANYONE in rule.values()}
    hook = "api/v1/hooks/{}/"  # whoever signs a message may send it
    feed = "ical/{}.ics"  # its address is the secret
    assert opened == {"api/v1/health/", "login/", hook, feed}


@pytest.mark.django_db
def test_each_role_gets_what_the_table_says_and_no_more(
    client_of: Callable[[str], Any],
    anonymous: Any,
    report: Callable[[str], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("CRITICAL", "django.request")
    clients = {who: client_of(who) for who in PEOPLE[1:]} | {"anonymous": anonymous}
    for client in clients.values():
        client.raise_request_exception = False
    seen: Counter[str] = Counter()
    wrong = []
    for route in routes():
        rule, path = rule_for(route) or {}, sample(route)
        for method in METHODS:
            for who, client in clients.items():
                if path.endswith("/logout/") and method == "POST":
                    continue  # ends the walker's own session; see test_auth_login
                status = answer(client, method, path)
                seen[kind_of(status)] += 1
                if path.startswith("/admin/") and who == "admin" and status == 403:
                    continue  # the admin's own word: what it shows is read-only
                if not fits(status, expected(method, rule, who)):
                    wrong.append((method, path, who or "stranger", status))
    report(
        f"walk: {len(routes())} URLs x {len(METHODS)} methods x {len(PEOPLE)} people = "
        f"{sum(seen.values())} requests; {dict(sorted(seen.items()))}"
    )
    assert wrong == []


def kind_of(status: int) -> str:
    names = {401: "401", 403: "403", 405: "405"}
    return names.get(status, f"{status // 100}xx")


def fits(status: int, wanted: set[int] | None) -> bool:
    if wanted is None:
        return status < 500 and status not in (401, 403)
    if wanted == OPEN:
        return status < 500
    return status in wanted
