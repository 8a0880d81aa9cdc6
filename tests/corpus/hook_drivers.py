"""The corpus's messages to a webhook that comes in, each made from its words."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from rest_framework.test import APIClient

from agents import live_config
from scheduling import inbound, schedules
from scheduling.models import Occurrence
from scheduling.standard_webhooks import key_of, signature
from scheduling.webhook_models import Hook, HookDelivery
from tests.corpus.world import API, JSON, World, stored

Case = dict[str, Any]
BODY = b'{"event": "push"}'
MANY = 1000


class Sender:
    """Somebody who knows the secret of a hook that fires a schedule."""

    def __init__(self, world: World) -> None:
        self.now = datetime.now(UTC)
        self.hook, self.secret = inbound.create("corpus", actor="test", now=self.now)
        raw = {"event": {"webhook": "corpus"}}
        schedules.create(world.optimizer(), raw, actor="test", now=self.now)
        self.client = APIClient()

    def headers(self, message: str = "msg", late_s: float = 0) -> dict[str, str]:
        stamp = str(int((self.now - timedelta(seconds=late_s)).timestamp()))
        right = signature(key_of(self.secret), message, stamp, BODY)
        return {"id": message, "timestamp": stamp, "signature": right}

    def post(self, headers: dict[str, str], body: bytes = BODY, uid: str = "") -> Any:
        sent = {f"HTTP_WEBHOOK_{k.upper()}": v for k, v in headers.items()}
        url = f"{API}/hooks/{uid or self.hook.uid}/"
        return self.client.generic("POST", url, body, JSON, **sent)


def games(sender: Sender) -> Any:
    """The same bytes, written otherwise; the last answer that was not a refusal."""
    right = sender.headers()
    plain = right["signature"].removeprefix("v1,")
    written = (plain, f"v0={plain}", f"v1, {plain}", f"V1,{plain}", plain.upper())
    written += (right["signature"].lower(), f"v1,{plain.encode().hex()}", f" {plain}")
    answers = [sender.post({**right, "signature": text}) for text in written]
    return next((a for a in answers if a.status_code != 401), answers[-1])


def replay(sender: Sender) -> Any:
    first = sender.post(sender.headers())
    again = sender.post(sender.headers())
    assert first.content == again.content
    assert Occurrence.objects.count() == HookDelivery.objects.count() == 1
    return again


def flood(sender: Sender) -> Any:
    most = {"events.hook_calls_per_minute": 100}
    live_config.set_overrides(most, actor="test", now=sender.now)
    live_config.forget()
    answers = [sender.post(sender.headers(f"m{n}")) for n in range(MANY)]
    statuses = {a.status_code for a in answers}
    assert statuses == {202, 429}
    return answers[-1]


def unsigned(sender: Sender) -> Any:
    return sender.post({k: v for k, v in sender.headers().items() if k != "signature"})


CASES: dict[str, Callable[[Sender], Any]] = {
    "WI001": unsigned,
    "WI002": lambda sender: sender.post(sender.headers(), b'{"event": "pull"}'),
    "WI003": games,
    "WI004": lambda sender: sender.post({**sender.headers(), "signature": ""}),
    "WI005": lambda sender: sender.post(sender.headers(late_s=360)),
    "WI006": lambda sender: sender.post(sender.headers(late_s=-360)),
    "WI008": replay,
    "WI012": lambda sender: sender.post(sender.headers(), uid="0" * 32),
    "WI015": lambda s: s.client.get(f"{API}/hooks/{s.hook.uid}/"),
    "WI018": flood,
}


def call(world: World, case: Case) -> Any:
    sender = Sender(world)
    world.before = {} if case["id"] == "WI018" else stored()
    answer = CASES[case["id"]](sender)
    assert sender.secret not in Hook.objects.get().last_refusal
    return answer


def call_twin(world: World, case: Case) -> None:
    sender = Sender(world)
    answer = sender.post(sender.headers())
    assert answer.status_code == 202
    assert len(answer.json()["fired"]) == 1
