"""Webhooks that come in: hooks made, rotated and ended, and messages turned into runs.

The only writer of Hook and HookDelivery rows. A message's id is the key of what it
fires, so however often it is sent, each schedule runs once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from django.db import IntegrityError, transaction
from django.db.models import F

from agents import journal, names, secret_store
from agents.errors import AlreadyExists, Invalid, NotAllowedNow, NotFound
from agents.http import iso
from scheduling import books, event_watchers, standard_webhooks, triggered
from scheduling.models import Schedule
from scheduling.schedule_input import MAX_PARAMS_BYTES
from scheduling.standard_webhooks import NotSigned
from scheduling.webhook_models import Hook, HookDelivery

KEPT_DELIVERIES = 200  # of each hook, to be seen
KEPT_AT_LEAST = timedelta(minutes=15)  # longer than a message can be replayed
OLD_SECRET_FOR_S = 86_400  # after a rotation
MOST_EVENT_BYTES = MAX_PARAMS_BYTES - 4096  # beside the schedule's own params
LEFT_OUT = "kos_left_out"
DUMMY_KEY = b"no hook has this key"


def create(name: object, *, actor: str, now: datetime) -> tuple[Hook, str]:
    """A hook and its secret, which is told this once. Raises Invalid, AlreadyExists,
    Unavailable where nothing can be sealed."""
    try:
        if not isinstance(name, str):
            raise ValueError("expected a name")
        name = names.label(name)
    except ValueError as error:
        raise Invalid(f"name: {error}", {"name": [str(error)]}) from None
    with transaction.atomic():
        if Hook.objects.filter(name=name).exists():
            raise AlreadyExists(f"there is a hook named {name} already")
        hook = Hook(name=name, created_at=now, created_by=actor)
        secret = _new_secret(hook, actor, now)
        try:
            with transaction.atomic():
                hook.save()
        except IntegrityError:
            raise AlreadyExists(f"there is a hook named {name} already") from None
        _tell("created", hook, actor, now)
    return hook, secret


def _new_secret(hook: Hook, actor: str, now: datetime) -> str:
    value = standard_webhooks.new_secret()
    hook.secret = f"hook-{hook.uid}-{hook.generation}"
    secret_store.put(hook.secret, value, actor=actor, now=now)
    return value


def find(uid: str) -> Hook:
    """Raises NotFound."""
    fits = uid.isascii() and len(uid) <= 32
    found = Hook.objects.filter(uid=uid).first() if fits else None
    if found is None:
        raise NotFound("there is no such hook")
    return found


@transaction.atomic
def rotate(
    uid: str, *, actor: str, now: datetime, keep_old_s: float = OLD_SECRET_FOR_S
) -> tuple[Hook, str]:
    """A new secret, told this once; the one before is accepted for a while longer."""
    hook = _locked(uid)
    if hook.previous_secret:
        _forget_secret(hook.previous_secret, actor, now)
    hook.previous_secret = hook.secret
    hook.previous_until = now + timedelta(seconds=keep_old_s)
    hook.generation += 1
    secret = _new_secret(hook, actor, now)
    hook.save()
    _tell("rotated", hook, actor, now, old_until=iso(hook.previous_until))
    return hook, secret


@transaction.atomic
def switch(uid: str, enabled: bool, *, actor: str, now: datetime) -> Hook:
    hook = _locked(uid)
    if hook.enabled != enabled:
        hook.enabled = enabled
        hook.save(update_fields=["enabled"])
        _tell("enabled" if enabled else "disabled", hook, actor, now)
    return hook


@transaction.atomic
def delete(uid: str, *, actor: str, now: datetime) -> None:
    """Raises NotAllowedNow while a schedule waits for it."""
    hook = _locked(uid)
    if users := [row.uid for row in schedules_of(hook)]:
        some = ", ".join(users[:3]) + (" and others" if len(users) > 3 else "")
        raise NotAllowedNow(f"{hook.name} fires the schedules {some}; end them first")
    for name in (hook.secret, hook.previous_secret):
        if name:
            _forget_secret(name, actor, now)
    _tell("deleted", hook, actor, now)
    hook.delete()


def _forget_secret(name: str, actor: str, now: datetime) -> None:
    try:
        secret_store.delete(name, actor=actor, now=now)
    except NotFound:
        return  # an administrator took it away already


def _locked(uid: str) -> Hook:
    return Hook.objects.select_for_update().get(pk=find(uid).pk)


def schedules_of(hook: Hook) -> list[Schedule]:
    """The schedules that wait for it."""
    watchers = event_watchers.read("webhook")
    pks = [w.schedule_id for w in watchers if w.what == hook.name]
    return list(Schedule.objects.select_related("agent").filter(pk__in=pks))


def _tell(what: str, hook: Hook, actor: str, now: datetime, **data: Any) -> None:
    subject = f"hook:{hook.name}"
    journal.record(
        f"hook_in.{what}", subject, actor=actor, at=now, name=hook.name, **data
    )


# what comes in


def verified(
    uid: str, headers: Mapping[str, str], body: bytes, *, now: datetime
) -> Hook:
    """The hook a message is for. Raises NotSigned unless it was signed with one of its
    secrets; for a hook that is not there alike, and after the same work."""
    try:
        hook: Hook | None = find(uid)
    except NotFound:
        hook = None
    try:
        standard_webhooks.verify(
            _keys(hook, now) or [DUMMY_KEY],
            message_id=headers.get("webhook-id", ""),
            stamp=headers.get("webhook-timestamp", ""),
            signatures=headers.get("webhook-signature", ""),
            body=body,
            now_s=now.timestamp(),
        )
        if hook is None:
            raise NotSigned("there is no such hook")
        if not hook.enabled:
            raise NotSigned("the hook is disabled")
    except NotSigned as refusal:
        if hook is not None:
            _note_refusal(hook, str(refusal), now)
        raise
    return hook


def _keys(hook: Hook | None, now: datetime) -> list[bytes]:
    """What a message to it may be signed with. None: a secret is gone."""
    if hook is None:
        return []
    wanted = [hook.secret]
    if hook.previous_secret and hook.previous_until and now < hook.previous_until:
        wanted.append(hook.previous_secret)
    found = []
    for name in wanted:
        try:
            value = secret_store.values([name], now=now)[name]
            found.append(standard_webhooks.key_of(value))
        except (secret_store.Missing, ValueError):
            continue
    return found


def _note_refusal(hook: Hook, why: str, now: datetime) -> None:
    Hook.objects.filter(pk=hook.pk).update(
        refused=F("refused") + 1, last_refused_at=now, last_refusal=why[:120]
    )


@transaction.atomic
def accept(
    hook: Hook, message_id: str, payload: Any, *, size: int, now: datetime
) -> HookDelivery:
    """Fire what waits for this message. The same id again fires nothing and answers
    the same. Raises Invalid for a payload that no program can be given."""
    event = bounded(payload)
    delivery, is_new = HookDelivery.objects.get_or_create(
        hook=hook,
        message_id=message_id,
        defaults={"received_at": now, "size": size},
    )
    if not is_new:
        again = HookDelivery.objects.filter(pk=delivery.pk)
        again.update(replays=F("replays") + 1)
        return delivery
    key = triggered.key_for("hook", hook.uid[:8], message_id)
    for watcher in event_watchers.read("webhook"):
        if watcher.what == hook.name and matches(watcher.rule.get("match"), payload):
            delivery.fired += _fired(watcher.schedule_id, key, hook, event, now)
    delivery.save(update_fields=["fired"])
    Hook.objects.filter(pk=hook.pk).update(
        received=F("received") + 1, last_received_at=now
    )
    actor, fired = f"hook:{hook.name}", len(delivery.fired)
    _tell("received", hook, actor, now, message=message_id, fired=fired, bytes=size)
    _forget_old(hook, now)
    return delivery


def _fired(pk: int, key: str, hook: Hook, event: Any, now: datetime) -> list[str]:
    schedule = Schedule.objects.get(pk=pk)
    done = triggered.fire(
        schedule,
        key,
        now=now,
        params={"event": event},
        reason=f"the webhook {hook.name} was called",
    )
    return [books.occurrence_id(schedule, key)] if done else []


def bounded(payload: Any) -> Any:
    """The body as a program can be given it: of a larger object the largest members
    are left out, and named."""
    if len(orjson.dumps(payload)) <= MOST_EVENT_BYTES:
        return payload
    if not isinstance(payload, dict):
        raise Invalid(f"a body that is no object may have {MOST_EVENT_BYTES} bytes")
    sizes = {key: len(orjson.dumps({key: value})) for key, value in payload.items()}
    room, kept = MOST_EVENT_BYTES // 2, set()
    for key in sorted(sizes, key=lambda key: (sizes[key], key)):
        room -= sizes[key]
        if room < 0:
            break
        kept.add(key)
    left_out = [key[:80] for key in payload if key not in kept][:50]
    return {**{k: v for k, v in payload.items() if k in kept}, LEFT_OUT: left_out}


def matches(wanted: Mapping[str, Any] | None, payload: Any) -> bool:
    """Whether every path of the filter holds exactly its value."""
    return all(
        _same(_at(payload, path.split(".")), value)
        for path, value in (wanted or {}).items()
    )


MISSING = object()


def _at(payload: Any, path: Sequence[str]) -> Any:
    for part in path:
        if isinstance(payload, dict):
            payload = payload.get(part, MISSING)
        elif isinstance(payload, list) and part.isdecimal() and len(part) < 9:
            payload = payload[int(part)] if int(part) < len(payload) else MISSING
        else:
            return MISSING
    return payload


def _same(found: Any, wanted: Any) -> bool:
    """Equal as JSON has it: true is not 1."""
    return isinstance(found, bool) == isinstance(wanted, bool) and found == wanted


def _forget_old(hook: Hook, now: datetime) -> None:
    rows = HookDelivery.objects.filter(hook=hook).order_by("-id")
    last = rows.values_list("pk", flat=True)[KEPT_DELIVERIES - 1 : KEPT_DELIVERIES]
    for pk in last:
        old = rows.filter(pk__lt=pk, received_at__lt=now - KEPT_AT_LEAST)
        old.delete()
