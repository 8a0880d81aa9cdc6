"""What only goes wrong when several do it at once, on a real database file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from rest_framework.test import APIClient

from agents.models import Agent
from kos_scheduler import tokens
from kos_scheduler.models import ApiToken, IdempotentAnswer
from tests.conftest import NOON
from tests.corpus.expand import BASES

pytestmark = pytest.mark.django_db(transaction=True)
AGENTS = "/api/v1/agents/"


@pytest.fixture
def token() -> str:
    return tokens.issue("racer", "admin", actor="user:test", now=NOON)[1]


def at_once(token: str, calls: list[Callable[[APIClient], Any]]) -> list[Any]:
    def one(call: Callable[[APIClient], Any]) -> Any:
        client = APIClient()
        client.raise_request_exception = False
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
        try:
            return call(client)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(one, calls))


def test_twenty_creations_of_one_name_make_one_agent(
    token: str, tally: Callable[[str, str], None]
) -> None:
    body = {**BASES["agent"], "agent_id": "race_1"}
    call = lambda client: client.post(AGENTS, body, format="json")  # noqa: E731
    statuses = Counter(a.status_code for a in at_once(token, [call] * 20))
    assert statuses == {201: 1, 409: 19}
    assert Agent.objects.filter(agent_id="race_1").count() == 1
    tally("corpus", "cases run")
    tally("corpus", "as expected")


def test_two_edits_that_only_together_make_a_cycle_are_not_both_taken(
    token: str, make_agent: Callable[..., Any], tally: Callable[[str, str], None]
) -> None:
    for name in ("A", "B"):
        make_agent(name)
    pairs = (("A", "B"), ("B", "A"))
    calls = [
        lambda client, one=one, other=other: client.patch(
            f"{AGENTS}{one}/", {"depends_on": [other]}, format="json"
        )
        for one, other in pairs
    ]
    statuses = sorted(a.status_code for a in at_once(token, calls))
    assert statuses[0] == 200
    assert statuses[1] in (400, 409, 422)
    tally("corpus", "cases run")
    tally("corpus", "as expected")


def test_one_key_sent_ten_times_at_once_does_it_once(token: str) -> None:
    def call(client: APIClient) -> Any:
        return client.post(
            "/api/v1/tokens/", {"name": "once"}, HTTP_IDEMPOTENCY_KEY="k", format="json"
        )

    answers = at_once(token, [call] * 10)
    assert {a.status_code for a in answers} == {201}
    assert len({a.content for a in answers}) == 1
    assert ApiToken.objects.filter(name="once").count() == 1
    assert IdempotentAnswer.objects.count() == 1
