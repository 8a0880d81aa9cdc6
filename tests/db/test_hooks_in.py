"""Webhooks that come in: signed, in time, each message once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import live_config
from agents.models import Event, Secret
from kos_scheduler import hook_door
from scheduling import inbound
from scheduling.models import Occurrence, Run
from scheduling.standard_webhooks import (
    NotSigned,
    key_of,
    new_secret,
    signature,
    verify,
)
from scheduling.webhook_models import Hook, HookDelivery
from tests.db.schedule_fixtures import NOON, PERSON, fire, plan

pytestmark = pytest.mark.django_db
BODY = b'{"event": {"type": "push"}, "n": 1}'


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hook_door, "now", lambda: NOON)
    return


@pytest.fixture
def made(db: None) -> tuple[Hook, str]:
    return inbound.create("deploy", actor=PERSON, now=NOON)


def signed(
    secret: str, body: bytes = BODY, *, message: str = "msg_1", at: datetime = NOON
) -> dict[str, str]:
    stamp = str(int(at.timestamp()))
    return {
        "HTTP_WEBHOOK_ID": message,
        "HTTP_WEBHOOK_TIMESTAMP": stamp,
        "HTTP_WEBHOOK_SIGNATURE": signature(key_of(secret), message, stamp, body),
    }


def call(client: Any, hook: Hook, headers: dict[str, str], body: bytes = BODY) -> Any:
    url = f"/api/v1/hooks/{hook.uid}/"
    return client.generic("POST", url, body, "application/json", **headers)


def test_a_signed_message_starts_one_run_with_its_body(
    anonymous: Any, agent: Any, made: tuple[Hook, str]
) -> None:
    hook, secret = made
    schedule = plan(agent, event={"webhook": "deploy"})
    answer = call(anonymous, hook, signed(secret))
    assert answer.status_code == 202
    key = f"{schedule.uid}@hook-{hook.uid[:8]}-msg_1"
    assert answer.json() == {"accepted": True, "id": "msg_1", "fired": [key]}
    assert fire(NOON) == 1
    run = Run.objects.get()
    assert run.params == {"event": {"event": {"type": "push"}, "n": 1}}
    assert run.reason == "the webhook deploy was called"


def test_the_same_message_a_hundred_times_is_one_run_and_one_answer(
    anonymous: Any, agent: Any, made: tuple[Hook, str]
) -> None:
    hook, secret = made
    plan(agent, event={"webhook": "deploy"}, overlap="allow_all")
    answers = [call(anonymous, hook, signed(secret)) for _ in range(100)]
    assert {a.status_code for a in answers} == {202}
    assert len({a.content for a in answers}) == 1
    fire(NOON)
    assert Run.objects.count() == 1
    hook.refresh_from_db()
    assert (hook.received, HookDelivery.objects.get().replays) == (1, 99)


def test_who_cannot_sign_is_told_nothing(
    anonymous: Any, agent: Any, made: tuple[Hook, str]
) -> None:
    hook, secret = made
    plan(agent, event={"webhook": "deploy"})
    right = signed(secret)
    late, early = NOON - timedelta(minutes=6), NOON + timedelta(minutes=6)
    answers = [
        call(anonymous, hook, {}),
        call(anonymous, hook, right, BODY + b" "),
        call(anonymous, hook, signed(new_secret())),
        call(anonymous, hook, signed(secret, at=late)),
        call(anonymous, hook, signed(secret, at=early)),
        call(anonymous, hook, {**right, "HTTP_WEBHOOK_ID": "msg_2"}),
        call(anonymous, hook, {**right, "HTTP_WEBHOOK_SIGNATURE": "v0,x"}),
        call(anonymous, Hook(uid="0" * 32), right),
    ]
    inbound.switch(hook.uid, False, actor=PERSON, now=NOON)
    answers.append(call(anonymous, hook, right))
    assert {a.status_code for a in answers} == {401}
    assert len({a.content for a in answers}) == 1
    assert not Occurrence.objects.exists()
    assert not HookDelivery.objects.exists()
    hook.refresh_from_db()
    assert (hook.refused, hook.last_refusal) == (8, "the hook is disabled")


def test_both_secrets_hold_while_one_takes_the_others_place(
    anonymous: Any, admin: Any, made: tuple[Hook, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, old = made
    answer = admin.post(f"/api/v1/hooks/{hook.uid}/rotate/", {"keep_old": "1h"}, "json")
    new = answer.json()["secret"]
    assert new != old
    assert call(anonymous, hook, signed(new, message="a")).status_code == 202
    assert call(anonymous, hook, signed(old, message="b")).status_code == 202
    many = signed(new_secret(), message="c")
    good = signed(new, message="c")["HTTP_WEBHOOK_SIGNATURE"]
    many["HTTP_WEBHOOK_SIGNATURE"] += f" {good}"
    assert call(anonymous, hook, many).status_code == 202
    later = datetime.fromisoformat(answer.json()["old_secret_until"])
    monkeypatch.setattr(hook_door, "now", lambda: later + timedelta(seconds=1))
    again = signed(old, message="d", at=later)
    assert call(anonymous, hook, again).status_code == 401


def test_a_filter_lets_through_only_what_equals(
    anonymous: Any, agent: Any, made: tuple[Hook, str]
) -> None:
    hook, secret = made
    match = {"event.type": "push", "n": 1}
    plan(agent, event={"webhook": "deploy", "match": match})
    other = b'{"event": {"type": "push"}, "n": true}'
    answer = call(anonymous, hook, signed(secret, other, message="x"), other)
    assert answer.status_code == 202
    assert answer.json()["fired"] == []
    assert len(call(anonymous, hook, signed(secret)).json()["fired"]) == 1


def test_what_is_signed_and_is_not_json_is_refused(
    anonymous: Any, made: tuple[Hook, str]
) -> None:
    hook, secret = made
    for body in (b"{", b'{"a": NaN}', b'{"a": 1, "a": 2}'):
        answer = call(anonymous, hook, signed(secret, body), body)
        assert answer.status_code == 400, body
    assert not HookDelivery.objects.exists()


def test_of_a_large_body_the_largest_members_are_left_out_by_name(
    anonymous: Any, agent: Any, made: tuple[Hook, str]
) -> None:
    hook, secret = made
    plan(agent, event={"webhook": "deploy"})
    body = json.dumps({"type": "push", "commits": ["x" * 100] * 500}).encode()
    assert call(anonymous, hook, signed(secret, body), body).status_code == 202
    params = Occurrence.objects.get().params
    assert params == {"event": {"type": "push", inbound.LEFT_OUT: ["commits"]}}


def test_more_than_its_share_is_put_off(anonymous: Any, made: tuple[Hook, str]) -> None:
    hook, secret = made
    key = "events.hook_calls_per_minute"
    live_config.set_override(key, 5, actor=PERSON, now=NOON)
    live_config.forget()
    statuses = [
        call(anonymous, hook, signed(secret, message=f"m{n}")).status_code
        for n in range(8)
    ]
    assert statuses == [202] * 5 + [429] * 3
    assert HookDelivery.objects.count() == 5


def test_whoever_guesses_is_put_off_too(
    anonymous: Any, made: tuple[Hook, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, _ = made
    few = hook_door.Rate("hook-wrong", limit=3, window_s=60)
    monkeypatch.setattr(hook_door, "WRONG", few)
    statuses = [call(anonymous, hook, {}).status_code for _ in range(5)]
    assert statuses == [401, 401, 401, 429, 429]


def test_the_secret_is_shown_once_and_kept_sealed(admin: Any, editor: Any) -> None:
    made = admin.post("/api/v1/hooks/", {"name": "ci"}, format="json")
    assert made.status_code == 201
    secret, uid = made.json()["secret"], made.json()["id"]
    shown = [
        editor.get(path).content.decode()
        for path in ("/api/v1/hooks/", f"/api/v1/hooks/{uid}/settings/")
    ]
    journal = str(list(Event.objects.values_list("data", flat=True)))
    stored = str(list(Secret.objects.values_list("sealed", flat=True)))
    assert all(secret not in text for text in (*shown, journal, stored))
    assert Event.objects.filter(kind="hook_in.created").count() == 1


def test_hooks_are_kept_by_admins_and_seen_by_editors(
    admin: Any, editor: Any, viewer: Any, agent: Any
) -> None:
    body = {"name": "ci"}
    assert editor.post("/api/v1/hooks/", body, format="json").status_code == 403
    assert viewer.get("/api/v1/hooks/").status_code == 403
    uid = admin.post("/api/v1/hooks/", body, format="json").json()["id"]
    assert admin.post("/api/v1/hooks/", body, format="json").status_code == 409
    bad = admin.post("/api/v1/hooks/", {"name": "a b"}, format="json")
    assert bad.status_code == 400
    assert "name" in bad.json()["fields"]
    schedule = plan(agent, event={"webhook": "ci"})
    one = f"/api/v1/hooks/{uid}"
    assert admin.delete(f"{one}/settings/").status_code == 409
    tried = editor.post(f"{one}/test/", {"body": {"a": 1}}, format="json")
    assert tried.status_code == 202
    assert len(tried.json()["fired"]) == 1
    listed = editor.get(f"{one}/deliveries/").json()["items"]
    assert listed[0]["fired"] == tried.json()["fired"]
    assert editor.get(f"{one}/settings/").json()["schedules"] == [schedule.uid]
    off = admin.patch(f"{one}/settings/", {"enabled": False}, format="json")
    assert off.json()["enabled"] is False
    end = f"/api/v1/schedules/{schedule.uid}/"
    assert admin.delete(end).status_code == 200
    assert admin.delete(f"{one}/settings/").status_code == 204
    assert not Secret.objects.exists()
    assert not Hook.objects.exists()


def test_a_schedule_for_a_hook_that_is_not_there_is_refused(
    editor: Any, agent: Any
) -> None:
    body = {"agent": agent.agent_id, "event": {"webhook": "nobody"}}
    answer = editor.post("/api/v1/schedules/", body, format="json")
    assert answer.status_code == 400
    assert "no hook named nobody" in answer.json()["fields"]["event"][0]


def test_only_a_post_comes_in(anonymous: Any, made: tuple[Hook, str]) -> None:
    url = f"/api/v1/hooks/{made[0].uid}/"
    statuses = {m: anonymous.generic(m, url).status_code for m in ("GET", "PUT")}
    assert statuses == {"GET": 405, "PUT": 405}


def test_old_deliveries_go_but_none_that_could_come_again(
    anonymous: Any, made: tuple[Hook, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hook, _ = made
    monkeypatch.setattr(inbound, "KEPT_DELIVERIES", 3)
    for number in range(6):
        at = NOON + timedelta(minutes=10 * number)
        inbound.accept(hook, f"m{number}", {}, size=2, now=at)
    kept = HookDelivery.objects.order_by("id").values_list("message_id", flat=True)
    assert list(kept) == ["m3", "m4", "m5"]
    for number in range(10, 20):
        inbound.accept(hook, f"m{number}", {}, size=2, now=NOON + timedelta(hours=2))
    assert HookDelivery.objects.count() == 10


@given(body=st.binary(max_size=200), other=st.binary(max_size=200))
def test_only_what_was_signed_is_verified(body: bytes, other: bytes) -> None:
    key = key_of(new_secret())
    right = signature(key, "id", "1000", body)

    def passes(with_body: bytes) -> bool:
        try:
            verify(
                [b"wrong", key],
                message_id="id",
                stamp="1000",
                signatures=right,
                body=with_body,
                now_s=1200.0,
            )
        except NotSigned:
            return False
        return True

    assert passes(body)
    assert passes(other) == (other == body)
